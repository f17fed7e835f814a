"""Masked VAE of rows of bins: any cells given any others (VAEAC: Ivanov, Figurnov & Vetrov, ICLR 2019, arXiv:1806.02382).

    minimise   D / |H| ( - E_q(z | x) sum_{i in H} log p(x_i | z, x_K)  +  KL(q(z | x) || p(z | x_K)) )      averaged over rows, in nats

K are the known and H the hidden of a row's D places; how many are hidden is uniform from 1 to D, so that with the factor every size
counts the same (Uria, Murray & Larochelle 2014, arXiv:1310.1757, equation 7). Encoder q sees the whole row, the prior of the code sees
what is known, the decoder sees the code and what is known. Every cell is a category (see `engram.data.bins`). A row is drawn place by
place in random orders, each time given all that is known by then, with a new code, so that conditions are given, not waited for.

A code can be empty. Then there is no q and no KL, and what is left is that of Uria, Murray & Larochelle, here with a weight for each place:

    minimise   D / |H| sum_{i in H} - w_i log p(x_i | x_K)

A code holds hidden cells together that are drawn at once; those that are drawn one by one do not need it. Each term is a proper score,
so that weights do not change what would be learned from endless rows without limits; they say how much of the network a place gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.maths.divergence import kl_normals, reparameterise
from engram.networks.cells import CellDecoder, CellEncoder, normalised
from engram.training import Batch
from engram.training.nets import Nets

MEMBERS = 3  # networks where there is no code: each learns some of its rows by heart, their mean less
NARROW = 12.0  # log variances of codes lie within +- this
LEAST_ENTROPY = 0.05  # nats; columns that hardly vary get no larger weight than with it


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
        self.head = nn.Linear(width, 2 * code_size) if code_size else None

    def forward(self, cells: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (rows, width), mean and log variance (rows, code size) of cells (rows, places) long."""
        h = self.body(cells, known)
        if self.head is None:
            return h, h[:, :0], h[:, :0]
        mean, log_var = self.head(normalised(h)).chunk(2, 1)
        return h, mean, log_var.clamp(-NARROW, NARROW)


def roles(
    sizes: Sequence[int], ordered: Sequence[int], widths: Sequence[int], code_size: int, dropout: float
) -> dict[str, nn.Module]:
    """Return the prior of what is known, the decoder and, with a code, the encoder of whole rows; widths are all the same one.

    Without a code there are several priors and decoders, each pair a member.
    """
    width, depth = widths[0], len(widths)
    if not code_size:  # the blocks of what is known do all the work
        known = [CellEncoder(sizes, ordered, width, depth, dropout, blocks=True) for _ in range(MEMBERS)]
        decoders = [CellDecoder(sizes, ordered, 0, width, 0, 0.0) for _ in range(MEMBERS)]
        return {"prior": nn.ModuleList(CodedCells(k, width, 0) for k in known), "decoder": nn.ModuleList(decoders)}
    return {
        "encoder": CodedCells(CellEncoder(sizes, ordered, width, 1, dropout, sees_all=True), width, code_size),
        "prior": CodedCells(CellEncoder(sizes, ordered, width, depth, dropout), width, code_size),
        "decoder": CellDecoder(sizes, ordered, code_size, width, depth, dropout),
    }


def terms(nets: Nets, batch: Batch, weights: Tensor) -> dict[str, Tensor]:
    """Return the surprise at hidden cells and, with a code, the KL, each times places / hidden ones, per row; w: ``weights`` (places,)."""
    cells, coded = batch.x.long(), "encoder" in nets
    found: list[dict[str, Tensor]] = []
    for prior_of, decoder in members(nets):
        known = hidden_at_random(len(cells), cells.shape[1], batch.generator, cells.device)
        h, *prior = prior_of(cells, known)
        mean, log_var = nets.encoder(cells)[1:] if coded else prior
        z = reparameterise(mean, log_var, batch.generator)
        each = [functional.cross_entropy(o, cells[:, i], reduction="none") for i, o in enumerate(decoder(h, z))]
        hidden = (~known).float()
        times = hidden.shape[1] / hidden.sum(1)
        surprise = {"surprise": (torch.stack(each, 1) * hidden * weights).sum(1) * times}
        found.append(surprise | ({"kl": kl_normals(mean, log_var, *prior).sum(1) * times} if coded else {}))
    return {name: torch.stack([one[name] for one in found]).mean(0) for name in found[0]}


def members(nets: Nets) -> list[tuple[nn.Module, CellDecoder]]:
    """Return each network of what is known with its decoder: several where there is no code, whose probabilities are averaged."""
    own: Any = (nets.prior, nets.decoder)
    return list(zip(*own, strict=True)) if isinstance(nets.prior, nn.ModuleList) else [own]


def tables(nets: Nets) -> list[Tensor]:
    """Return the vectors of all bins in each member's decoder, the same for all places: for `logits`."""
    return [decoder.table() for _, decoder in members(nets)]


def weights_of(counts: Sequence[Sequence[int]]) -> Tensor:
    """Return w of each place, (places,), from the rows in each of its bins: entropy^(-1/2), such that sum w_i entropy_i is that of w = 1.

    A flag's whole entropy is a sixth of a number's; unweighted, what the other columns have to do with it would be lost among the numbers.
    """
    shares = [torch.tensor(rows, dtype=torch.float64, device="cpu") / sum(rows) for rows in counts]
    entropy = torch.stack([torch.special.entr(share).sum() for share in shares])
    weights = entropy.clamp(min=LEAST_ENTROPY).rsqrt()
    total = (weights * entropy).sum()
    return (weights * entropy.sum() / total if total > 0 else torch.ones_like(weights)).float()


def logits(
    nets: Nets, cells: Tensor, known: Tensor, place: int, vectors: Sequence[Tensor], generator: torch.Generator
) -> Tensor:
    """Return logits of the bins of a place given known cells, (rows, bins), with a code drawn for each row, where there is one.

    Of several members they are those of the mean of their probabilities (Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4).
    """
    found = []
    for (prior, decoder), table in zip(members(nets), vectors, strict=True):
        h, mean, log_var = prior(cells, known)
        found.append(decoder.of_place(h, reparameterise(mean, log_var, generator), place, table))
    return found[0] if len(found) == 1 else torch.stack([each.log_softmax(1) for each in found]).logsumexp(0)


def hidden_at_random(
    n: int, places: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Return which cells are known, (rows, places) bool: of each row 0 to places - 1, every number and every choice alike likely."""
    count = torch.randint(places, (n, 1), generator=generator, device=device)
    return torch.rand(n, places, generator=generator, device=device).argsort(1).argsort(1) < count


@torch.no_grad()
def begin(nets: Nets, cells: Tensor) -> None:
    """Begin at independent columns: the bias of each bin is the logarithm of its share."""
    for _, decoder in members(nets):
        for i, (size, end) in enumerate(zip(decoder.sizes, decoder.ends, strict=True)):
            counts = torch.bincount(cells[:, i], minlength=size).float() + 0.5
            decoder.bias[end - size : end] = (counts / counts.sum()).log()
