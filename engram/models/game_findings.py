"""What is worth knowing of a generator after its fit: each check looks at rows that it generates, beside rows that it has not seen.

Rows are compared along their first principal components, where distances mean something for pictures, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engram.data.rows import Rows, rows_to_check
from engram.maths.linear import principal_components
from engram.maths.quantise import k_means, nearest
from engram.maths.regression import regression
from engram.metrics.detection import auroc
from engram.metrics.frechet import frechet_distance
from engram.metrics.manifold import coverage, expected_coverage
from engram.metrics.memorisation import memorisation
from engram.training import Batch, Finding
from engram.training.nets import Nets
from engram.training.session import seeded

if TYPE_CHECKING:
    from engram.models.gan import GAN

Array = np.ndarray[Any, np.dtype[Any]]
MOST = 1000  # rows compared
FEWEST = 30  # held-out rows, below which nothing can be said
COMPONENTS = 16  # along which rows are compared
NEIGHBOURS = 5
SURE = 0.999  # share of pairs of a held-out and a generated row that a saturated discriminator tells apart
COVERED = 0.5  # share of the coverage to be expected, below which modes are missing
GROUPS = 10  # that rows are divided into, to see whether some have no generated ones
SCARCE = 0.1  # share of what a group should have, below which it has next to none
EXPECTED = 10  # generated rows that a group should have, below which nothing is said of it
LOST = 0.03  # share of the rows in such groups that is worth a finding
ALIKE = 0.5  # share of the real rows' mean distance from each other, below which generated rows are alike
COPIES = 0.9  # how often a generated row is nearer to a training row than a held-out one is, where .5 is to be expected
TOLD = 0.05  # share of the variance that y explains, above which a condition means something
HEEDED = 0.25  # share of that, below which it is ignored
POOR = 0.9  # share of the rows' whole variance that the Frechet distance may come to


@dataclass
class Played:
    """A fit to look at: rows learned from, held-out ones, and as many generated ones."""

    model: GAN
    nets: Nets
    rows: Rows
    held_out: Rows

    def __post_init__(self) -> None:
        self.rows, self.held_out = self.rows.spread(4 * MOST), self.held_out.spread(MOST)

    @cached_property
    def generated(self) -> Tensor:
        """Rows generated beside the held-out ones, with their y and their missing cells, in the discriminator's units."""
        return self.given(self.held_out)

    def given(self, rows: Rows) -> Tensor:
        """Return generated rows for the y of these."""
        batch = Batch(rows.x, rows.mask, rows.y, generator=torch.Generator().manual_seed(0))
        return self.model.generated(self.nets, batch)

    def seen(self, rows: Rows) -> Tensor:
        """Return real rows in the discriminator's units."""
        return self.model.seen(self.nets, Batch(rows.x, rows.mask, rows.y))

    @cached_property
    def places(self) -> dict[str, Array]:
        """Training, held-out and generated rows along the principal components of the first."""
        known = self.seen(self.rows).flatten(1)
        found = principal_components(known, min(COMPONENTS, *known.shape))
        parts = {"training": known, "real": self.seen(self.held_out).flatten(1), "generated": self.generated.flatten(1)}
        return {name: ((x.double() - found.mean) @ found.vectors.T).numpy() for name, x in parts.items()}


