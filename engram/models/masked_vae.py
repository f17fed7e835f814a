"""Masked VAE of rows of bins: any cells given any others (VAEAC: Ivanov, Figurnov & Vetrov, ICLR 2019, arXiv:1806.02382).

    minimise   D / |H| ( - E_q(z | x) sum_{i in H} log p(x_i | z, x_K)  +  KL(q(z | x) || p(z | x_K)) )      averaged over rows, in nats

K are the known and H the hidden of a row's D places; how many are hidden is uniform from 1 to D, so that with the factor every size
counts the same (Uria, Murray & Larochelle 2014, arXiv:1310.1757, equation 7). Encoder q sees the whole row, the prior of the code sees
what is known, the decoder sees the code and what is known. Every cell is a category (see `engram.data.bins`). A row is drawn place by
place in random orders, each time with a new code given all that is known by then, so that conditions are given, not waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.maths.divergence import kl_normals, reparameterise
from engram.networks.cells import CellDecoder, CellEncoder, normalised
from engram.training import Batch
from engram.training.nets import Nets

NARROW = 12.0  # log variances of codes lie within +- this
ROLES = ("encoder", "prior", "decoder")


class CodedCells(nn.Module):
    """Features of a row, some of whose cells may be hidden, and mean and log variance of its code.

    Parameters
    ----------
    encoder : CellEncoder
        The network.
    width, code_size : int
        Of the features and the code.
    """

    def __init__(self, encoder: CellEncoder, width: int, code_size: int) -> None:
        super().__init__()
        self.body = encoder
        self.head = nn.Linear(width, 2 * code_size)

    def forward(self, cells: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (rows, width), mean and log variance (rows, code size) of cells (rows, places) long."""
        h = self.body(cells, known)
        mean, log_var = self.head(normalised(h)).chunk(2, 1)
        return h, mean, log_var.clamp(-NARROW, NARROW)


def roles(
    sizes: Sequence[int], ordered: Sequence[int], widths: Sequence[int], code_size: int, dropout: float
) -> dict[str, nn.Module]:
    """Return the encoder of whole rows, the prior of what is known, and the decoder; widths are all the same one, once a layer."""
    width, depth = widths[0], len(widths)
    return {
        "encoder": CodedCells(CellEncoder(sizes, ordered, width, 1, dropout, sees_all=True), width, code_size),
        "prior": CodedCells(CellEncoder(sizes, ordered, width, depth, dropout), width, code_size),
        "decoder": CellDecoder(sizes, ordered, code_size, width, depth, dropout),
    }


def terms(nets: Nets, batch: Batch) -> dict[str, Tensor]:
    """Return the surprise at hidden cells and the KL of the code, each times places / hidden ones, per row."""
    cells = batch.x.long()
    known = hidden_at_random(len(cells), cells.shape[1], batch.generator, cells.device)
    h, *prior = nets.prior(cells, known)
    _, mean, log_var = nets.encoder(cells)
    z = reparameterise(mean, log_var, batch.generator)
    each = [functional.cross_entropy(o, cells[:, i], reduction="none") for i, o in enumerate(nets.decoder(h, z))]
    hidden = (~known).float()
    weight = hidden.shape[1] / hidden.sum(1)
    surprise = (torch.stack(each, 1) * hidden).sum(1)
    return {"surprise": surprise * weight, "kl": kl_normals(mean, log_var, *prior).sum(1) * weight}


def logits(nets: Nets, cells: Tensor, known: Tensor, place: int, table: Tensor, generator: torch.Generator) -> Tensor:
    """Return logits of the bins of a place given known cells, (rows, bins), with a code drawn for each row.

    ``table`` is ``nets.decoder.table()``, the same for all places.
    """
    h, mean, log_var = nets.prior(cells, known)
    found: Tensor = nets.decoder.of_place(h, reparameterise(mean, log_var, generator), place, table)
    return found


def hidden_at_random(
    n: int, places: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Return which cells are known, (rows, places) bool: of each row 0 to places - 1, every number and every choice alike likely."""
    count = torch.randint(places, (n, 1), generator=generator, device=device)
    return torch.rand(n, places, generator=generator, device=device).argsort(1).argsort(1) < count


@torch.no_grad()
def begin(decoder: CellDecoder, cells: Tensor) -> None:
    """Begin at independent columns: the bias of each bin is the logarithm of its share."""
    for i, (size, end) in enumerate(zip(decoder.sizes, decoder.ends, strict=True)):
        counts = torch.bincount(cells[:, i], minlength=size).float() + 0.5
        decoder.bias[end - size : end] = (counts / counts.sum()).log()
