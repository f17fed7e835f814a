"""How strange a row is: the one place where the parts of a detector's score are estimated, put on one scale and added.

For each member, from the rows that it learned from:

    residual    Mahalanobis distance of what its reconstruction leaves, sqrt((r - m)' S^-1 (r - m)): numbers as differences, flags
                and categories as deviance residuals sqrt(- 2 log p)
    near        distance to the nearest prototype, the centre of ten rows or more
    crowd       distance to fewer, larger prototypes, behind which a small cluster of anomalies cannot hide
    ranks       distance to the nearest prototype where every column was made normal by its ranks
    marginals   - log of how far out each cell is in its own column, summed

and for each part the held-out rows (each scored by the member that did not learn from it) are the yardstick: its surprise is - log of
the share of them at or beyond. A row's score by a member is the weighted mean of the parts' surprises; of wide rows it is nearly the
residual's alone (`engram.maths.prototypes.telling`). The holes of a row are filled by what the member makes of its other cells.

Of a small table a row's own mass counts: what is known of columns, and the yardstick of each part, are then each member's own, from rows
that it learned from and from what the others hold out, so that a held-out row is measured by nothing that it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engram.apps.columns import NAMES, both_known, columns_known, how_far_out, normal_ranks
from engram.apps.lots import longer, paired, pooled_covariance
from engram.apps.views import Views, filled_up
from engram.maths.conformal import Yardstick, log_cross_exceedance, surprise, yardstick
from engram.maths.linear import inverse_root
from engram.maths.prototypes import Prototypes, prototypes, reach, telling
from engram.models.blocks import Aligned

ROWS = 4096  # rows that prototypes and residuals of a member are estimated from
HELD = 4096  # held-out scores kept of each fold
KNOTS = 1024  # held-out values kept of each part
# added to the variances of residuals; share by which covariances shrink, more where rows are few for the columns
RIDGE = (1e-3, 0.05)
# ... where it is asked which cell is to blame: columns that nearly repeat each other are told apart
SHARP = (1e-4, 1e-3)
SELDOM = 0.05  # share of a column's cells; where fewer are missing, a hole is strange by itself
TRIMMED = 0.2  # share of the rows, the furthest from any prototype, that prototypes of dirty rows are made without


class Around(NamedTuple):
    """A part that measures distance to prototypes."""

    rows: int  # that a prototype stands for at least
    most: int  # prototypes
    roomy: bool = False
    trimmed: float = 0.0
    ranks: bool = False


# the parts with their weights, by whether the rows are known to be clean
PARTS: dict[bool | None, dict[str, tuple[float, Around | None]]] = {
    True: {"residual": (1, None), "near": (1, Around(10, 400)), "ranks": (1, Around(10, 400, ranks=True))},
    None: {
        "residual": (1, None),
        "near": (0.5, Around(10, 400)),
        "crowd": (0.5, Around(40, 100, roomy=True)),
        "marginals": (1, None),
    },
    False: {
        "residual": (0.5, None),
        "near": (1, Around(10, 400, roomy=True, trimmed=TRIMMED)),
        "crowd": (1, Around(40, 100, roomy=True, trimmed=TRIMMED)),
        "marginals": (1, None),
    },
}


class Surprise:
    """The fitted score.

    Parameters
    ----------
    clean : bool or None
        Whether the rows learned from are known to be without anomalies; None: not known.
    measured : Tensor
        (values,) bool: numbers; the others are flags and one-hot categories.
    groups : Tensor or None
        (values,) the column of each value; None where they are the same.
    """

    def __init__(self, clean: bool | None, measured: Tensor, groups: Tensor | None) -> None:
        self.clean, self.measured, self.groups = clean, measured, groups
        self.single = torch.ones_like(measured) if groups is None else torch.bincount(groups)[groups] == 1
        self.columns = len(measured) if groups is None else int(groups.max()) + 1
        self.tensors: dict[str, Tensor] = {}  # of columns, and of members, which then come first
        self.sticks: dict[str, list[Yardstick]] = {}  # of the parts: one for all members, or one for each
        self.folds: list[Yardstick] = []  # of the whole score, by member

    def fit(
        self,
        views: Views,
        held: Sequence[Tensor],
        generator: torch.Generator,
        *,
        apart: bool = False,
        exact: bool = False,
    ) -> None:
        """Estimate all parts; ``held`` says for each member which rows, (rows,) bool, it did not learn from.

        With ``apart`` nothing that a held-out row is in has a part in how it is measured; where it is ``exact``, rows are looked at to the
        bit as new ones are, so that rows that are the same tie.
        """
        learned = [(unseen if bool(unseen.all()) else ~unseen).nonzero()[:, 0] for unseen in held]
        self.tensors = self._columns(views.x, views.mask) | {"telling": telling(views.x), "fills": torch.ones(())}
        if apart:
            lots = [views.take(chosen) for chosen in learned]
            own = [self._columns(lot.of(member), lot.mask) for member, lot in enumerate(lots)]
            self.tensors |= {f"own.{name}": torch.stack([known[name] for known in own]) for name in NAMES}
        found: dict[str, list[Tensor]] = {}
        for member, chosen in enumerate(learned):
            some = chosen[torch.randperm(len(chosen), generator=generator)[:ROWS]]
            for name, value in self._estimated(views.take(some), member, generator).items():
                found.setdefault(name, []).append(value)
        self.tensors |= {name: _stacked(values) for name, values in found.items()}
        parts = self._as_at_use(views, known=not apart) if exact else self.parts(views, known=True)
        for name, value in parts.items():
            lots_of = _others(value, held) if apart else [_held_out(value, held)]
            self.sticks[name] = [yardstick(_some(values, generator, KNOTS)) for values in lots_of]
        whole = self.combined(parts)
        self.folds = [yardstick(_some(whole[m, unseen], generator, HELD)) for m, unseen in enumerate(held)]
        rows = torch.stack(list(held)).any(0).sum()  # fewer than the scores, where members share their held-out rows
        self.tensors["held"] = torch.minimum(rows, torch.tensor(self._scores()))

    def _as_at_use(self, views: Views, *, known: bool) -> dict[str, Tensor]:
        """Return the parts of the score of rows to the bit as if they were new, so that rows that are the same tie; see `parts`."""
        n = len(views.x)
        with Aligned():
            return {name: value[:, :n] for name, value in self.parts(views.take(filled_up(n)), known=known).items()}

    def _columns(self, x: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return columns_known(x, mask, self.measured, self.groups)

    def _known(self) -> list[dict[str, Tensor]]:
        """Return what is known of columns: once for all members, or by each of them."""
        if "own.least" not in self.tensors:
            return [self.tensors]
        members = len(self.tensors["own.least"])
        return [{name: self.tensors[f"own.{name}"][member] for name in NAMES} for member in range(members)]

    def _estimated(self, views: Views, member: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what one member's parts need, from rows that it learned from."""
        residuals = views.residuals[member]
        found = _covariance(residuals, "root", RIDGE) | _covariance(residuals, "sharp", SHARP)
        for name, (_, around) in PARTS[self.clean].items():
            if around is None:
                continue
            x = self.ranked(views, member) if around.ranks else views.of(member)
            made = prototypes(x, around.most, around.rows, generator)
            if around.trimmed:
                far = reach(x, made, roomy=True)
                x = x[far <= far.quantile(1 - around.trimmed)]
                made = prototypes(x, around.most, around.rows, generator)
            found |= {f"{name}.{field}": value.float() for field, value in made._asdict().items()}
        return found

    # --- scores ---

    def parts(self, views: Views, *, known: bool = False) -> dict[str, Tensor]:
        """Return the parts of the score, each (members, rows), in their own units; of ``known`` rows columns were learned."""
        found = {}
        for name, (_, around) in PARTS[self.clean].items():
            if around is not None:
                found[name] = self._reach(name, views, around)
            elif name == "residual":
                found[name] = self.residual(views)
            else:
                marginals = [self.marginal_columns(views, m, known=known).sum(-1) for m in range(len(self._known()))]
                found[name] = torch.stack(marginals).expand(len(views.residuals), -1)
        return found

    def departure(self, views: Views) -> Tensor:
        """Return squared Mahalanobis distances by which cells are blamed, (members, rows): near repetitions of a column are told apart."""
        return self._distance(views, "sharp").square()

    def settled(self, views: Views, made: Tensor, spread: Tensor | None) -> Tensor:
        """Return what each cell of rows is expected to be, given the others, (rows, values); ``made`` is what members make of the rows.

        Of numbers x - (P r)_j / P_jj with the precision P of residuals r: their conditional mean, were the reconstruction fixed. Members
        that have scales of their own have this ``spread``, (members, values).
        """
        mean, root, n = self.tensors["mean"], self.tensors["sharp"], int(self.measured.sum())
        pulled = torch.bmm(torch.bmm(views.residuals - mean, root), root.mT)
        step = (pulled / root.square().sum(-1)[:, None])[..., :n]
        if spread is not None:
            step = step * spread[:, None, self.measured]
        found = made.clone()
        found[:, self.measured] = views.x[:, self.measured] - step.mean(0)
        return found

    def combined(self, parts: dict[str, Tensor]) -> Tensor:
        """Return the weighted mean of the parts' surprises, (members, rows) float64; of wide rows residuals weigh most."""
        share = float(self.tensors["telling"])
        weights = {name: w * (1 if name == "residual" else share) for name, (w, _) in PARTS[self.clean].items()}
        total = sum(weights.values())
        each = [weights[name] / total * _surprise(self.sticks[name], value) for name, value in parts.items()]
        return torch.stack(each).sum(0)

    @property
    def fills(self) -> bool:
        """Whether holes are filled before a row is scored: as in the rows that it was estimated from."""
        return not self.tensors or bool(self.tensors["fills"])

    def _scores(self) -> int:
        return sum(len(stick.scores) for stick in self.folds)

    @property
    def held(self) -> int:
        """How many held-out rows p-values are measured by."""
        return int(self.tensors["held"])

    def log_p(self, views: Views) -> Tensor:
        """Return the log of a cross-conformal p-value that lacks 1 / (held + 1), for each row, (rows,) float64."""
        return log_cross_exceedance(self.folds, self.combined(self.parts(views)), self.held)

    def residual(self, views: Views) -> Tensor:
        """Mahalanobis distances of residuals, (members, rows)."""
        return self._distance(views, "root")

    def _distance(self, views: Views, name: str) -> Tensor:
        mean, root = self.tensors["mean"], self.tensors[name]
        return torch.baddbmm(-torch.bmm(mean, root), views.residuals, root).square().sum(-1).sqrt()

    def _reach(self, name: str, views: Views, around: Around) -> Tensor:
        members = len(views.residuals)
        differing = members if views.filled is not None or len(self._known()) > 1 else 1
        own = [self.ranked(views, m) if around.ranks else views.of(m) for m in range(differing)]
        found = []
        for member, values in enumerate(zip(*(self.tensors[f"{name}.{f}"] for f in Prototypes._fields), strict=True)):
            used = values[1] > 0  # members have different numbers of prototypes; the rest is padding
            x = own[member % len(own)]
            found.append(reach(x, Prototypes(*(value[used] for value in values)), roomy=around.roomy))
        return torch.stack(found)

    def marginal_columns(self, views: Views, member: int = 0, *, known: bool = False) -> Tensor:
        """- log of how far out each cell is in its column, (rows, columns); of a missing cell - log of the share that is missing.

        A new row is counted with those that are known, so that it is treated as these are.
        """
        columns = self._known()
        mine = columns[member % len(columns)]
        values = how_far_out(mine, views.of(member), self.measured, self.single, counted=known)
        found, gone = self.by_column(values), mine["missing"]
        # of complete rows, too: what is said of a row does not depend on those beside it
        there = found - (1 - gone).log()
        return there if views.mask is None else torch.where(views.mask, there, -gone.log())

    def holes(self, mask: Tensor | None) -> Tensor | None:
        """Return what holes have to do with how strange rows are, (rows, columns), nan for cells that are there.

        In units of squared distances, and nothing but in columns whose cells are seldom missing, where the score looks at that at all.
        """
        if mask is None:
            return None
        strange = (-2 * (self.tensors["missing"] / SELDOM).log()).clamp(min=0)
        return torch.where(mask, torch.nan, strange if "marginals" in PARTS[self.clean] else 0.0)

    def ranked(self, views: Views, member: int) -> Tensor:
        """Return a member's rows with their numbers made normal by their ranks in their columns, (rows, values)."""
        columns = self._known()
        return normal_ranks(columns[member % len(columns)]["grid"], views.of(member), self.measured)

    def by_column(self, values: Tensor) -> Tensor:
        """Sum values (rows, values) over the user's columns, (rows, columns)."""
        if self.groups is None:
            return values
        return values.new_zeros(len(values), self.columns).index_add_(1, self.groups, values)

    def merged(self, other: Surprise, known: int, new: int) -> Surprise:
        """Return the score of both: this one's of so many known rows, the other's of new ones.

        Shares and covariances are averaged by numbers of rows, quantiles and held-out scores are pooled, prototypes stand side by side.
        """
        weight = known / (known + new)
        found = Surprise(self.clean, self.measured, self.groups)
        mine, theirs = self.tensors, other.tensors
        telling = weight * mine["telling"] + (1 - weight) * theirs["telling"]
        found.tensors = both_known(mine, theirs, known, new) | {"telling": telling, "fills": theirs["fills"]}
        found.tensors |= self._merged_own(other, known, new)
        for root in ("root", "sharp"):
            found.tensors |= pooled_covariance(mine, theirs, weight, root)
        for name, (_, around) in PARTS[self.clean].items():
            for field in Prototypes._fields if around is not None else ():
                found.tensors[f"{name}.{field}"] = torch.cat([mine[f"{name}.{field}"], theirs[f"{name}.{field}"]], 1)
        for name, sticks in self.sticks.items():
            pairs = paired(sticks, other.sticks[name])
            found.sticks[name] = [longer(*pair, weight, HELD) for pair in pairs]
        found.folds = [longer(*pair, weight, HELD) for pair in zip(self.folds, other.folds, strict=True)]
        found.tensors["held"] = torch.tensor(min(self.held + other.held, found._scores()))
        return found

    def _merged_own(self, other: Surprise, known: int, new: int) -> dict[str, Tensor]:
        """Return what each member knows of columns of two lots; of one where they were not apart it is what all know."""
        if "own.least" not in self.tensors | other.tensors:
            return {}

        def rows(lot: Surprise, own: dict[str, Tensor], all_rows: int) -> float:
            return all_rows * float((1 / own["least"] - 1) / (1 / lot.tensors["least"] - 1))

        pairs = paired(self._known(), other._known())
        made = [both_known(a, b, rows(self, a, known), rows(other, b, new)) for a, b in pairs]
        return {f"own.{name}": torch.stack([each[name] for each in made]) for name in NAMES}

    # --- to tensors and back ---

    def state(self) -> dict[str, Tensor]:
        """Return all that was estimated, by name."""
        sticks = {
            f"part.{name}" + (f".{m}" if len(of_part) > 1 else ""): stick
            for name, of_part in self.sticks.items()
            for m, stick in enumerate(of_part)
        }
        sticks |= {f"fold.{m}": stick for m, stick in enumerate(self.folds)}
        return {f"score.{name}": value for name, value in self.tensors.items()} | {
            f"stick.{name}.{field}": value for name, stick in sticks.items() for field, value in stick._asdict().items()
        }

    def restore(self, state: dict[str, Tensor], members: int) -> None:
        """Take back what `state` described; raise `KeyError` or `ValueError` where it is none."""
        self.tensors = {name.removeprefix("score."): t for name, t in state.items() if name.startswith("score.")}
        self.tensors.setdefault("telling", torch.ones(()))  # earlier versions weighed wide tables like others
        self.tensors.setdefault("fills", torch.zeros(()))  # ... and took holes for observed means

        def stick(name: str) -> Yardstick:
            found = Yardstick(*(state[f"stick.{name}.{field}"] for field in Yardstick._fields))
            if found.scores.dim() != 1 or not len(found.scores) or not bool(found.scores.isfinite().all()):
                raise ValueError(f"the held-out scores of {name!r} are no list of numbers")
            return found

        for name in PARTS[self.clean]:
            common = f"stick.part.{name}.scores" in state
            self.sticks[name] = (
                [stick(f"part.{name}")] if common else [stick(f"part.{name}.{m}") for m in range(members)]
            )
        self.folds = [stick(f"fold.{m}") for m in range(members)]