def looked_at(model: GAN, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
    """Return what is worth knowing of a fitted GAN; ``rows`` were learned from, ``held_out`` were not."""
    real = rows_to_check(rows, held_out)
    if len(real) < FEWEST:
        return []
    played = Played(model, nets, rows, real)
    unseen = () if held_out is None else (saturated, memorised)  # what these say is of rows that were not learned from
    return [found for check in (no_progress, collapsed, ignored, *unseen) for found in check(played)]


def too_few_turns(model: GAN) -> Iterator[Finding]:
    """The fit was over before the discriminator had taken the steps that are its own between two of the generator's."""
    taken = model.history_.reports[-1]["step"]
    if 1 < model.discriminator_steps >= taken:
        told = f"the generator took one step only, its first, and the discriminator {taken}"
        yield Finding("few-turns", told, "Train longer (max_epochs), or with fewer discriminator_steps")


def no_progress(played: Played) -> Iterator[Finding]:
    """Generated rows are further from real ones than the mean row, given always, would be."""
    real, generated = played.places["real"], played.places["generated"]
    spread = float(real.var(0, ddof=1).sum())
    distance = frechet_distance(real, generated)
    if spread > 0 and distance > POOR * spread:
        told = f"generated rows are as far from real ones as their mean row: Frechet distance {distance:.3g}, variance {spread:.3g}"
        yield Finding(
            "no-progress", told, "Train longer (max_epochs), or with the automatic loss, penalty and learning_rate"
        )


def saturated(played: Played) -> Iterator[Finding]:
    """The discriminator is sure: the generator learns nothing from it any more."""
    judge, given = played.nets.discriminator, () if played.held_out.y is None else (played.held_out.y,)
    logits = [judge(x, *given).numpy() for x in (played.seen(played.held_out), played.generated)]
    label = np.repeat([0, 1], [len(v) for v in logits])
    share = auroc(np.concatenate(logits), label)
    if share > SURE:
        told = f"the discriminator tells {share:.2%} of pairs of a held-out and a generated row apart"
        advice = (
            "Give it a penalty (penalty='r1r2'), a larger penalty_weight, or the generator more to learn with (hidden)"
        )
        yield Finding("saturated-discriminator", told, advice)


def collapsed(played: Played) -> Iterator[Finding]:
    """Generated rows leave out a part of the real ones, or are all alike."""
    real, generated = played.places["real"], played.places["generated"]
    share = coverage(real, generated) / expected_coverage(len(real), len(generated), NEIGHBOURS)
    between = [_mean_distance(x) for x in (generated, real)]
    if between[1] == 0:
        return  # there is but one row to reach
    if between[0] < ALIKE * between[1]:
        told = f"generated rows are alike: {between[0]:.3g} apart on average, real ones {between[1]:.3g}"
    elif (lost := _lost(played.places)) > LOST:
        told = f"groups that hold {lost:.0%} of the rows have next to no generated ones"
    elif share < COVERED:
        told = f"generated rows reach {share:.0%} of the held-out rows' neighbourhoods that as many real rows would"
    else:
        return
    advice = "Use penalty='r1r2' with the automatic weight, train longer, or pack=2; without a penalty games drop modes"
    yield Finding("mode-collapse", told, advice)


def _lost(places: dict[str, Array]) -> float:
    """Return the share of real rows in groups (of k-means) that have less than `SCARCE` of their share of generated rows."""
    known, generated = (torch.from_numpy(places[name]) for name in ("training", "generated"))
    if len(known) < FEWEST * GROUPS:
        return 0.0
    with seeded(0):
        middles = k_means(known[:, None], GROUPS)
    groups = [nearest(z[:, None], middles)[:, 0] for z in (known, generated)]
    shares = [torch.bincount(group, minlength=GROUPS) / len(group) for group in groups]
    scarce = (shares[1] < SCARCE * shares[0]) & (shares[0] * len(generated) >= EXPECTED)
    return float(shares[0][scarce].sum())


def ignored(played: Played) -> Iterator[Finding]:
    """What rows are given says much of real rows and little of generated ones."""
    y = played.held_out.y
    if y is None:
        return
    real, generated = (_explained(torch.from_numpy(played.places[name]), y) for name in ("real", "generated"))
    chance = y.shape[1] / len(y)
    if real > TOLD + chance and generated < HEEDED * real + chance:
        told = f"y explains {real:.0%} of the variance of real rows and {generated:.0%} of that of generated ones"
        yield Finding("ignored-condition", told, "Try condition='projection', or train longer")


def memorised(played: Played) -> Iterator[Finding]:
    """Generated rows lie nearer to training rows than unseen real rows do."""
    share = memorisation(**{name: played.places[name] for name in ("generated", "training", "real")})
    if share > COPIES:
        told = f"in {share:.0%} of pairs a generated row is nearer to a training row than a held-out row is (by chance 50%)"
        yield Finding("memorised-rows", told, "Use more rows, augment='all' for pictures, or a larger penalty_weight")


def _mean_distance(x: Array) -> float:
    """Mean distance of rows from the row that stands half of them further on: of pairs, each row in two."""
    return float(np.linalg.norm(x - np.roll(x, len(x) // 2, 0), axis=1).mean())


def _explained(x: Tensor, y: Tensor) -> float:
    """Share of the variance of x that least squares explain by y, 0 to 1."""
    coefficients, means = regression(x, y)
    rest = x - x.mean(0) - (y.double() - means) @ coefficients
    return float(1 - rest.square().sum() / (x - x.mean(0)).square().sum().clamp(min=1e-12))
