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
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engram.apps.ensemble import CLIP, seen_values
from engram.apps.lots import floored, longer, pooled, pooled_covariance, unfloored
from engram.maths.conformal import Yardstick, cross_conformal, surprise, yardstick
from engram.maths.prototypes import Prototypes, prototypes, reach, telling

ROWS = 4096  # rows that prototypes and residuals of a member are estimated from
HELD = 4096  # held-out scores kept of each fold
KNOTS = 1024  # held-out values kept of each part
GRID = 1025  # most quantiles kept of a column
BINS = 1024  # of a column, evenly over the values that standardised numbers can have
VALUES = 1 << 20  # most quantiles, and bins, of all columns together
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


class Views(NamedTuple):
    """Rows as the score sees them."""

    x: Tensor  # (rows, values) standardised; missing cells 0
    mask: Tensor | None  # (rows, columns)
    residuals: Tensor  # (members, rows, residuals)
    filled: Tensor | None = None  # (members, rows, values) with holes filled; None: as x

    def take(self, index: Tensor) -> Views:
        """Return some of the rows."""
        mask, filled = None if self.mask is None else self.mask[index], None
        if self.filled is not None:
            filled = self.filled[:, index]
        return Views(self.x[index], mask, self.residuals[:, index], filled)

    def of(self, member: int) -> Tensor:
        """Return the rows as a member fills them, (rows, values)."""
        return self.x if self.filled is None else self.filled[member]

    @classmethod
    def joined(cls, parts: Sequence[Views]) -> Views:
        """Return the rows of all parts."""
        masks = [part.mask for part in parts if part.mask is not None]
        x = torch.cat([part.x for part in parts])
        fills = [part.filled for part in parts if part.filled is not None]
        residuals = torch.cat([part.residuals for part in parts], 1)
        return cls(x, torch.cat(masks) if masks else None, residuals, torch.cat(fills, 1) if fills else None)


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
        self.sticks: dict[str, Yardstick] = {}  # of the parts
        self.folds: list[Yardstick] = []  # of the whole score, by member

    def fit(self, views: Views, held: Sequence[Tensor], generator: torch.Generator) -> None:
        """Estimate all parts; ``held`` says for each member which rows, (rows,) bool, it did not learn from."""
        self.tensors = _columns(views, self.measured, self.groups, self.columns) | {
            "telling": telling(views.x),
            "fills": torch.ones(()),
        }
        found: dict[str, list[Tensor]] = {}
        for member, unseen in enumerate(held):
            chosen = (unseen if bool(unseen.all()) else ~unseen).nonzero()[:, 0]
            chosen = chosen[torch.randperm(len(chosen), generator=generator)[:ROWS]]
            for name, value in self._estimated(views.take(chosen), member, generator).items():
                found.setdefault(name, []).append(value)
        self.tensors |= {name: _stacked(values) for name, values in found.items()}
        parts = self.parts(views, known=True)
        own = {name: torch.cat([v[m, unseen] for m, unseen in enumerate(held)]) for name, v in parts.items()}
        self.sticks = {name: yardstick(_some(values, generator, KNOTS)) for name, values in own.items()}
        whole = self.combined(parts)
        self.folds = [yardstick(_some(whole[m, unseen], generator, HELD)) for m, unseen in enumerate(held)]
        rows = torch.stack(list(held)).any(0).sum()  # fewer than the scores, where members share their held-out rows
        self.tensors["held"] = torch.minimum(rows, torch.tensor(self._scores()))

    def _estimated(self, views: Views, member: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what one member's parts need, from rows that it learned from."""
        residuals = views.residuals[member]
        found = _covariance(residuals, "root", RIDGE) | _covariance(residuals, "sharp", SHARP)
        for name, (_, around) in PARTS[self.clean].items():
            if around is None:
                continue
            x = self.ranked(views.of(member)) if around.ranks else views.of(member)
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
                marginals = self.marginal_columns(views, known=known).sum(-1)
                found[name] = marginals.expand(len(views.residuals), -1)
        return found

    def departure(self, views: Views) -> Tensor:
        """Return squared Mahalanobis distances by which cells are blamed, (members, rows): near repetitions of a column are told apart."""
        return self._distance(views, "sharp").square()

    def settled(self, views: Views, made: Tensor) -> Tensor:
        """Return what each cell of rows is expected to be, given the others, (rows, values); ``made`` is what members make of the rows.

        Of numbers x - (P r)_j / P_jj with the precision P of residuals r: their conditional mean, were the reconstruction fixed.
        """
        mean, root = self.tensors["mean"], self.tensors["sharp"]
        pulled = torch.bmm(torch.bmm(views.residuals - mean, root), root.mT)
        step = (pulled / root.square().sum(-1)[:, None]).mean(0)
        found = made.clone()
        found[:, self.measured] = views.x[:, self.measured] - step[:, : int(self.measured.sum())]
        return found

    def combined(self, parts: dict[str, Tensor]) -> Tensor:
        """Return the weighted mean of the parts' surprises, (members, rows) float64; of wide rows residuals weigh most."""
        share = float(self.tensors["telling"])
        weights = {name: w * (1 if name == "residual" else share) for name, (w, _) in PARTS[self.clean].items()}
        total = sum(weights.values())
        each = [weights[name] / total * surprise(self.sticks[name], value) for name, value in parts.items()]
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
        """Return the log of a cross-conformal p-value for each row, (rows,) float64."""
        return cross_conformal(self.folds, self.combined(self.parts(views)), self.held)

    def residual(self, views: Views) -> Tensor:
        """Mahalanobis distances of residuals, (members, rows)."""
        return self._distance(views, "root")

    def _distance(self, views: Views, name: str) -> Tensor:
        mean, root = self.tensors["mean"], self.tensors[name]
        return torch.baddbmm(-torch.bmm(mean, root), views.residuals, root).square().sum(-1).sqrt()

    def _reach(self, name: str, views: Views, around: Around) -> Tensor:
        own = [views.x] if views.filled is None else list(views.filled)
        own = [self.ranked(x) for x in own] if around.ranks else own
        found = []
        for member, values in enumerate(zip(*(self.tensors[f"{name}.{f}"] for f in Prototypes._fields), strict=True)):
            used = values[1] > 0  # members have different numbers of prototypes; the rest is padding
            x = own[member % len(own)]
            found.append(reach(x, Prototypes(*(value[used] for value in values)), roomy=around.roomy))
        return torch.stack(found)

    def marginal_columns(self, views: Views, *, known: bool = False) -> Tensor:
        """- log of how far out each cell is in its column, (rows, columns); of a missing cell - log of the share that is missing.

        A new row is counted with those that are known, so that it is treated as these are.
        """
        x, measured, rare = views.x, self.measured, self.tensors["rare"]
        values = torch.zeros_like(x)
        least, tails = self.tensors["least"], self.tensors["tails"]
        share = tails.gather(1, _bins(x[:, measured], tails.shape[1]).T) + (0 if known else least)
        values[:, measured] = -torch.maximum(share, least).clamp(max=1).log().T
        flags, single = x[:, ~measured], self.single[~measured]
        values[:, ~measured] = flags * -rare.log() + torch.where(single, (1 - flags) * -(1 - rare).log(), 0.0)
        found = self.by_column(values)
        gone = self.tensors["missing"]
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

    def ranked(self, x: Tensor) -> Tensor:
        """Return rows with their numbers made normal by their ranks in their columns, (rows, values); ties share their mean rank."""
        grid, numbers = self.tensors["grid"], x[:, self.measured].T.contiguous()
        n = grid.shape[1]
        counted = torch.searchsorted(grid, numbers, right=True) + torch.searchsorted(grid, numbers)
        level = (counted / (2 * n)).clamp(0.5 / n, 1 - 0.5 / n)
        found = x.clone()
        found[:, self.measured] = torch.special.ndtri(level).T
        return found

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
        averaged = ("tails", "telling")
        shares = {name: weight * mine[name] + (1 - weight) * theirs[name] for name in averaged}
        for name in ("rare", "missing"):
            both = weight * unfloored(mine, name) + (1 - weight) * unfloored(theirs, name)
            shares[name] = floored(both, known + new)
        grid = pooled(mine["grid"], theirs["grid"], weight)
        found.tensors = shares | {"fills": theirs["fills"], "grid": grid, "least": torch.tensor(1 / (known + new + 1))}
        for root in ("root", "sharp"):
            found.tensors |= pooled_covariance(mine, theirs, weight, root)
        for name, (_, around) in PARTS[self.clean].items():
            for field in Prototypes._fields if around is not None else ():
                found.tensors[f"{name}.{field}"] = torch.cat([mine[f"{name}.{field}"], theirs[f"{name}.{field}"]], 1)
        found.sticks = {name: longer(stick, other.sticks[name], weight, HELD) for name, stick in self.sticks.items()}
        found.folds = [longer(*pair, weight, HELD) for pair in zip(self.folds, other.folds, strict=True)]
        found.tensors["held"] = torch.tensor(min(self.held + other.held, found._scores()))
        return found

    # --- to tensors and back ---

    def state(self) -> dict[str, Tensor]:
        """Return all that was estimated, by name."""
        sticks = {f"part.{name}": stick for name, stick in self.sticks.items()}
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

        self.sticks = {name: stick(f"part.{name}") for name in PARTS[self.clean]}
        self.folds = [stick(f"fold.{m}") for m in range(members)]


def _covariance(residuals: Tensor, name: str, ridge: tuple[float, float]) -> dict[str, Tensor]:
    """Return the mean of residuals (rows, residuals) and, by this name, a root of the inverse of their covariance with a ridge."""
    values = residuals.double()
    mean = values.mean(0)
    covariance = (values - mean).T @ (values - mean) / len(values)
    n, size = values.shape
    share = max(ridge[1], size / (n + size))
    covariance = (1 - share) * covariance + torch.diag(ridge[0] + share * covariance.diagonal())
    root = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    return {"mean": mean.float()[None], name: root.float()}


def _columns(views: Views, measured: Tensor, groups: Tensor | None, columns: int) -> dict[str, Tensor]:
    """Return what is known of each column by itself: quantiles, tails, frequencies of flags and categories, missing shares."""
    n, x = len(views.x), views.x
    known = seen_values(views.mask, groups)
    seen = torch.ones_like(x, dtype=torch.bool) if known is None else known
    there = seen.sum(0).clamp(min=1)  # (values,)
    most = max(65, VALUES // max(1, int(measured.sum())))
    numbers = torch.where(seen, x, torch.inf)[:, measured]  # missing cells go to the end, and are not looked at
    at = (torch.linspace(0, 1, min(GRID, most))[:, None] * (there[measured] - 1)).round().long()
    grid = numbers.sort(0).values.gather(0, at).T.contiguous()
    rare = (x * seen).sum(0)[~measured] / there[~measured]
    gone = torch.zeros(columns) if views.mask is None else (~views.mask).float().mean(0)
    return {
        "grid": torch.where(grid.isinf(), 0.0, grid),  # of a column without any cell
        "tails": _tails(x[:, measured], seen[:, measured], min(BINS, most)),
        "least": torch.tensor(1 / (n + 1)),
        "rare": floored(rare, n),
        "missing": floored(gone, n),
    }


def _bins(numbers: Tensor, count: int) -> Tensor:
    """Return the number of the bin of each standardised number."""
    return ((numbers + CLIP) * (count / (2 * CLIP))).long().clamp_(0, count - 1)


def _tails(numbers: Tensor, seen: Tensor, count: int) -> Tensor:
    """Return twice the smaller tail of each bin of each column, (numbers, count): shares of the cells, the bin's included."""
    masses = torch.zeros(numbers.shape[1], count, dtype=torch.float64)
    masses.scatter_add_(1, _bins(numbers, count).T, seen.T.double())
    below = masses.cumsum(1)
    found = 2 * torch.minimum(below, below[:, -1:] - below + masses) / below[:, -1:].clamp(min=1)
    return found.float()


def _stacked(values: list[Tensor]) -> Tensor:
    """Stack tensors whose first dimension may differ, by zeros."""
    most = max(len(value) for value in values)
    return torch.stack([functional.pad(v, (0, 0) * (v.dim() - 1) + (0, most - len(v))) for v in values])


def _some(values: Tensor, generator: torch.Generator, most: int) -> Tensor:
    return values[torch.randperm(len(values), generator=generator)[:most]]