def _covariance(residuals: Tensor, name: str, ridge: tuple[float, float]) -> dict[str, Tensor]:
    """Return the mean of residuals (rows, residuals) and, by this name, a root of the inverse of their covariance with a ridge."""
    values = residuals.double()
    mean = values.mean(0)
    covariance = (values - mean).T @ (values - mean) / len(values)
    n, size = values.shape
    share = max(ridge[1], size / (n + size))
    covariance = (1 - share) * covariance + torch.diag(ridge[0] + share * covariance.diagonal())
    return {"mean": mean.float()[None], name: inverse_root(covariance[None])[0].float()}


def _stacked(values: list[Tensor]) -> Tensor:
    """Stack tensors whose first dimension may differ, by zeros."""
    most = max(len(value) for value in values)
    return torch.stack([functional.pad(v, (0, 0) * (v.dim() - 1) + (0, most - len(v))) for v in values])


def _some(values: Tensor, generator: torch.Generator, most: int) -> Tensor:
    return values[torch.randperm(len(values), generator=generator)[:most]]


def _held_out(scores: Tensor, held: Sequence[Tensor]) -> Tensor:
    """Return of scores (members, rows) those that members give the rows that they hold out."""
    return torch.cat([scores[m, unseen] for m, unseen in enumerate(held)])


def _others(scores: Tensor, held: Sequence[Tensor]) -> list[Tensor]:
    """Return for each member what the others hold out, of scores (members, rows); where there is no other, what it learned from."""
    if len(held) == 1:
        return [scores[0] if bool(held[0].all()) else scores[0, ~held[0]]]
    return [_held_out(torch.cat([scores[:m], scores[m + 1 :]]), [*held[:m], *held[m + 1 :]]) for m in range(len(held))]


def _surprise(sticks: list[Yardstick], scores: Tensor) -> Tensor:
    """Return the surprise of scores (members, rows) by one yardstick, or by each member's own."""
    if len(sticks) == 1:
        return surprise(sticks[0], scores)
    return torch.stack([surprise(stick, own) for stick, own in zip(sticks, scores, strict=True)])
