"""Recommender: which items a user will want next, from the items they had; new users by their history alone.

An autoencoder of histories (`engram.models.preferences`) blended with linear item-item weights (`engram.apps.linear_items`) where the blend
finds better what was held back of users that neither has learned from. Where weights differ (hours, plays, ratings), a second network says
how much of an item a user will have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from annotated_types import Interval
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from engram.apps.item_lists import Lists, as_ones, in_blocks, logits_of
from engram.apps.linear_items import JUDGED, KEPT, MOST_ITEMS, LinearItems, choose, learned
from engram.data.interactions import Interactions
from engram.data.kind import Kind
from engram.data.rows import Rows, rows_to_check
from engram.errors import DataError, UsageError
from engram.evaluation.held_back import hold_back
from engram.evaluation.recommendation import NothingHeldBackError, Ranked, judge_recommendations, unjudged
from engram.evaluation.report import Report
from engram.maths.item_item import EXACT
from engram.models.blocks import padded
from engram.models.intake import Intake
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.preferences import Ranker, Weigher
from engram.parameters import checked
from engram.registry import APPS
from engram.training import Batch, Finding, Turn
from engram.training.checkpoint import Checkpoints
from engram.training.nets import Nets

Array = np.ndarray[Any, np.dtype[Any]]
CODE_SIZE = 200
SMALL, LARGE = 100, 500  # rows of a batch: of few and of many users
MANY = 50_000  # users
STEPS, PASSES = 900, 30  # of a fit: at least so many steps, and so many passes over the users
REFRESHED = (50, 5)  # ... where it goes on from what it has learned
DRAWS = 5  # of what is held back of each held-out user, where these are few: what is chosen depends less on chance
NO_HELD_OUT = 0.5  # weight of the autoencoder where no users are held out to choose it on


@APPS.register("recommendation", "What a user will want next, from what they had")
@dataclass(eq=False, repr=False, kw_only=True)
class Recommender(Lists, Model):
    """Recommend items to users by their histories.

    Parameters
    ----------
    model : str
        "dae" (Mult-DAE) or "vae" (Mult-VAE, arXiv:1802.05814) alone, or "auto": a Mult-DAE, blended with linear item-item weights
        (EASE, arXiv:1905.03375) where that is better on held-out users.
    weights : str
        "binary": only whether a user had an item counts; "continuous": how much is predicted, too; "auto": where weights differ.
    duplicates : str
        Of events of the same user and item: "sum", "last", or "auto", which takes the last of ratings and sums amounts such as hours.
    columns : dict or None
        Which column of the events is what, e.g. {"player": "user", "title": "item", "played": "weight", "when": "time"}.
    """

    model: Literal["auto", "dae", "vae"] = "auto"
    weights: Literal["auto", "binary", "continuous"] = "auto"
    duplicates: Literal["auto", "sum", "last"] = "auto"
    kind: Literal["auto", "interactions"] = "interactions"  # type: ignore[assignment]
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    watches = False
    own_networks = False

    # --- learning ---

    def fit(
        self, X: Any, y: Any = None, *, validation: Any = None, run: str | Path | None = None, resume: bool = False
    ) -> Self:
        """Learn from events, one a line (columns user, item, and where there are weight and time), or from a matrix (users, items).

        See `Model.fit`. Raises `DataError` where weights are negative or no numbers, or nobody has an item.
        """
        super().fit(self._wrapped(X), y, validation=validation, run=run, resume=resume)
        return self

    def _wrapped(self, X: Any) -> Interactions:
        """Return data as interactions that are read once."""
        if isinstance(X, Interactions):
            found = X
        else:
            names = ("columns", "weights", "duplicates")
            found = Interactions(X, **{name: checked(type(self), name, getattr(self, name)) for name in names})
        wrapped = Interactions(
            found.opened(found), columns=found.wishes, weights=found.weights, duplicates=found.duplicates
        )
        wrapped.notes = found.notes
        return wrapped

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """One hidden layer, which is the code; the paper's learning rate."""
        return {"code_size": CODE_SIZE, "hidden": (), "learning_rate": 1e-3, "weight_decay": 0.0}

    def reasons(self) -> dict[str, str]:
        """Why `automatic` and `suited` choose what they do."""
        return {
            "code_size": f"{CODE_SIZE}: the one hidden layer is the code",
            "hidden": "none beside the code, as in the paper",
            "batch_size": f"{SMALL} users, {LARGE} from {MANY:,} on, at most all of them",
            "max_epochs": f"{STEPS} steps, or {PASSES} passes where these are more ({REFRESHED[0]}, or {REFRESHED[1]}, to go on)",
            "learning_rate": "1e-3, the paper's",
        }

    def suited(self, rows: Rows) -> dict[str, Any]:
        """Larger batches and, in passes, no more for many users than for few."""
        n = getattr(self, "_n_rows", len(rows))
        size = SMALL if n < MANY else LARGE
        steps, passes = REFRESHED if self.goes_on else (STEPS, PASSES)
        return {"batch_size": size, "steps": max(steps, passes * -(-n // size))}

    def _train(
        self, given: Intake, values: dict[str, Any], seed: int, *, continued: bool, checkpoints: Checkpoints | None
    ) -> None:
        """Keep the histories at hand for what is found in closed form, while the networks learn."""
        self._n_rows = given.trained_on()
        self._known = sparse.csr_array(given.rows.x.numpy()) if given.stream is None else given.stream[:]
        try:
            super()._train(given, values, seed, continued=continued, checkpoints=checkpoints)
        finally:
            del self._known, self._n_rows

    def may_change(self) -> set[str]:
        """How events are read, too."""
        return super().may_change() | {"columns", "duplicates"}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """The network that ranks and, where weights differ, the one that predicts them."""
        if shapes.modules or shapes.widths or self.network not in ("auto", "mlp"):
            raise UsageError(
                "Recommender builds its networks itself: leave encoder=, decoder=, network= and hidden= out; code_size= is its width."
            )
        n = shapes.row[0]
        found: dict[str, nn.Module] = {
            "ranker": Ranker(n, shapes.code_size, shapes.dropout, variational=self.model == "vae")
        }
        return found | ({"weigher": Weigher(n)} if self.interactions_.continuous else {})

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at the popularity of items and at their mean weights."""
        if hasattr(self, "_known"):  # not in a dry run
            nets.ranker.begin(torch.from_numpy(np.bincount(self._known.indices, minlength=self._known.shape[1])))
            if "weigher" in nets:
                nets.weigher.begin(self._known)
        return False

    def turns(self, step: int) -> Sequence[Turn]:
        """The two networks learn on their own."""
        found = (Turn("ranking", ("ranker",)),)
        return (*found, Turn("weighing", ("weigher",))) if self.interactions_.continuous else found

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """See `engram.models.preferences`."""
        if turn.name == "weighing":
            found: dict[str, Tensor] = nets.weigher.terms(batch)
            return found
        present = (batch.x > 0).to(batch.x.dtype) if self.interactions_.continuous else batch.x
        return dict(nets.ranker.terms(present, batch.progress))

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Find the linear part and its place in the blend on held-out users; then learn it from all of them."""
        nets.eval()
        nets.ranker.settle()
        known, items = self._known, self._known.shape[1]
        is_held = held_out is not None
        everybody = known if held_out is None else sparse.vstack([known, sparse.csr_array(held_out.x.numpy())]).tocsr()
        held = sparse.csr_array(rows_to_check(rows, held_out).x.numpy())
        self._counts = torch.from_numpy(np.bincount(everybody.indices, minlength=items))
        parts = hold_back(held, "strong", self.settings_.seed)
        findings = []
        if "weigher" in nets and is_held:
            without, error = nets.weigher.calibrate(*(torch.from_numpy(p.toarray()) for p in (parts.fed, parts.held)))
            told = f"of held-out users, weights that were hidden are predicted with a root mean squared error of {error:.3f}"
            findings.append(Finding("weights", f"{told}; the bias model alone {without:.3f} (encoded units)"))
        self._linear: LinearItems | None = None
        if self.model != "auto":
            return findings
        if items > MOST_ITEMS:
            told = f"there are {items:,} items, more than {MOST_ITEMS:,}: the linear item-item part is left out"
            return [*findings, Finding("no-linear-part", told, "Leave rare items out to have it")]
        several = min(DRAWS, JUDGED // max(1, held.shape[0]))
        if is_held and several > 1:
            parts = hold_back(sparse.vstack([held] * several), "strong", self.settings_.seed)
        return [*findings, self._find_linear(nets, as_ones(known), as_ones(everybody), parts, is_held=is_held)]

    def _find_linear(self, nets: Nets, known: Any, everybody: Any, parts: Any, *, is_held: bool) -> Finding:
        """Choose the linear part and learn it; the finding says what it brings and what its sparsity costs."""
        parts = replace(parts, fed=as_ones(parts.fed[:JUDGED]), held=as_ones(parts.held[:JUDGED]))
        if not is_held or not parts.held.nnz:
            self._linear = learned(everybody, 200.0, NO_HELD_OUT, 1.0)
            return Finding(
                "blend",
                "no users were held out to see which part finds more: the autoencoder and the linear part count for one half each",
                "Collect more users",
            )
        found = choose(known, parts, lambda histories: logits_of(nets, histories))
        values, linear = found.values, found.linear
        parts_of = {"autoencoder": "the autoencoder", "kept weights": "the linear part", "blend": "the blend"}
        told = ", ".join(f"{values[name]:.3f} by {called}" for name, called in parts_of.items())
        message = f"how well lists find what was hidden of held-out users (NDCG@100, 1 is best): {told}"
        if linear.blend >= 1:
            return Finding("blend", f"{message}. The linear part brings nothing and is left out")
        fits_twice = known.shape[1] <= EXACT
        self._linear = learned(everybody, linear.strength, linear.blend, linear.temperature) if fits_twice else linear
        loss = values["all weights"] - values["kept weights"]
        share = f"In scores the autoencoder counts for {linear.blend:.0%}, the linear part for {1 - linear.blend:.0%}"
        if linear.blend <= 0:
            share = "The linear part alone does best, so that the autoencoder has no part in the scores"
        cost = f"{'costs' if loss > 0 else 'brings'} {abs(loss):.3f}"
        kept = f"; keeping {KEPT} weights an item, for speed, {cost}" if round(loss, 3) else ""
        return Finding("blend", f"{message}. {share}{kept}")

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return how many users had each item, and the linear part."""
        return {"counts": self._counts} | (self._linear.state() if self._linear is not None else {})

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take these back."""
        self._counts = tensors["counts"]
        if self._counts.shape != self.kind_.shape:
            raise DataError("the counts of items are not one for each item.")
        self._linear = LinearItems.restored(tensors, self.kind_.shape[0])

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Refresh with the histories of more users, or of the same ones with new events; the first call is a fit.

        Networks go on learning from these rows; linear weights become the mean of the old and of those of these rows, by the number of
        users. Items that the first fit did not have are left out: for them fit anew.
        """
        if not hasattr(self, "network_"):
            return self.fit(X)
        linear, counts, seen = self._linear, self._counts, self.data_["rows"]
        with self.going_on():
            self.fit(X)
        new = self.data_["rows"]
        if linear is not None:
            own = self._linear
            self._linear = linear if own is None else linear.averaged(own, new / (seen + new))
        self._counts = counts + self._counts
        self.data_["rows"] += seen
        return self

    # --- using ---

    def predict_scores(self, X: Any) -> Array:
        """Return a score per item for each user, (rows, items) float32, higher = wanted more; also of items that they have."""
        check_is_fitted(self, "network_")
        return np.concatenate(
            list(self._scored(self._conformed(X))) or [np.zeros((0, *self.kind_.shape), dtype=np.float32)]
        )

    def predict_weights(self, X: Any) -> Array:
        """Return how much of each item each user is expected to have, (rows, items), in the user's units: of amounts the median."""
        check_is_fitted(self, "network_")
        if not self.interactions_.continuous:
            raise UsageError(
                'these interactions are binary: nothing is known of weights. Fit to events with weights="continuous".'
            )
        found: Array = self.interactions_.decode(torch.from_numpy(self.expected(self._conformed(X))))
        return found

    def expected(self, encoded: Any) -> Array:
        """Return expected weights of encoded histories, (rows, items) CSR, in encoded units."""
        with self.fitted() as nets:
            blocks = [padded(nets.weigher, torch.from_numpy(b.toarray())) for b in in_blocks(encoded)]
        found: Array = torch.cat(blocks).numpy()
        return found

    def _scored(self, matrix: Any) -> Iterator[Array]:
        """Yield the scores of encoded histories block by block."""
        with self.fitted() as nets:
            for block in in_blocks(matrix):
                yield self.combined(nets, as_ones(block))

    def evaluate(self, X: Any, *, protocol: str = "strong", train: Any = None, random_state: Any = 0) -> Report:
        """Judge recommendations to users beside popularity, item-kNN and EASE; see `judge_recommendations`.

        Parameters
        ----------
        X : like the data of `fit`
            Users that it has not learned from.
        protocol : str
            What is held back: "strong" (a fifth of each user's items), "time" (the last fifth) or "leave-one-out".
        train : like X, optional
            What it was fitted on: then baselines learn from that, else from four fifths of X at a time.
        random_state : int, RandomState or None
            Seed of what is held back.
        """
        check_is_fitted(self, "network_")
        return judge_recommendations(self, X, protocol=protocol, train=train, random_state=random_state)

    def report_on(self, X: Any, y: Any = None, *, train: Any = None, random_state: Any = 0) -> Report:
        """Return what `engram.evaluate` says of it; where users have one item each, that nothing can be said."""
        try:
            return self.evaluate(X, train=train, random_state=random_state)
        except NothingHeldBackError as error:
            return unjudged(self, str(error))

    def subjects(self) -> Ranked:
        """Return how histories of ones are scored: by the recommender, and by its parts."""

        def autoencoder(present: Any) -> Array:
            with self.fitted() as nets:
                return logits_of(nets, present)

        def whole(present: Any) -> Array:
            with self.fitted() as nets:
                return self.combined(nets, present)

        return {type(self).__name__: whole} | ({"autoencoder alone": autoencoder} if self._linear is not None else {})
