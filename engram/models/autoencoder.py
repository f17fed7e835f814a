"""Autoencoder: a row goes through a narrow code and comes back (Hinton & Salakhutdinov, Science 313, 2006).

    minimise   - log p(x | decoder(z))  +  penalties(z)        with z = code(encoder(corrupt(x))), averaged over rows

Corruption: the denoising autoencoder (Vincent et al., JMLR 11, 2010); the target stays clean. Contraction: ||d z / d x||_F^2 (Rifai et
al., ICML 2011). Sparsity: few units of the code are active at a time (see `engram.maths.sparsity`). Orthogonality: squared correlations
between units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, cast

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.maths.jacobian import layer_norm_of_jacobian, probed_norm_of_jacobian
from engram.maths.sparsity import correlations, kl_to_rate, l1
from engram.models.codes import Codes
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.resolve import auto_code_size, checked_parameters, resolve_settings
from engram.models.sparse import (
    NARROWING,
    REVIVE_EVERY,
    SELECTING,
    SLACK,
    dead_code,
    reading_norms,
    revive,
    set_threshold,
    start_in_both_directions,
    units_of,
)
from engram.models.stacking import check_pairs, corrupted_hidden, layer_of, learn_in_pairs, start_tied, tie
from engram.networks import Coder
from engram.registry import MODELS
from engram.training import Batch, Finding, Settings, Turn
from engram.training.nets import Nets
from engram.training.settings import usable_device

LEVELS = {"l1": 0.1, "kl": 0.05}  # what "auto" is as a level of sparsity
MOST_UNITS = 1024  # of an automatic overcomplete code, which else has
OVERCOMPLETE = 4  # ... times as many units as a row has values


@MODELS.register("autoencoder", "Rows through a narrow code and back")
@MODELS.register(
    "denoising-autoencoder", "An autoencoder that repairs corrupted rows", corruption="gaussian", corruption_level=0.3
)
@MODELS.register("convolutional-autoencoder", "An autoencoder of convolutions, for pictures", network="conv")
@MODELS.register("sparse-autoencoder", "An autoencoder with a wide code of which few units are active", sparsity="topk")
@MODELS.register(
    "contractive-autoencoder", "An autoencoder whose codes hardly move when rows do", contraction=0.3, tied=True
)
@MODELS.register("stacked-autoencoder", "An autoencoder whose layers learn one after the other first", pretrain=True)
@dataclass(eq=False, repr=False, kw_only=True)
class Autoencoder(Codes, Model):
    """Autoencoder, Hinton & Salakhutdinov 2006: minimise - log p(x | decoder(z)) + penalties(z), z = code(encoder(corrupt(x))).

    Linear (``hidden=()``) it is PCA; with ``corruption`` a denoising autoencoder; with ``network="conv"`` a convolutional one.

    Parameters
    ----------
    sparsity : str or None
        How codes are kept sparse: "l1" (a penalty on their size), "kl" (on mean activations off a target rate), "topk" (the k
        largest of each row stay) or "batchtopk" (k per row on average). The automatic code is then four times as wide as a row.
    sparsity_level : float or "auto"
        Of l1, the weight in nats; of kl, the rate; of topk and batchtopk, the units that stay, or below 1 their share.
    sparsity_weight : float
        Weight of the kl penalty in nats.
    sparsity_alpha : float
        With topk and batchtopk, so many times as many units stay at use as while learning (alpha of arXiv:1312.5663).
    code_activation : str
        Activation of the code units: "linear", "relu", "sigmoid", or "auto": "relu" for l1, topk and batchtopk, "sigmoid" for kl,
        else "linear".
    contraction : float
        Weight of the squared norm of the encoder's Jacobian: exact for one layer, else estimated by one random probe a step. Codes
        must not be able to shrink for free: use it with ``tied``.
    orthogonal : float
        Weight of the squared correlations between different code units.
    tied : bool
        The decoder's weights are the encoder's, transposed.
    pretrain : bool
        Learn the layers one pair after the other before the whole (fully connected ones, without the linear path); takes up to
        a quarter more than max_time. A fit that is resumed learns the pairs once more.
    """

    sparsity: Literal["l1", "kl", "topk", "batchtopk"] | None = None
    sparsity_level: Annotated[float, Gt(0)] | Literal["auto"] = "auto"
    sparsity_weight: Annotated[float, Ge(0)] = 1.0
    sparsity_alpha: Annotated[float, Gt(0)] = 1.0
    code_activation: Literal["auto", "linear", "relu", "sigmoid"] = "auto"
    contraction: Annotated[float, Ge(0)] = 0.0
    orthogonal: Annotated[float, Ge(0)] = 0.0
    tied: bool = False
    pretrain: bool = False

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """Sparse codes are wide and read by one layer; while the number of active units falls, no early stop."""
        if self.sparsity is None:
            return {}
        size = torch.Size(kind.shape).numel()
        wide = self.code_size == "auto" or self.code_size >= size
        found: dict[str, Any] = {"code_size": min(OVERCOMPLETE * size, MOST_UNITS), "warmup": NARROWING}
        return found | ({"hidden": ()} if wide and not str(self.network).startswith("conv") else {})

    def reasons(self) -> dict[str, str]:
        """Why a sparse code is as wide as it is, and has no layer before it."""
        if self.sparsity is None:
            return {}
        found = {
            "code_size": f"{OVERCOMPLETE} times as many units as a row has values, at most {MOST_UNITS}: few are on at a time"
        }
        is_wide = "hidden" in self.automatic(self.kind_)
        return found | ({"hidden": "a sparse code that is as large as the row is read by one layer"} if is_wide else {})

    def may_change(self) -> set[str]:
        """The weights of its terms, too."""
        own = {"sparsity_weight", "contraction", "orthogonal"}
        return super().may_change() | own | ({"sparsity_level"} if self.sparsity == "l1" else set())

    @property
    def takes_y(self) -> bool:
        """Whether it can be conditional: networks whose layers are looked at one by one cannot."""
        return not (self.tied or self.pretrain or self.sparsity or self.contraction)

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """One encoder, one decoder, and what makes codes of the encoder's output where that is not the code itself."""
        for name in ("tied", "pretrain"):
            if getattr(self, name):
                check_pairs(shapes, name)
        shapes = replace(shapes, skip=shapes.skip and not self.pretrain)
        encoder, decoder = shapes.encoder(), shapes.decoder()
        if self.tied:
            tie(cast("Coder", encoder), cast("Coder", decoder.network))
        found: dict[str, nn.Module] = {"encoder": encoder, "decoder": decoder}
        if self.sparsity is None and self.code_activation in ("auto", "linear"):
            return found
        auto_k = max(1, min(auto_code_size(self.kind_), shapes.code_size // 2))
        level = -1.0 if self.sparsity_level == "auto" else self.sparsity_level
        units = units_of(self.sparsity, level, self.sparsity_alpha, self.code_activation, shapes.code_size, auto_k)
        return found | {"code": units}

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at principal components, or with layers that were learned one pair after the other."""
        if self.pretrain:
            self._learn_in_pairs(nets, rows)
        began = False
        if not self.pretrain and (
            "code" not in nets or (nets.code.activation == "linear" and nets.code.select is None)
        ):
            began = start_tied(nets, rows, super().start) if self.tied else super().start(nets, rows)
        elif not self.pretrain and nets.code.activation == "relu":
            began = start_in_both_directions(nets, rows, super().start)
        if "code" in nets:
            set_threshold(nets.code, nets.encoder, rows)
        return began

    def _learn_in_pairs(self, nets: Nets, rows: Rows) -> None:
        values, device = checked_parameters(self), str(usable_device(self.device))

        def settings(pair: Nets) -> Settings:
            return resolve_settings(pair, len(rows), values, torch.initial_seed() % 2**31, device, began=False)

        def hidden(batch: Batch) -> Tensor:
            return corrupted_hidden(self.corruption, batch.x, self.corruption_level)

        learn_in_pairs(nets, rows, settings, lambda batch: self.corrupted(nets, batch), hidden)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- log p(x | decoder(z)) per row, and the penalties on z = code(encoder(corrupt(x)))."""
        x, norm = self.corrupted(nets, batch), None
        if self.contraction and layer_of(nets.encoder) is None:
            codes, norm = probed_norm_of_jacobian(
                lambda rows: self._code(nets, rows, batch, batch.progress), x, batch.generator
            )
        else:
            codes = self._code(nets, x, batch, batch.progress)
        log_prob = nets.decoder.likelihood.log_prob(nets.decoder(codes, *batch.given), batch.x, batch.mask)
        return {"reconstruction": -log_prob} | self._penalties(nets, codes, norm)

    def _code(self, nets: Nets, x: Tensor, batch: Batch, progress: float | None = None) -> Tensor:
        code: Tensor = nets.encoder(x, *batch.given)
        return nets.code(code, progress) if "code" in nets else code

    def _penalties(self, nets: Nets, codes: Tensor, norm: Tensor | None) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        level = LEVELS.get(str(self.sparsity), 0.0) if self.sparsity_level == "auto" else self.sparsity_level
        if self.sparsity == "l1":
            found["sparsity"] = level * l1(codes, reading_norms(nets.decoder.network, codes.shape[1]))
        elif self.sparsity == "kl":
            found["sparsity"] = self.sparsity_weight * kl_to_rate(codes, level)
        layer = layer_of(nets.encoder)
        if self.contraction and layer is not None:
            slope = nets.code.slope(codes) if "code" in nets else torch.ones_like(codes)
            norm = layer_norm_of_jacobian(slope, layer.weight)
        if norm is not None:
            found["contraction"] = self.contraction * norm
        if self.orthogonal:
            found["orthogonality"] = self.orthogonal * correlations(codes)
        return found

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Count for how long units were not active, and revive those of a sparse code that have died."""
        if "code" in nets:
            nets.code.count()
        if self.sparsity in SELECTING and batch.step % REVIVE_EVERY == REVIVE_EVERY - 1 and batch.progress < SLACK:
            revive(nets, batch.x)

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Estimate the scales that scores use, and count the units of a sparse code that are never active."""
        found = super().finish(nets, rows, held_out)
        if self.sparsity in (None, "kl"):
            return found
        parts = rows.within(1 << 24, 256, 8192).blocks(4096)
        return found + dead_code(torch.cat([self.encode(nets, Batch(part.x, part.mask, part.y)) for part in parts]))

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes, (rows, code size)."""
        return self._code(nets, batch.x, batch)
