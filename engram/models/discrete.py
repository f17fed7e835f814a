"""What models with codes of finitely many values share: numbers of codes, how often each is used, and draws from that."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engram.data.rows import Rows
from engram.maths.quantise import assigned, looked_up, nearest, perplexity
from engram.models.blocks import over_blocks
from engram.models.codes import Codes
from engram.models.scores import Array
from engram.training import Batch, Finding
from engram.training.nets import Nets

ROWS_PER_CODE = 10  # fewer rows for each entry say nothing of whether it is used
UNUSED = 0.5  # share of entries that no row uses, from which on that is worth a finding


def divided(code: Tensor, parts: int) -> Tensor:
    """Return the parts of a code, (rows, code size) -> (rows, parts, size): part p has the units p, p + parts, ...

    So where units are principal components, the parts vary about equally.
    """
    return code.view(len(code), -1, parts).transpose(1, 2)


def together(pieces: Tensor) -> Tensor:
    """Return the code of these parts: the inverse of `divided`."""
    return pieces.transpose(1, 2).flatten(1)


class Discrete(Codes):
    """Codes whose parts each are one entry of a codebook.

    After a fit ``codebook_`` is (parts, entries, size) and ``shares_``, (parts, entries), how often training rows use each entry.
    """

    codebook_: Tensor
    shares_: Tensor

    def codebook(self, nets: Nets) -> Tensor:
        """Return the entries of each part, (parts, entries, size)."""
        raise NotImplementedError

    def code_indices(self, X: Any) -> Array:
        """Return the numbers of the entries that rows use, (rows, parts) int64: the whole code in a few bits."""
        index: Array = over_blocks(self, X, self._index).numpy()
        return index

    def _index(self, nets: Nets, batch: Batch) -> Tensor:
        book = self.codebook(nets)
        return nearest(divided(self.encode(nets, batch), len(book)), book)

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Calibrate scores, count how often each entry is used, and look whether that is hardly ever."""
        found = super().finish(nets, rows, held_out)
        self.codebook_ = book = self.codebook(nets).clone()
        index = torch.cat([self._index(nets, Batch(part.x, part.mask)) for part in rows.blocks(4096)])
        counts, _ = assigned(index.new_zeros((*index.shape, 1)).float(), index, book.shape[1])
        self.shares_ = counts / len(index)
        return [*found, *self._use(counts, len(index))]

    def _use(self, counts: Tensor, n_rows: int) -> list[Finding]:
        """Say that most entries are not used, where there are enough rows to tell."""
        different = torch.stack([torch.tensor(len(torch.unique(part, dim=0))) for part in self.codebook_])
        unused = int((different - (counts > 0).sum(1)).clamp(min=0).sum())
        total = int(different.sum())
        if n_rows < ROWS_PER_CODE * counts.shape[1] or unused <= UNUSED * total:
            return []
        told = f"{unused} of {total} codes are not used by any training row (perplexity {float(perplexity(counts).mean()):.1f} of "
        told += f"{counts.shape[1]})"
        return [Finding("unused-codes", told, "Fewer would do as well (n_codes or levels)")]

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes as training rows use them, (n, code size): each part by itself."""
        index = torch.multinomial(self.shares_, n, replacement=True, generator=generator).T
        return together(looked_up(self.codebook_, index))

    def settled(self, code: Tensor) -> Tensor:
        """Return the nearest codes of entries, (rows, code size)."""
        return together(looked_up(self.codebook_, nearest(divided(code, len(self.codebook_)), self.codebook_)))

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return the codebook and how often its entries are used."""
        return {**super().fitted_tensors(), "codebook": self.codebook_, "shares": self.shares_}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `fitted_tensors` gave."""
        super().restore_tensors(tensors)
        self.codebook_, self.shares_ = tensors["codebook"], tensors["shares"]
