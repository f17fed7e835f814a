"""Synthetic tables: rows that look like those of a table, obey rules, and are none of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from engram.apps.augmentation import Augmented, augment
from engram.data.binned import Binned
from engram.data.coding import MANY, Coding
from engram.data.kind import Kind
from engram.data.known_cells import Given, known_cells
from engram.data.matrix import Matrix
from engram.data.rows import Rows
from engram.errors import UsageError
from engram.evaluation.report import Report
from engram.evaluation.synthetic import judge_synthetic
from engram.evaluation.table_learners import detection
from engram.models import cell_game, masked_vae
from engram.models.drawing import ByRows, ByVAE, Picker, draw_cells
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.parameters import checked, checked_value, plain
from engram.registry import APPS
from engram.training import Batch, Finding, Turn, train
from engram.training.nets import Nets
from engram.training.session import seed_from

STEPS = 3000  # of a fit
STEPS_A_ROW = 10  # ... at most, for small tables
WIDE = 4096  # rows, from which on networks are wider
WIDTHS = (128, 256)
CODE_SIZE = 16
GOOD = 0.75  # area under the curve of telling generated rows apart, up to which "auto" tries no GAN
FEWEST = 1000  # rows, below which "auto" tries no GAN: a discriminator would learn them by heart
JUDGED = 2000  # held-out rows, at most, that models are compared on


@APPS.register("synthesis", "Rows that look like those of a table and obey rules, also for given cells")
@dataclass(eq=False, repr=False, kw_only=True)
class Synthesizer(Model):
    """Generate rows that look like those of a table.

    Columns are cut into bins (quantiles of numbers, spikes such as zeros, categories, missing), and a masked VAE learns any of them given
    any others (arXiv:1806.02382), so that rows can be drawn for given cells without waiting for them to come up. From 16,384 rows on
    its code is empty unless ``code_size`` is given: cells are drawn one by one, which needs none (arXiv:1310.1757), and three networks
    are averaged. What is kept are
    weights, bounds, quantiles and categories of at least ``min_count`` rows: no row, no key, no rare text. That is no proof of
    anonymity: read what `evaluate` says of privacy, and remember that distances prove nothing.

    Parameters
    ----------
    model : str
        "vae", "gan", or "auto": the VAE, and where its rows are easy to tell from held-out ones a GAN too, of which the better one is
        taken. Given cells always take the VAE.
    columns : dict or None
        Types of columns that correct what is found out, e.g. {"zip": "category", "id": "drop"}.
    constraints : tuple of str
        Rules that every generated row obeys: "start <= end", "price >= 0", "0 <= share <= 1", "city & country" (combinations seen only).
    min_count : int
        Rows that a category must have to be kept; rarer texts come out as "other".
    max_epochs : int or "auto"
        Most passes over the rows, of the VAE and of a GAN that "auto" tries.
    max_time : str, float or None
        Longest time to train, of the VAE and of a GAN that "auto" tries in what is left of it. Boosted trees that tell generated from at
        most 2,000 held-out rows take some seconds: the VAE's are deducted from the GAN's time, the last ones come on top, and so do the
        bins of the columns.
    """

    model: Literal["auto", "vae", "gan"] = "auto"
    constraints: tuple[str, ...] = ()
    min_count: Annotated[int, Ge(1)] = 5
    kind: Literal["auto", "bins"] = "bins"  # type: ignore[assignment]
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.15
    clip: Annotated[float, Gt(0)] | None = 5.0

    own_networks = False

    # --- learning ---

    def fit(
        self, X: Any, y: Any = None, *, validation: Any = None, run: str | Path | None = None, resume: bool = False
    ) -> Self:
        """Learn from rows; see `Model.fit`. A label that is to be generated is a column of X.

        Raises `DataError` where rows break a constraint, `UsageError` for one that names no column or limits what is no number.
        """
        if not isinstance(X, Binned):
            rules, least = (checked(type(self), name, getattr(self, name)) for name in ("constraints", "min_count"))
            wrapped = Binned.taking(X) if isinstance(X, Kind) else Binned(X)
            if wrapped is None:
                raise UsageError("a synthesizer takes tables: a DataFrame, a 2-D array, a CSV or Parquet file.")
            fine = self.model != "gan"  # which does better with fewer bins
            wrapped.coding = Coding(wrapped.coding.wishes, rules, least, fine)
            X = wrapped
        super().fit(X, y, validation=validation, run=run, resume=resume)
        return self

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """A small code, and the step size that suits it."""
        return {"code_size": CODE_SIZE, "hidden": (WIDTHS[1],) * 2, "learning_rate": 3e-3, "weight_decay": 0.05}

    def suited(self, rows: Rows) -> dict[str, Any]:
        """Wider networks and more steps for more rows, and no code for many: its noise is what keeps few from being learned by heart."""
        width = WIDTHS[len(rows) >= WIDE]
        code = 0 if self.coding_.is_large else CODE_SIZE
        return {"code_size": code, "hidden": (width,) * 2, "steps": min(STEPS, max(200, STEPS_A_ROW * len(rows)))}

    def reasons(self) -> dict[str, str]:
        """Why `automatic` and `suited` choose what they do."""
        return {
            "code_size": f"{CODE_SIZE}, none from {MANY:,} rows on: its noise keeps few rows from being learned by heart",
            "hidden": f"two layers of one width: {WIDTHS[0]}, {WIDTHS[1]} from {WIDE:,} rows on",
            "max_epochs": f"{STEPS_A_ROW} steps for each row, 200 to {STEPS:,}",
            "learning_rate": "3e-3, which suits a small code",
        }

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """The masked VAE's networks and, for a GAN, a generator and a discriminator."""
        if shapes.modules or self.network not in ("auto", "mlp") or len(set(shapes.widths)) != 1:
            raise UsageError(
                "Synthesizer builds its networks itself: leave encoder= and decoder= out, and give layers one width."
            )
        kind, is_gan = self._binned, self.model == "gan"
        self._likelihood = kind.likelihood()
        found = masked_vae.roles(kind.sizes, kind.ordered, shapes.widths, shapes.code_size, shapes.dropout)
        self._turns_of = (Turn("masked-vae", tuple(found)), *(cell_game.TURNS if is_gan else ()))
        weights = masked_vae.weights_of([place.bins.counts for place in self.coding_.coded])
        self._weights = torch.ones_like(weights) if shapes.code_size else weights
        return found | cell_game.roles(kind.sizes, kind.ordered, shapes.widths) if is_gan else found

    @property
    def _binned(self) -> Binned:
        assert isinstance(self.kind_, Binned)
        return self.kind_

    @property
    def coding_(self) -> Coding:
        """How rows become bins."""
        return self._binned.coding

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at independent columns."""
        masked_vae.begin(nets, rows.x.long())
        return False

    def turns(self, step: int) -> Sequence[Turn]:
        """The VAE's turn and, with a GAN, those of the game."""
        return self._turns_of

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """See `engram.models.masked_vae` and `engram.models.cell_game`."""
        if turn.name == "masked-vae":
            return masked_vae.terms(nets, batch, self._weights.to(batch.x.device))
        return cell_game.terms(turn, nets, batch, self._likelihood)

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Compare generated with held-out rows; where the VAE's are easy to tell apart, try a GAN."""
        self.chosen_ = "gan" if self.model == "gan" else "vae"
        self.scores_: dict[str, float] = {}
        since = time.perf_counter()
        if held_out is None or len(held_out) < 20:
            return []
        held = held_out.spread(JUDGED)
        self.scores_["vae"] = self._told_apart("vae", nets, held)
        if self.model == "gan":
            self.scores_["gan"] = self._told_apart("gan", nets, held)
        elif self.model == "auto" and self.scores_["vae"] > GOOD and len(rows) >= FEWEST:
            self._try_game(nets, rows, held, since)
        told = ", ".join(f"{name} {score:.2f}" for name, score in self.scores_.items())
        message = (
            f"boosted trees tell generated from held-out rows with an area under the curve of: {told} (.5 is best)"
        )
        worse = _far(self.scores_[self.chosen_]) > min(map(_far, self.scores_.values()))
        return [Finding("told-apart", message, "model='auto' takes the better one" if worse else "")]

    def _try_game(self, nets: Nets, rows: Rows, held: Rows, since: float) -> None:
        """Train a GAN too, in the time that is left, and keep it where its rows are harder to tell apart."""
        kind, settings = self._binned, self.settings_
        device, left = torch.device(settings.device), self.history_.left(settings.max_time, since)
        if left is not None and left <= 0:
            return
        game = Nets(cell_game.roles(kind.sizes, kind.ordered, self.shapes_.widths)).to(device)
        own, self._turns_of = self._turns_of, cell_game.TURNS
        try:
            with torch.enable_grad():
                train(self, game, rows.to(device), None, replace(settings, max_time=left))
        finally:
            self._turns_of = own
        game.to("cpu")
        both = Nets({**dict(nets.items()), **dict(game.items())})
        self.scores_["gan"] = self._told_apart("gan", both, held)
        if _far(self.scores_["gan"]) < _far(self.scores_["vae"]):
            self.chosen_ = "gan"
            nets.update(dict(game.items()))

    def _told_apart(self, name: str, nets: Nets, held: Rows) -> float:
        """Return how well held-out rows of bins are told from generated ones."""
        seed = self.settings_.seed
        bins, _ = self._drawn(name, nets, len(held), np.random.default_rng(seed), Given())
        drawn = np.column_stack([bins[place.name] for place in self.coding_.coded]).astype(np.float64)
        discrete = np.array([place.bins.sort != "number" for place in self.coding_.coded])
        real, other = (Matrix(x, discrete, tuple(self.kind_.columns)) for x in (held.x.double().numpy(), drawn))
        return detection(real, other, seed)

    def described(self) -> dict[str, Any]:
        """The model that was chosen stands for "auto" in a run folder."""
        return {"model": getattr(self, "chosen_", self.model)}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Nothing but weights was kept."""
        super().restore_tensors(tensors)
        self.chosen_ = "gan" if self.model == "gan" else "vae"
        self.scores_ = {}

    # --- using ---

    def sample(self, n: int = 1, *, given: Any = None, y: Any = None, random_state: Any = None) -> pd.DataFrame:
        """Draw new rows.

        Parameters
        ----------
        n : int
            How many.
        given : dict or DataFrame, optional
            Cells that the rows are to have: {"country": "NL"}, or one cell for each row, {"age": [30, 40]}. None asks for a missing cell.
            Rows are drawn from the distribution given these cells by the masked VAE, also where a GAN was chosen.
        y : ignored
            For conditional models.
        random_state : int, RandomState or None
            Seed of the draw.

        Raises
        ------
        UsageError
            A given column is unknown, or a cell cannot be: a category that was not kept, a number outside of the rows at fit, a fraction
            among whole numbers. Cells of keys, texts and columns of one value, of which nothing is learned, are written as they are given.
        """
        n = checked_value("n", n, Annotated[int, Ge(1)])
        with self.fitted() as nets:
            known = known_cells(self.coding_, given, n)
            asked = bool(known.bins or known.allowed)
            random = np.random.default_rng(seed_from(random_state))
            bins, numbers = self._drawn("vae" if asked else self.chosen_, nets, n, random, known)
            own = {column: [plain(cell) for cell in cells] for column, cells in known.cells.items()}
            return self._binned.written(bins, numbers, random, own)

    def _drawn(
        self, name: str, nets: Nets, n: int, random: np.random.Generator, known: Given
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        picker: Picker = ByVAE(nets)
        if name == "gan":
            generator = torch.Generator().manual_seed(int(random.integers(2**62)))
            cells = cell_game.drawn_cells(nets, n, self._likelihood, generator)
            picker = ByRows({place.name: cells[:, i] for i, place in enumerate(self.coding_.coded)})
        return draw_cells(picker, self.coding_, n, random, known)

    def augment(self, X: Any, y: Any, *, random_state: Any = None) -> Augmented:
        """Return rows with generated ones of the rarer classes, and whether these help.

        A synthesizer with these parameters is fitted to seven tenths of the rows, and boosted trees are tested on the others: learned from
        the rows as they are, with class weights, with SMOTE, and with generated rows. Then one is fitted to all rows for what is returned.

        Parameters
        ----------
        X : DataFrame or array
            Rows.
        y : str or array
            The column of X that holds the classes, or one class per row. Rows without a class are left out, and the advice says so.
        random_state : int, RandomState or None
            Seed of all of it; without, that of the synthesizer.

        Raises
        ------
        DataError
            There are fewer than two classes, or one of them has fewer than five rows.
        """
        return augment(self, X, y, seed_from(self.random_state if random_state is None else random_state))

    def evaluate(self, X: Any, *, target: Any = None, train: Any = None, random_state: Any = 0) -> Report:
        """Judge generated rows beside real ones, SMOTE, a Gaussian copula and independent columns; see `judge_synthetic`.

        Parameters
        ----------
        X : like the data of `fit`
            Real rows, better such as it has not seen.
        target : str, optional
            A column that learners predict, trained on generated and tested on real rows.
        train : like X, optional
            The rows it was fitted on: then copies, near rows and one attack on membership are looked for.
        random_state : int, RandomState or None
            Seed.
        """
        with self.fitted():
            return judge_synthetic(self, X, target=target, train=train, random_state=random_state)

    def report_on(self, X: Any, y: Any = None, *, train: Any = None, random_state: Any = 0) -> Report:
        """Return what `engram.evaluate` says: generated rows are judged as tables, without a target; ``y`` is ignored."""
        return self.evaluate(X, train=train, random_state=random_state)


def _far(area: float) -> float:
    """Return how far the area under a curve is from that of rows which nobody can tell apart."""
    return abs(area - 0.5)
