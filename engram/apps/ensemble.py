"""A small ensemble that is its own cross-fit: each member learns from all folds of the rows but one, and scores that one unseen.

    minimise   - log p(x | decoder_m(encoder_m(corrupt(x))))     averaged over the rows of all folds but m, for every member m

The members are one batched computation (a product of matrices for all of them at once), denoising autoencoders with a linear path
that begins at the principal components of their own rows. Of fewer than `SMALL` rows each member has scales of its own as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.apps.views import Views
from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.likelihoods import Bernoulli, Blocks, Categorical, Grouped, Likelihood, Normal
from engram.maths.linear import principal_components
from engram.models.parts import Decoder
from engram.networks.members import MemberCoder
from engram.training import Batch, Settings, Turn
from engram.training.nets import Nets

Noise = Callable[[Tensor, Batch], Tensor]
CLIP = 10.0  # standard deviations from the mean, beyond which a number says no more
NEVER = 1e-5  # spread of a column that does not vary: another value is as far out as `CLIP` allows, as a value that one row has is
DROPPED = 0.1  # share of a row's columns that are hidden while learning, beside the noise
STARTS = 8192  # rows that principal components and scales are computed from
FILLS = 8  # of holes, each with what a member makes of the row with the last ones
SMALL = 150  # rows, below which one of them moves a column's scale, and its tails, by as much as shows in p-values
NO_HOLDOUT = 5  # folds where there is one member: it learns from all but the first


def folds_of(n_models: int) -> int:
    """Return into how many folds rows go: one per member, and of one member a fifth is held out."""
    return n_models if n_models > 1 else NO_HOLDOUT


def fold_of(index: Tensor, folds: int) -> Tensor:
    """Return the fold of each row by its number, (rows,): every ``folds`` rows in a row go to all folds, in an order that changes.

    It is a function of the number alone, so that a row is in the same fold in memory, in a stream and after a resumed fit.
    """
    block = torch.div(index, folds, rounding_mode="floor")
    shift = (block * 2_654_435_761 % 4_294_967_291) // 7  # a hash: neighbours in time do not fall into one fold
    return (index + shift) % folds


def is_small(rows: int, folds: int) -> bool:
    """Whether so few rows are learned from that a held-out one must have no part in any scale; fewer still are not held out."""
    return 2 * folds <= rows < SMALL


class Scale(NamedTuple):
    """Means and standard deviations of numbers; of flags and categories 0 and 1."""

    centre: Tensor  # (values,), or (members, values) where each member has its own
    spread: Tensor

    @classmethod
    def of(cls, x: Tensor, seen: Tensor | None, measured: Tensor) -> Scale:
        """Return the scale of rows (rows, values); ``seen`` says which values are there, ``measured`` which are numbers."""
        weight = torch.ones_like(x) if seen is None else seen.to(x.dtype)
        n = weight.sum(0).clamp(min=1)
        centre = (x * weight).sum(0) / n
        spread = (((x - centre) * weight).square().sum(0) / n).sqrt()
        spread = torch.where(measured, torch.where(spread > 1e-6, spread, NEVER), 1.0)
        return cls(torch.where(measured, centre, 0.0), spread)

    def put(self, x: Tensor, seen: Tensor | None, measured: Tensor) -> Tensor:
        """Return values on this scale, clipped."""
        found = torch.where(measured, ((x - self.centre) / self.spread).clamp(-CLIP, CLIP), x)
        return found if seen is None else torch.where(seen, found, 0.0)


class Standard(nn.Module):
    """Encoded rows on one scale: numbers with mean 0 and standard deviation 1, clipped; flags and categories as they are.

    Parameters
    ----------
    likelihood : Likelihood
        The kind's distribution of encoded rows, which says what each value is.
    """

    centre: Tensor
    spread: Tensor
    measured: Tensor

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        measured = measured_values(likelihood)
        self.register_buffer("measured", measured, persistent=False)
        self.register_buffer("centre", torch.zeros(len(measured)))
        self.register_buffer("spread", torch.ones(len(measured)))

    def fit(self, x: Tensor, seen: Tensor | None) -> None:
        """Set the scales from encoded rows (rows, values); ``seen`` says which values are there."""
        scale = Scale.of(x, seen, self.measured)
        self.centre.copy_(scale.centre)
        self.spread.copy_(scale.spread)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        return Scale(self.centre, self.spread).put(x, seen, self.measured)

    def back(self, x: Tensor) -> Tensor:
        """Return standardised rows as encoded ones."""
        return x * self.spread + self.centre


def is_measured(part: Likelihood) -> bool:
    """Whether values are numbers to be standardised: all but flags and categories."""
    return not isinstance(part, Bernoulli | Categorical)


def measured_values(likelihood: Likelihood) -> Tensor:
    """Return which values are numbers, (values,) bool."""
    return torch.cat([torch.full((part.size,), is_measured(part)) for part in likelihood.side_by_side()])


def standard_likelihood(likelihood: Likelihood) -> Blocks:
    """Return the distribution of standardised rows: normal where the kind has any distribution of numbers, counts or dates."""
    return Blocks([_normal(part) if is_measured(part) else part for part in likelihood.side_by_side()])


def _normal(part: Likelihood) -> Likelihood:
    normal = Normal((part.size,))
    return Grouped(normal, part.groups) if isinstance(part, Grouped) else normal


def seen_values(mask: Tensor | None, groups: Tensor | None) -> Tensor | None:
    """Return which encoded values are there, (rows, values), of a mask of columns."""
    return mask if mask is None or groups is None else mask[:, groups]


class Ensemble:
    """The members of a detector that was given no model: what they are built of, begin at and minimise.

    Parameters
    ----------
    kind : Kind
        The fitted kind of the rows.
    n_models : int
        Members.
    code_size : int
        Dimensions of each member's code.
    widths : tuple of int
        Widths of hidden layers.
    """

    def __init__(self, kind: Kind, n_models: int, code_size: int, widths: tuple[int, ...]) -> None:
        self.kind, self.members, self.code_size, self.widths = kind, n_models, code_size, widths
        self.folds = folds_of(n_models)
        self.own_scale: Scale | None = None  # of each member, on the common one; None: they are the same
        with torch.device("cpu"):  # also where networks are built on no device, to check a run folder's weights
            self.own = kind.likelihood()
            self.likelihood = standard_likelihood(self.own)

    def roles(self) -> dict[str, nn.Module]:
        """Return the encoders, the decoders and the scale of the rows."""
        size = self.own.size
        encoder = MemberCoder(self.members, (size, *self.widths, self.code_size))
        decoder = MemberCoder(self.members, (self.code_size, *reversed(self.widths), size))
        return {
            "encoder": encoder,
            "decoder": Decoder(decoder, standard_likelihood(self.own)),
            "standard": Standard(self.own),
        }

    def standard(self, nets: Nets, rows: Rows | Batch) -> Tensor:
        """Return rows on the scale that members see, (rows, values)."""
        found: Tensor = nets.standard(rows.x.flatten(1), seen_values(rows.mask, self.kind.groups))
        return found

    def own_rows(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return standardised rows on each member's own scale, (members, rows, values); (rows, values) where that is the common one."""
        if self.own_scale is None:
            return x
        centre, spread = (t.to(x.device)[:, None] for t in self.own_scale)
        return Scale(centre, spread).put(x, seen, measured_values(self.own).to(x.device))

    def common_rows(self, x: Tensor) -> Tensor:
        """Return rows as `own_rows` gives them on the common scale again."""
        return x if self.own_scale is None else x * self.own_scale.spread[:, None] + self.own_scale.centre[:, None]

    def apart(self, rows: int) -> bool:
        """Whether nothing that one of so many rows is in may have a part in how it is measured when it is held out."""
        return self.own_scale is not None or is_small(rows, self.folds)

    def state(self) -> dict[str, Tensor]:
        """Return the members' scales, where they have their own."""
        return {} if self.own_scale is None else {f"scale.{k}": value for k, value in self.own_scale._asdict().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` described; raise `KeyError` or `ValueError` where it is none."""
        if "scale.centre" not in state:
            return
        scale = Scale(*(state[f"scale.{name}"] for name in Scale._fields))
        if any(value.shape != (self.members, self.own.size) for value in scale) or not bool((scale.spread > 0).all()):
            raise ValueError("the members' scales are none of these columns")
        self.own_scale = scale

    def turns(self, step: int, settings: Settings) -> Sequence[Turn]:
        """One turn of encoders and decoders."""
        return (Turn("ensemble", ("encoder", "decoder")),)

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Nothing: weights move by the gradient alone."""

    def start(self, nets: Nets, rows: Rows) -> None:
        """Set the scales, and each member to the principal components of the rows that it learns from."""
        rows, folds = self.scaled(nets, rows)
        x = self.own_rows(self.standard(nets, rows), seen_values(rows.mask, self.kind.groups)).expand(
            self.members, -1, -1
        )
        likelihood, decoder = nets.decoder.likelihood, nets.decoder.network
        residuals = []
        for member in range(self.members):
            own = x[member, folds != member] if bool((folds != member).any()) else x[member]
            found = principal_components(own, self.code_size)
            vectors = found.vectors.float()
            link = likelihood.link(found.mean.float())
            nets.encoder.linear.weight.data[member] = vectors.T
            nets.encoder.head.bias.data[member] = -(vectors @ found.mean.float())
            decoder.linear.weight.data[member] = vectors * link.slope
            decoder.head.bias.data[member] = link.output
            residuals.append(found.residual)
        likelihood.start(torch.stack(residuals).mean().float().sqrt().clamp(min=0.02))

    def scaled(self, nets: Nets, rows: Rows) -> tuple[Rows, Tensor]:
        """Set the scales; return the rows that they were computed from, spread out over all, and the fold of each."""
        rows = rows.spread(STARTS)
        x, seen = rows.x.flatten(1), seen_values(rows.mask, self.kind.groups)
        nets.standard.fit(x, seen)
        folds, self.own_scale = fold_of(numbers_of(rows), self.folds), None
        if is_small(len(rows), self.folds):
            x, measured = nets.standard(x, seen), nets.standard.measured
            learned = [folds != member for member in range(self.members)]
            scales = [Scale.of(x[some], None if seen is None else seen[some], measured) for some in learned]
            self.own_scale = Scale(*(torch.stack(each) for each in zip(*scales, strict=True)))
        return rows, folds

    def terms(self, turn: Turn, nets: Nets, batch: Batch, noise: Noise | None) -> dict[str, Tensor]:
        """- log p(x | decoder_m(encoder_m(corrupt(x)))) per row, averaged over the members that learn from the row."""
        x = self.own_rows(self.standard(nets, batch), seen_values(batch.mask, self.kind.groups))
        noisy = x if noise is None else self._noisy(x, batch, noise)
        output = nets.decoder(nets.encoder(noisy.expand(self.members, -1, -1)))
        mask = None if batch.mask is None else batch.mask.repeat(self.members, 1)
        clean = x.expand(self.members, -1, -1).flatten(0, 1)
        log_prob = nets.decoder.likelihood.log_prob(output.flatten(0, 1), clean, mask)
        own_fold = torch.arange(self.members, device=x.device)[:, None]
        learns = fold_of(cast("Tensor", batch.index), self.folds) != own_fold
        share = learns / max(self.members - 1, 1)
        return {"reconstruction": -(log_prob.view(self.members, -1) * share).sum(0)}

    def _noisy(self, x: Tensor, batch: Batch, noise: Noise) -> Tensor:
        """Return rows with noise and hidden columns; where members have rows of their own, each has noise of its own."""
        if x.dim() == 2:
            return hidden_columns(noise(x, batch), self.kind.groups)
        mask = None if batch.mask is None else batch.mask.repeat(len(x), 1)
        return self._noisy(x.flatten(0, 1), replace(batch, mask=mask), noise).view_as(x)

    @property
    def owners(self) -> Tensor:
        """The number of the column that each residual is of, (residuals,)."""
        return owners_of(self.likelihood, measured_values(self.likelihood), self.kind.groups)

    def means(self, nets: Nets, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what each member makes of standardised rows x: means on the same scale, (members, rows, values).

        The rows are (rows, values), or (members, rows, values) where each member has its own.
        """
        output = nets.decoder(nets.encoder(x.expand(self.members, -1, -1)))
        found: Tensor = nets.decoder.likelihood.mean(output.flatten(0, 1))
        return found.view_as(output)

    def seen(self, nets: Nets, x: Tensor, mask: Tensor | None, *, fills: bool) -> tuple[Views, Tensor]:
        """Return standardised rows x as the score sees them, and what members make of them, (members, rows, values).

        Where it ``fills`` holes, a number leaves nothing there, and a category what the most probable one leaves: a deviance residual
        has no mean of 0, and none at all would be strange.
        """
        there, counted = seen_values(mask, self.kind.groups), None if mask is None else mask[:, self.owners]
        own = self.own_rows(x, there)
        if there is None or not fills:
            made, filled = self.means(nets, own, mask), own if own.dim() == 3 else None
        else:
            filled = filled_rows(lambda rows: self.means(nets, rows), self.members, own, there, self.likelihood)
            made = self.means(nets, filled)
        measured = nets.standard.measured
        residuals = residuals_of(self.likelihood, measured, own if filled is None else filled, made)
        if counted is not None:
            discrete = torch.arange(counted.shape[1], device=x.device) >= measured.sum()
            residuals = residuals * (counted | discrete if fills else counted)
        return Views(x, mask, residuals, filled), made


def numbers_of(rows: Rows) -> Tensor:
    """Return the numbers of rows in what they were taken from."""
    return torch.arange(len(rows)) if rows.index is None else rows.index


def hidden_columns(x: Tensor, groups: Tensor | None, share: float = DROPPED) -> Tensor:
    """Return rows x (rows, values) with a share of their columns set to 0, the mean: what is left out is to be told from the rest."""
    columns = x.shape[1] if groups is None else int(groups.max()) + 1
    keep = torch.rand(len(x), columns, device=x.device) >= share
    return x * (keep if groups is None else keep[:, groups])


def filled_rows(means: Callable[[Tensor], Tensor], members: int, x: Tensor, seen: Tensor, whole: Likelihood) -> Tensor:
    """Return rows x with their holes filled by what each member makes of the rest, (members, rows, values).

    The rows are (rows, values), or (members, rows, values) where each member has its own.

    ``means`` are what members make of rows (members, rows, values). Only rows with holes are looked at, in multiples of 16, so that what
    is filled depends on nothing but the row. Of flags and categories of ``whole`` the most probable one is taken at the end.
    """
    found = x.expand(members, -1, -1).clone()
    which = (~seen).any(1).nonzero()[:, 0]
    if not len(which):
        return found
    which = torch.cat([which, which[:1].expand(-len(which) % 16)])
    own, there = found[:, which], seen[which]
    for _ in range(FILLS):
        own = torch.where(there, own, means(own))
    found[:, which] = torch.where(there, own, whole_cells(whole, own))
    return found


def whole_cells(likelihood: Likelihood, x: Tensor) -> Tensor:
    """Return rows x (..., values) with the most probable flags and categories in place of their probabilities, the first where some tie.

    No row has a third of each of three categories: such a cell would be far from every row that there is.
    """
    found = x.clone()
    for part, values in _discrete(likelihood):
        own = x[..., values]
        one = functional.one_hot(own.argmax(-1), own.shape[-1]) if isinstance(part, Categorical) else own > 0.5
        found[..., values] = one.to(x.dtype)
    return found


def residuals_of(likelihood: Blocks, measured: Tensor, x: Tensor, means: Tensor) -> Tensor:
    """Return what a reconstruction leaves, (members, rows, residuals): differences of numbers first, then flags and categories.

    Of standardised rows x (rows, values), or each member's (members, rows, values), and their means (members, rows, values). Of flags and
    categories it is the deviance residual sqrt(- 2 log p) (McCullagh & Nelder, Generalized Linear Models, 1989, section 2.4).
    """
    found = [(x - means)[..., measured]]
    for part, values in _discrete(likelihood):
        one, p = x[..., values], means[..., values]
        said = (one * p).sum(-1, keepdim=True) if isinstance(part, Categorical) else one * p + (1 - one) * (1 - p)
        found.append((-2 * said.clamp(min=1e-12).log()).clamp(min=0).sqrt())
    return torch.cat(found, -1)


def owners_of(likelihood: Blocks, measured: Tensor, groups: Tensor | None) -> Tensor:
    """Return the number of the column that each residual is of, (residuals,)."""
    owner = torch.arange(len(measured)) if groups is None else groups
    rest = [owner[values][: part.n_columns] for part, values in _discrete(likelihood)]
    return torch.cat([owner[measured], *rest])


def _discrete(likelihood: Likelihood) -> list[tuple[Likelihood, slice]]:
    """Return the distributions of flags and categories, each with its values."""
    found, at = [], 0
    for part in likelihood.side_by_side():
        if not is_measured(part):
            found.append((part, slice(at, at + part.size)))
        at += part.size
    return found
