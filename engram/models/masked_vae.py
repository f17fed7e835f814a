"""Masked VAE of rows of bins: any cells given any others (VAEAC: Ivanov, Figurnov & Vetrov, ICLR 2019, arXiv:1806.02382).

    minimise   D / |H| ( - E_q(z | x) sum_{i in H} log p(x_i | z, x_K)  +  KL(q(z | x) || p(z | x_K)) )      averaged over rows, in nats

K are the known and H the hidden of a row's D places; how many are hidden is uniform from 1 to D, so that with the factor every size
counts the same (Uria, Murray & Larochelle 2014, arXiv:1310.1757, equation 7). Encoder q sees the whole row, the prior of the code sees what is
known, the decoder sees the code and what is known. Every cell is a category (see `engram.data.bins`). A row is drawn place by place in
random orders, each time with a new code given all that is known by then, so that conditions are given, not waited for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.data.rows import Rows
from engram.maths.divergence import kl_normals, reparameterise
from engram.networks.cells import CellDecoder, CellEncoder, normalised
from engram.training import Batch, Finding, History, Settings, Turn, train
from engram.training.nets import Nets
from engram.training.session import seeded, threads
from engram.training.settings import auto_batch_size, usable_device

STEPS = 3000  # of training
EPOCHS = 300  # passes at most
LEARNING_RATE, WEIGHT_DECAY, CLIP = 2e-3, 0.05, 5.0
HELD_OUT = 2000  # rows at most that are looked at while training
NARROW = 12.0  # log variances of codes lie within +- this


@dataclass(frozen=True)
class CellShapes:
    """All that decides the networks.

    Parameters
    ----------
    sizes : tuple of int
        Bins of each place.
    ordered : tuple of int
        How many of them stand in order, see `engram.networks.cells.BinTable`.
    width, depth, code_size : int
        Of the networks.
    dropout : float
        Share of hidden values dropped while learning.
    """

    sizes: tuple[int, ...]
    ordered: tuple[int, ...]
    width: int = 256
    depth: int = 2
    code_size: int = 16
    dropout: float = 0.1

    @classmethod
    def auto(cls, sizes: Sequence[int], ordered: Sequence[int], n_rows: int) -> CellShapes:
        """Wider networks for more rows."""
        width = 256 if n_rows >= 4096 else 128
        return cls(tuple(sizes), tuple(ordered), width, dropout=0.1 if n_rows >= 20_000 else 0.2)

    def nets(self) -> Nets:
        """Return networks at the start of training, by role."""
        coder = (self.sizes, self.ordered, self.width)
        return Nets(
            {
                "encoder": nn.ModuleList([CellEncoder(*coder, 1, self.dropout), nn.Linear(self.width, 2 * self.code_size)]),
                "prior": nn.ModuleList([CellEncoder(*coder, self.depth, self.dropout), nn.Linear(self.width, 2 * self.code_size)]),
                "decoder": CellDecoder(self.sizes, self.ordered, self.code_size, self.width, self.depth, self.dropout),
            }
        )


@dataclass
class MaskedVAE:
    """The distribution of any cells of a row given any others.

    Parameters
    ----------
    shapes : CellShapes
        Of the networks.
    nets : Nets or None
        Fitted networks; None before `fit`.
    """

    shapes: CellShapes
    nets: Nets | None = None
    history: History = field(default_factory=History)
    findings: list[Finding] = field(default_factory=list)

    # --- learning: what the loop asks of a player ---

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn, in which all learn."""
        return (Turn("masked-vae", ("encoder", "prior", "decoder")),)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """Surprise at the hidden cells and the KL of the code, each times places / hidden ones, per row."""
        cells = batch.x.long()
        known = hidden_at_random(len(cells), cells.shape[1], batch.generator, cells.device)
        h = nets.prior[0](cells, known)
        prior, own = heads(nets.prior[1], h), heads(nets.encoder[1], nets.encoder[0](cells))
        z = reparameterise(*own, batch.generator)
        logits = nets.decoder(h, z)
        each = [functional.cross_entropy(o, cells[:, i], reduction="none") for i, o in enumerate(logits)]
        hidden = (~known).float()
        weight = hidden.shape[1] / hidden.sum(1)
        surprise = (torch.stack(each, 1) * hidden).sum(1)
        return {"surprise": surprise * weight, "kl": kl_normals(*own, *prior).sum(1) * weight}

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Nothing."""

    def fit(
        self, cells: Tensor, *, seed: int = 0, max_epochs: int | None = None, max_time: float | None = None, device: str = "auto"
    ) -> MaskedVAE:
        """Learn from rows of bins, (rows, places) whole numbers; a tenth is held out, and the weights that are best on it are kept."""
        where = usable_device(device)
        order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))
        n_held = min(len(cells) // 10, HELD_OUT)
        rows, held = Rows(cells[order[n_held:]].float()), Rows(cells[order[:n_held]].float())
        settings = self._settings(len(rows), seed, max_epochs, max_time, where.type)
        with seeded(seed, where.type), threads(settings.threads):
            nets = self.shapes.nets()
            begin(nets.decoder, rows.x.long())
            nets.to(where)
            self.history = train(self, nets, rows.to(where), held.to(where) if n_held else None, settings)
            self.nets = nets.to("cpu").eval()
        self.findings = list(self.history.findings())
        if not n_held:
            told = f"{len(cells)} row{'s are' if len(cells) > 1 else ' is'} too few to hold any out: nothing was checked on unseen rows"
            self.findings.append(Finding("no-held-out-rows", told, "Collect more rows before trusting generated ones"))
        return self

    def _settings(
        self, n_rows: int, seed: int, max_epochs: int | None, max_time: float | None, device: str
    ) -> Settings:
        batch_size = min(auto_batch_size(n_rows), n_rows)
        epochs = min(math.ceil(STEPS / math.ceil(n_rows / batch_size)), EPOCHS)
        return Settings(
            batch_size, max_epochs or epochs, LEARNING_RATE, weight_decay=WEIGHT_DECAY, clip=CLIP, n_iter_no_change=20,
            tol=1e-4, max_time=max_time, threads=max(torch.get_num_threads(), 1), device=device, seed=seed,
        )  # fmt: skip

    # --- using ---

    def log_prob(self, cells: Tensor, generator: torch.Generator) -> Tensor:
        """Return the negative loss of rows, (rows,), in nats: a bound on log p(x), averaged over orders, from one draw of each."""
        assert self.nets is not None
        with torch.no_grad():
            found = self.terms(self.turns(0)[0], self.nets, Batch(cells.float(), generator=generator))
        return -sum(found.values(), torch.zeros(len(cells)))

    @torch.no_grad()
    def logits(self, cells: Tensor, known: Tensor, place: int, generator: torch.Generator) -> Tensor:
        """Return logits of the bins of a place given known cells, (rows, bins), with a code drawn for each row."""
        assert self.nets is not None
        if not hasattr(self, "_table"):
            self._table = self.nets.decoder.table()  # the same for all places and calls
        h = self.nets.prior[0](cells, known)
        z = reparameterise(*heads(self.nets.prior[1], h), generator)
        found: Tensor = self.nets.decoder.of_place(h, z, place, self._table)
        return found

    # --- saving ---

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by name."""
        assert self.nets is not None
        return dict(self.nets.state_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the networks as plain JSON values."""
        shapes = self.shapes
        return {"sizes": list(shapes.sizes), "ordered": list(shapes.ordered), "width": shapes.width, "depth": shapes.depth,
                "code_size": shapes.code_size, "dropout": shapes.dropout}  # fmt: skip

    @classmethod
    def restored(cls, told: dict[str, Any], tensors: dict[str, Tensor]) -> MaskedVAE:
        """Return a fitted one from `to_dict` and `tensors`; raise `ValueError` where they do not belong together."""
        shapes = CellShapes(**told | {"sizes": tuple(told["sizes"]), "ordered": tuple(told["ordered"])})
        with torch.device("meta"):  # before any memory is taken for them
            expected = {name: tensor.shape for name, tensor in shapes.nets().state_dict().items()}
        if {name: tensor.shape for name, tensor in tensors.items()} != expected:
            raise ValueError("the weights are not those of the networks described")
        with seeded(0):
            nets = shapes.nets()
        nets.load_state_dict(tensors)
        return cls(shapes, nets.eval())


def heads(layer: nn.Module, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log variance of a code, (rows, code size) each."""
    mean, log_var = layer(normalised(h)).chunk(2, 1)
    return mean, log_var.clamp(-NARROW, NARROW)


def hidden_at_random(
    n: int, places: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Return which cells are known, (rows, places) bool: of each row 0 to places - 1 of them, every number and every choice alike likely."""
    count = torch.randint(places, (n, 1), generator=generator, device=device)
    return torch.rand(n, places, generator=generator, device=device).argsort(1).argsort(1) < count


@torch.no_grad()
def begin(decoder: CellDecoder, cells: Tensor) -> None:
    """Begin at independent columns: the bias of each bin is the logarithm of its share."""
    for i, (size, end) in enumerate(zip(decoder.sizes, decoder.ends, strict=True)):
        counts = torch.bincount(cells[:, i], minlength=size).float() + 0.5
        decoder.bias[end - size : end] = (counts / counts.sum()).log()
