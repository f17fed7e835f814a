"""Held-out rows watched during a fit: the best weights are kept, and training ends when nothing improves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engram.data.rows import Rows
from engram.errors import DivergedError
from engram.training.batches import Batch
from engram.training.nets import Nets
from engram.training.settings import Settings

if TYPE_CHECKING:
    from engram.training.turns import Player

BLOCK = 4096  # most rows evaluated at once
NAMED = 3  # held-out rows in a message
NOISE = 20_240_229  # held-out losses that need noise always use the same


class Watch:
    """Evaluates the first turn's terms on held-out rows and remembers the best weights.

    The weights at step 0 (a start at principal components, say) are replaced only by weights that are better by more than one standard
    error of the paired differences over the held-out rows, so that luck on a few rows does not beat a closed form. A loss that is not
    finite is better than none; where all were such, there is nothing to choose by, and training ends in a `DivergedError`.
    """

    def __init__(self, player: Player, nets: Nets, rows: Rows, settings: Settings) -> None:
        self.player, self.rows, self.settings = player, rows, settings
        self.best = float("inf")
        self.best_step = 0
        self.kept: dict[str, Tensor] = {}
        self.start: Tensor | None = None
        self.waited = 0

    @torch.no_grad()
    def losses(self, nets: Nets) -> Tensor:
        """Return the sum of the terms for each held-out row, (rows,), block by block."""
        turn = self.player.turns(0)[0]
        was_training = nets.training
        nets.eval()
        generator = torch.Generator(device=self.rows.x.device).manual_seed(NOISE)
        found = []
        for piece in self.rows.blocks(BLOCK):
            batch = Batch(piece.x, piece.mask, piece.y, piece.weight, generator=generator)
            terms = self.player.terms(turn, nets, batch)
            found.append(sum(terms.values(), torch.zeros(len(batch), device=piece.x.device)))
        nets.train(was_training)
        return torch.cat(found)

    def look(self, step: int, nets: Nets, progress: float = 0.0) -> tuple[float, bool]:
        """Return the mean held-out loss, and whether it is time to stop."""
        losses = self.losses(nets)
        loss = float(losses.mean())
        needed = self.settings.tol * max(abs(self.best), 1e-12) if self.best < float("inf") else 0.0
        rank = loss if math.isfinite(loss) else math.inf
        improved = rank < self.best and (self.best_step > 0 or self._beats_start(losses))
        self.waited = 0 if rank < self.best - needed or progress < self.settings.warmup else self.waited + 1
        if step == 0:
            self.start = losses
        if improved:
            self.best, self.best_step = loss, step
        if improved or step == 0:
            self.kept = {name: value.detach().clone() for name, value in nets.state_dict().items()}
        patient = not self.settings.early_stopping and self.best < math.inf
        return loss, not patient and self.waited >= self.settings.n_iter_no_change

    def _beats_start(self, losses: Tensor) -> bool:
        if self.start is None or self.best == math.inf:
            return True
        gain = self.start - losses
        error = gain.std() / len(gain) ** 0.5 if len(gain) > 1 else gain.new_zeros(())
        return bool(gain.mean() > error)

    def restore(self, nets: Nets) -> int:
        """Put the best weights back and return their step; raise `DivergedError` where no held-out loss was finite."""
        if self.best == math.inf:
            raise self._never_finite(self.losses(nets))
        nets.load_state_dict(self.kept)
        return self.best_step

    def _never_finite(self, losses: Tensor) -> DivergedError:
        bad = (~losses.isfinite()).nonzero().flatten()
        numbers = bad if self.rows.index is None else self.rows.index[bad]
        rows = "held-out row" if self.rows.index is None else "row"
        named = ", ".join(f"{rows} {int(n)} ({float(losses[i]):g})" for i, n in zip(bad[:NAMED], numbers, strict=False))
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        return DivergedError(
            f"the loss of the {len(losses)} held-out rows was never finite, from the weights that training began with to the last: "
            f"{named}{more}. Look at these rows, or for a root, a logarithm or a division at zero in networks of your own."
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what a checkpoint must hold."""
        tensors = {f"kept.{name}": t for name, t in self.kept.items()}
        if self.start is not None:
            tensors["start"] = self.start
        best = self.best if self.best < math.inf else None
        return tensors, {"best": best, "best_step": self.best_step, "waited": self.waited}

    def restore_state(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.kept = {name.removeprefix("kept."): t for name, t in tensors.items() if name.startswith("kept.")}
        self.start = tensors["start"]
        self.best = math.inf if told["best"] is None else told["best"]
        self.best_step, self.waited = told["best_step"], told["waited"]
