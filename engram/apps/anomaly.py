"""AnomalyDetector: which rows are unlike the others, how sure that is, and which cells are to blame.

An ensemble of small denoising autoencoders, each blind to one fold of the rows, gives every row a held-out score; these are the yardstick
for new rows. See `engram.apps.ensemble` for what is learned, `engram.apps.surprise` for the score and `engram.maths.conformal` for
p-values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from pydantic import InstanceOf
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from engram.apps import members
from engram.apps.anomaly_findings import never_alerts, of_both, other_rows, too_few
from engram.apps.copies import Copies, described, model_from
from engram.apps.ensemble import Ensemble, fold_of, measured_values, numbers_of
from engram.apps.reasons import drifted, explained
from engram.apps.surprise import HELD, ROWS, Surprise
from engram.apps.views import Views, as_at_use
from engram.data.kind import Kind
from engram.data.rows import Rows, has_repeats
from engram.data.stream import Stream
from engram.errors import UsageError
from engram.maths.conformal import discoveries
from engram.models.blocks import over_blocks
from engram.models.intake import Intake
from engram.models.model import Model
from engram.models.options import Corruption, Level
from engram.models.parts import Shapes
from engram.models.scores import Scores
from engram.parameters import checked, checked_value
from engram.registry import APPS
from engram.training import Batch, Finding, Turn
from engram.training.checkpoint import Checkpoints
from engram.training.nets import Nets

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]
Share = Annotated[float, Gt(0), Lt(1)]
MOST_ROWS = 100_000  # that are learned from: 400 steps see no more
LOOKED_AT = 4 * (ROWS + HELD)  # rows that the score is estimated from
LEAST = -1e9  # offset where nothing can be an anomaly


@APPS.register("anomaly", "Unusual rows of a table, with p-values and the cells to blame")
@dataclass(eq=False, repr=False, kw_only=True)
class AnomalyDetector(Scores, OutlierMixin, Model):
    """Find rows that are unlike the rows it was fitted to.

    Parameters
    ----------
    model : str, dict, model or None
        What the members of the ensemble are: small denoising autoencoders, trained as one (None), or copies of a model with an encoder,
        by its name ("vae", "bigan"), by name and parameters ({"name": "vae", "beta": 2}), or the unfitted model itself. A given model
        corrupts its input by its own parameters: ``corruption`` and ``corruption_level`` are for None alone.
    n_models : int
        Members of the ensemble, each blind to one fold of the rows.
    alert_rate : float
        Share of normal rows that may be called anomalies.
    clean : bool or "auto"
        Whether the rows it learns from are without anomalies (true), or some of them are anomalies (false); "auto" is made for both.
    """

    model: str | dict[str, Any] | InstanceOf[Model] | None = None
    n_models: Annotated[int, Ge(1)] = 4
    alert_rate: Share = 0.05
    clean: bool | Literal["auto"] = "auto"
    corruption: Corruption | None = "gaussian"
    corruption_level: Level | tuple[Level, Level] = 0.2
    kind: Literal["auto", "table"] = "table"
    early_stopping: bool = False
    keeps_constants = True
    at_use = (*Model.at_use, "alert_rate")
    watches = False
    own_networks = False

    # --- learning ---

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """One hidden layer, and a learning rate that suits it; a given model has its own."""
        return members.automatic(None if self.model is None else model_from(self.model), kind)

    def suited(self, rows: Rows) -> dict[str, Any]:
        """A code that keeps nine tenths of the variance; a few hundred steps, fewer for small tables."""
        return members.suited(rows, is_own=self.model is None)

    def reasons(self) -> dict[str, str]:
        """Why `automatic` and `suited` choose what they do."""
        return members.reasons(None if self.model is None else model_from(self.model), self.kind_)

    @property
    def unused(self) -> tuple[str, ...]:
        """A given model has its own layers and, where it says so, its own code size."""
        return () if self.model is None else members.unused(model_from(self.model))

    @property
    def most_rows(self) -> int | None:
        """Small networks learn from a sample of many rows; a given model takes them all."""
        return MOST_ROWS if self.model is None else None

    def _train(
        self, given: Intake, values: dict[str, Any], seed: int, *, continued: bool, checkpoints: Checkpoints | None
    ) -> None:
        """Small networks have learned all they can from `MOST_ROWS`: of more, and of streams, a sample is learned from."""
        rows = given.rows
        most = self.most_rows
        if most is not None and (given.stream is not None or len(rows) > most):
            generator = torch.Generator().manual_seed(seed)
            rows = rows.take(torch.randperm(len(rows), generator=generator)[:most].sort().values)
            told = f"learned from a sample of {len(rows):,} of {given.n_rows:,} rows, which is enough for networks this small"
            self.findings_.append(Finding("sample", told))
            given = replace(given, stream=None)
            self.data_["trained_on"] = len(rows)
        if given.stream is None:
            rows = replace(rows, index=torch.arange(len(rows)))  # as the loop numbers them: folds are told by number
        super()._train(replace(given, rows=rows), values, seed, continued=continued, checkpoints=checkpoints)

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """The members' networks, and the scale of the rows."""
        if self.model is None:
            self._members = Ensemble(self.kind_, self._n_models, shapes.code_size, shapes.widths)
        else:
            model = model_from(self.model)
            self._members = Copies(model, self.kind_, self._n_models, shapes.code_size, self.data_["trained_on"])
        return self._members.roles()

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at principal components, each member at those of its own rows."""
        self._members.start(nets, rows)
        return self.model is None

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn for all members that are trained as one, else the turns of each."""
        return self._members.turns(step, self.settings_)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """What members minimise, on the rows that they learn from."""
        noise = self._noise if nets.training and self.corruption is not None else None
        return self._members.terms(turn, nets, batch, noise)

    def _noise(self, x: Tensor, batch: Batch) -> Tensor:
        return self.corrupt(x, batch)

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """What the members do after a step."""
        self._members.after_step(turn, nets, batch)

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Estimate the score: from rows that a member learned from, and on the scale of those that it did not."""
        generator = torch.Generator().manual_seed(self.settings_.seed)
        rows = rows.spread(LOOKED_AT)
        folds = fold_of(numbers_of(rows), self._members.folds)
        held = [folds == member for member in range(self._n_models)]
        findings = []
        if len(rows) < 2 * self._members.folds:
            held = [torch.ones(len(rows), dtype=torch.bool)] * self._n_models
            findings.append(too_few(len(rows)))
        self._score = Surprise(self._clean, nets.standard.measured, self.kind_.groups)
        apart = self._members.apart(len(rows))
        exact = apart or has_repeats(rows)
        parts = [
            as_at_use(partial(self.views, nets), Batch(part.x, part.mask), exact=exact) for part in rows.blocks(4096)
        ]
        self._score.fit(Views.joined(parts), held, generator, apart=apart, exact=exact)
        return findings + never_alerts(self.n_held_, self._alert_rate)

    @property
    def _clean(self) -> bool | None:
        clean = checked_value("clean", self.clean, bool | Literal["auto"])  # "no" is false, as for every parameter
        return None if clean == "auto" else clean

    @property
    def _alert_rate(self) -> float:
        """As it is now, checked: it may be changed after a fit."""
        return float(checked(type(self), "alert_rate", self.alert_rate))

    @property
    def _n_models(self) -> int:
        return int(checked(type(self), "n_models", self.n_models))

    @property
    def n_held_(self) -> int:
        """How many held-out scores p-values are measured by."""
        check_is_fitted(self, "_score")
        return self._score.held

    def views(self, nets: Nets, batch: Batch) -> Views:
        """Return rows as the score sees them."""
        return self._seen(nets, self.standardised(nets, batch), batch.mask)[0]

    def _seen(self, nets: Nets, x: Tensor, mask: Tensor | None) -> tuple[Views, Tensor]:
        """Return standardised rows as the score sees them, and what members make of them, (members, rows, values)."""
        return self._members.seen(nets, x, mask, fills=self._score.fills)

    def standardised(self, nets: Nets, batch: Batch) -> Tensor:
        """Return rows on the scale that members see, (rows, values)."""
        return self._members.standard(nets, batch)

    def settled(self, nets: Nets, x: Tensor) -> Tensor:
        """Return what each cell of standardised rows is expected to be, given the others, (rows, values)."""
        views, made = self._seen(nets, x, None)
        scale = self._members.own_scale
        return self._score.settled(views, made.mean(0), None if scale is None else scale.spread)

    def departures(self, nets: Nets, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return how strange standardised rows are, (2, rows): by the measures of `engram.apps.explanation`."""
        views, _ = self._seen(nets, x, mask)
        return torch.stack([self._score.departure(views).mean(0).double(), -2 * self._score.log_p(views)])

    @property
    def score_parts(self) -> Surprise:
        """The fitted score."""
        return self._score

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return what the score was estimated to be, and the members' scales where they have their own."""
        return self._score.state() | self._members.state()

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take the score back."""
        measured = measured_values(self._members.likelihood)
        self._score = Surprise(self._clean, measured, self.kind_.groups)
        self._score.restore(tensors, self._n_models)
        self._members.restore(tensors)

    def described(self) -> dict[str, Any]:
        """Return the parameters that JSON has otherwise: a model by its name and parameters."""
        return {"model": described(self.model)}

    # --- scores and decisions ---

    def log_density(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the scores of rows, (rows,) float64."""
        return self._score.log_p(self.views(nets, batch))

    def score_samples(self, X: Any, *, y: Any = None) -> Array:
        """Return a score per row, (rows,), higher is more normal: log(p-value - 1 / (held-out rows + 1)), so that rows do not tie."""
        scores: Array = over_blocks(self, X, self.log_density).numpy()
        return scores

    def member_scores(self, X: Any) -> Array:
        """Return the score that each member gives a row, (rows, members), higher meaning stranger."""
        found: Array = over_blocks(self, X, self._by_member).numpy()
        return found

    def _by_member(self, nets: Nets, batch: Batch) -> Tensor:
        return self._score.combined(self._score.parts(self.views(nets, batch))).T

    def pvalues(self, X: Any) -> Array:
        """Return a cross-conformal p-value per row, (rows,), at least 1 / (held-out rows + 1).

        Of rows like those it was fitted to, about a share a or less has a p-value of at most a: so it was in all that was tried. The
        theorem is weaker. Of k members that have nothing in common and n held-out rows it is for certain at most
        2 a + 2 (k - 1) (1 - a) / (n + k) (after Vovk 2015), and members have the size of the code and the scale of the likelihood in
        common; of 150 rows or more what is known of columns, too, which a row then moves little. Fewer than two rows a member are not
        held out: their p-values are only bounded from below.
        """
        return self.scored(X)["pvalue"]

    @property
    def offset_(self) -> float:
        """The score below which a row is an anomaly at `alert_rate`."""
        check_is_fitted(self, "network_")
        return self._offset(self._alert_rate)

    def _offset(self, rate: float) -> float:
        allowed = rate * (self.n_held_ + 1) - 1  # held-out rows at or beyond a row that alerts
        return math.log(allowed / (self.n_held_ + 1)) if allowed > 0 else LEAST

    def decision_function(self, X: Any) -> Array:
        """Return `score_samples` minus `offset_`, (rows,): negative for anomalies at `alert_rate`."""
        found: Array = self.score_samples(X) - self.offset_
        return found

    def predict(self, X: Any, *, alert_rate: float | None = None, fdr: float | None = None) -> Array:
        """Return 1 for normal rows and -1 for anomalies, (rows,).

        Parameters
        ----------
        X : like the data of `fit`
            Rows.
        alert_rate : float, optional
            Share of normal rows that may be called anomalies, instead of the one it was made with.
        fdr : float, optional
            Instead: the expected share of normal rows among those called anomalies, whatever their number (Benjamini & Hochberg, 1995). The
            rows are then looked at together.

        Raises
        ------
        UsageError
            Both are given, or one of them is no share.
        """
        if fdr is not None and alert_rate is not None:
            raise UsageError(f"predict takes alert_rate= or fdr=, and got both: {alert_rate!r} and {fdr!r}. Give one.")
        if fdr is not None:
            rate = checked_value("fdr", fdr, Share)
            return np.where(discoveries(torch.from_numpy(self.pvalues(X)), rate).numpy(), -1, 1)
        rate = self._alert_rate if alert_rate is None else checked_value("alert_rate", alert_rate, Share)
        return np.where(self.score_samples(X) < self._offset(rate), -1, 1)

    def scored(self, X: Any) -> dict[str, Array]:
        """Return what is said of each row, (rows,) each: score, pvalue, and whether it is an anomaly at `alert_rate`."""
        score = self.score_samples(X)
        p = np.minimum(1.0, np.exp(score) + 1 / (self.n_held_ + 1))
        return {"score": score, "pvalue": p, "anomaly": score < self.offset_}

    def explain(self, X: Any, top: int | None = None) -> pd.DataFrame:
        """Return which cells make each row strange: columns row, column, share, value, expected; of a row the largest share first.

        A cell's share, of all columns together, is how much less strange the row would be with the value that its other cells lead one to
        expect: in squared Mahalanobis distance from its reconstruction or in - 2 log of its p-value, whichever falls more. A cell that is
        what is expected has none.

        Parameters
        ----------
        X : like the data of `fit`
            Rows.
        top : int, optional
            Only so many columns of each row.
        """
        top = None if top is None else checked_value("top", top, Annotated[int, Ge(1)])
        check_is_fitted(self, "network_")
        return explained(self, X, top)

    def drift(self, X: Any) -> pd.DataFrame:
        """Return whether rows come from where those of the fit came: columns column, statistic, pvalue, drifted.

        Numbers by the two-sample Kolmogorov-Smirnov test, flags and categories by a chi-squared test with the total variation distance as
        statistic, missing cells as a category of their own, and the row "(score)" by their distance from the held-out scores; drifted at a
        false-discovery rate of .05. With many rows small differences are sure, too: look at the statistic.
        """
        check_is_fitted(self, "network_")
        return drifted(self, X)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go on learning from more rows; the first call is a fit.

        Held-out scores of the earlier rows are kept beside those of the new ones, as the networks of that time gave them: the earlier rows
        are not kept and cannot be scored again. This holds for rows from where the known ones came. Rows from elsewhere move the networks,
        p-values of rows like the earlier ones are then no longer valid, and the finding "other-rows" says so: fit to both together.
        Findings are those of all rows; of each sort the last is kept.
        """
        if not hasattr(self, "network_"):
            return self.fit(X)
        before, seen, earlier, told = self._score, self.data_["rows"], self.findings_, self._unlike(X)
        with self.going_on():
            self.fit(X)
        self._score = before.merged(self._score, seen, self.data_["rows"])
        self.data_["rows"] += seen
        self.findings_ = of_both(earlier, self.findings_ + told, self.data_["rows"], self.n_held_, self._alert_rate)
        return self

    def _unlike(self, X: Any) -> list[Finding]:
        """Tell where more rows would alert than rows like the known ones do."""
        opened = self.kind_.opened(X)
        some = opened.sample()[1] if isinstance(opened, Stream) else opened
        held, scores = self.n_held_, self.score_samples(some)
        rate = max(self._alert_rate, 2.5 / (held + 1))  # where fewer held-out rows are beyond, no row can alert
        return other_rows(int((scores < self._offset(rate)).sum()), len(scores), held, rate)
