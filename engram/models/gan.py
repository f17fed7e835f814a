"""GAN: a generator against a discriminator that tells its rows from real ones (Goodfellow et al. 2014, arXiv:1406.2661).

    discriminator   minimise   D_loss(D(x), D(G(z)))  +  penalty_weight * penalty(D)      z from the noise, x real rows
    generator       minimise   G_loss(D(x), D(G(z)))

By default the relativistic game with R1 + R2 (Huang et al. 2025, arXiv:2501.05441, equation 2 and section 2.3). What keeps all modes
of the data is the penalty, not the name of the game.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.errors import UsageError, nearest
from engram.maths.adversarial import PAIRS, PENALTIES, Judgement
from engram.maths.augmentation import augmented, draw
from engram.models.game import BETAS, Losses, begin, condition_loss, faded, recipe, refuse_modules, seen, why
from engram.models.game_findings import looked_at, too_few_turns
from engram.models.model import Model
from engram.models.options import Auto
from engram.models.parts import Shapes
from engram.models.sampling import sampled
from engram.networks import Network
from engram.networks.discriminator import Discriminator
from engram.networks.players import PLAYERS, players
from engram.networks.spectral import limit
from engram.registry import MODELS
from engram.training import Batch, Finding, Turn
from engram.training.nets import Nets

PLAIN: dict[str, Any] = {"penalty": None}  # of games whose papers have no penalty
BINARY = 8  # dimensions of a table's noise that are -1 or 1: 256 places that nothing joins
FEWER = 6  # ... of a fit that is cut short, which could not fill so many places
SMALL_SET = 5000  # pictures, below which "auto" augments


@MODELS.register("wgan", "GAN with a clipped discriminator: the Wasserstein distance", loss="wasserstein", **PLAIN,
                 constraint="clip", discriminator_steps=5)  # fmt: skip
@MODELS.register("wgan-gp", "GAN of the Wasserstein distance with a gradient penalty", loss="wasserstein", penalty="gp")
@MODELS.register("lsgan", "GAN that minimises least squares", loss="least-squares", **PLAIN)
@MODELS.register("sngan", "GAN with spectral normalisation and the hinge loss", loss="hinge", **PLAIN,
                 constraint="spectral")  # fmt: skip
@MODELS.register("r3gan", "GAN of the relativistic game with R1 + R2, norm-free", loss="relativistic", penalty="r1r2",
                 network="norm-free")  # fmt: skip
@MODELS.register(
    "dcgan", "Deep convolutional GAN with batch normalisation", loss="non-saturating", **PLAIN, network="dcgan"
)
@MODELS.register(
    "vanilla-gan", "The classic GAN: the non-saturating game without a penalty", loss="non-saturating", **PLAIN
)
@MODELS.register(
    "pacgan", "The classic GAN with a discriminator of two rows at once", loss="non-saturating", **PLAIN, pack=2
)
@MODELS.register("cgan", "Conditional GAN: y beside the rows", loss="non-saturating", **PLAIN, conditional=True)
@MODELS.register("acgan", "Conditional GAN whose discriminator tells y, too", loss="non-saturating", **PLAIN, conditional=True,
                 condition="auxiliary")  # fmt: skip
@MODELS.register("gan", "A generator against a discriminator: new rows like those it learned from")
@dataclass(eq=False, repr=False, kw_only=True)
class GAN(Model):
    """Generative adversarial network, arXiv:1406.2661: minimise D_loss(D(x), D(G(z))) + penalty, and G_loss(D(x), D(G(z))), in turns.

    The first is the discriminator's turn, the second the generator's. A game has no loss that says when to stop, so a fit goes on to
    its last epoch: the automatic budget is 5,000 steps of 256 rows for tables, and 10,000 steps of 64 for pictures; the learning rate
    is held, then falls. Held-out rows are not stopped by, but looked at: findings say when modes are missing. Fitted with y, it is
    conditional, and draws rows for a given y.

    Parameters
    ----------
    code_size : int or "auto"
        Dimensions of the noise; "auto" is that of the rows, at most 64: more than rows need makes narrow modes wide.
    hidden : tuple of int or "auto"
        Widths of the hidden layers of the discriminator, reversed in the generator; with "auto" a fully connected generator has a linear
        path beside it.
    network : str
        "auto" ("mlp" for tables, "dcgan" for pictures), "mlp", "dcgan", "residual" or "norm-free". The discriminator of "dcgan" has no
        batch normalisation where there is a penalty or a constraint.
    loss : str
        The game: "relativistic", "non-saturating", "minimax", "least-squares", "hinge" or "wasserstein".
    penalty : str or None
        On the discriminator's slope: "r1" (at real rows), "r2" (at generated ones), "r1r2", or "gp" (to be 1, in between).
    penalty_weight : float or "auto"
        Its weight, for rows of variance 1; "auto" grows with the size of rows, and fades over the fit, from keeping all modes to
        making them sharp (that of "gp" stays).
    constraint : str or None
        On the discriminator: "clip" (weights within .01) or "spectral" (layers that stretch nothing).
    pack : int
        Rows that the discriminator judges together.
    discriminator_steps : int
        Steps of the discriminator for each of the generator.
    conditional : bool or "auto"
        Learn rows given y; "auto" where y is given.
    condition : str
        How the discriminator takes y: "auto" ("projection" for pictures, else "concatenation"), "concatenation", "projection"
        or "auxiliary" (it tells y from the row).
    binary : int or "auto"
        Dimensions of the noise, beside the code size, that are -1 or 1: a generator of normal noise alone joins clusters that lie apart.
        "auto" is 8 for tables (6 where ``max_epochs`` is given), 0 for pictures.
    augment : str
        Differentiable augmentation of pictures that the discriminator sees: "auto" (below 5,000 pictures), "none" or "all".
    ema : float or "auto"
        Average the weights; after this share of training an old weight counts half. 0 is off; "auto" is .03 for pictures,
        else 0.
    """

    network: Literal["auto", "mlp", "dcgan", "residual", "norm-free"] = "auto"  # type: ignore[assignment]
    loss: Losses = "relativistic"
    penalty: str | None = "r1r2"
    penalty_weight: Annotated[float, Ge(0)] | Auto = "auto"
    constraint: Literal["clip", "spectral"] | None = None
    pack: Annotated[int, Ge(1)] = 1
    discriminator_steps: Annotated[int, Ge(1)] = 1
    conditional: bool | Auto = "auto"  # type: ignore[assignment]
    condition: Literal["auto", "concatenation", "projection", "auxiliary"] = "auto"
    binary: Annotated[int, Ge(0)] | Auto = "auto"
    augment: Literal["auto", "none", "all"] = "auto"
    ema: Annotated[float, Interval(ge=0, lt=1)] | Auto = "auto"  # type: ignore[assignment]

    families: ClassVar[Mapping[str, Network]] = PLAYERS
    watches: ClassVar[bool] = False
    own_networks = False

    @property
    def takes_y(self) -> bool:
        """Always."""
        return True

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """The recipe for tables or for pictures; pictures without a penalty take the paper's smaller steps (arXiv:1511.06434)."""
        found = recipe(kind, self.network)
        return found | {"learning_rate": 2e-4} if kind.name == "images" and self.penalty is None else found

    def reasons(self) -> dict[str, str]:
        """Those of the recipe."""
        found = why(self.kind_)
        is_paper = self.kind_.name == "images" and self.penalty is None
        return found | ({"learning_rate": "2e-4, the paper's, for pictures without a penalty"} if is_paper else {})

    def may_change(self) -> set[str]:
        """The game, too."""
        return super().may_change() | {"loss", "penalty_weight", "discriminator_steps", "augment"}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """A generator, which ends in the likelihood of rows, and a discriminator."""
        refuse_modules(self, shapes)
        if self.penalty is not None and self.penalty not in PENALTIES:
            raise UsageError(f"penalty={self.penalty!r} is unknown. {nearest(self.penalty, PENALTIES)}")
        family = players(shapes.family, batch_norm=self.penalty is None and self.constraint is None)
        ways = {"auto": "projection" if len(shapes.row) == 3 else "concatenation"}
        way: Any = ways.get(self.condition, self.condition)
        given = {"given": shapes.given, "way": way, "pack": self.pack}
        discriminator = Discriminator(family, shapes.row, shapes.widths, shapes.dropout, **given)
        if self.constraint == "spectral":
            limit(discriminator)
        self._n_binary = self._binary(shapes)
        wide = replace(shapes, code_size=shapes.code_size + self._n_binary)
        return {"generator": wide.generator(self.families), "discriminator": discriminator}

    def _binary(self, shapes: Shapes) -> int:
        """Return how many dimensions of the noise are -1 or 1."""
        if self.binary != "auto":
            return self.binary
        if len(shapes.row) != 1:
            return 0
        return BINARY if self.max_epochs == "auto" else FEWER

    def described(self) -> dict[str, Any]:
        """Dimensions that "auto" no longer stands for, since a fit went on with another `max_epochs`; before a fit there are none."""
        is_known = hasattr(self, "shapes_") and self._binary(self.shapes_) != self._n_binary
        return {"binary": self._n_binary} if is_known else {}

    def turns(self, step: int) -> Sequence[Turn]:
        """The discriminator's turn, and after every so many of them the generator's."""
        return (
            Turn("discriminator", ("discriminator",), betas=BETAS),
            Turn("generator", ("generator",), every=self.discriminator_steps, betas=BETAS),
        )

    def start(self, nets: Nets, rows: Rows) -> bool:
        """See `begin`."""
        begin(nets, nets.generator, rows.x)
        return False

    def draw_codes(self, n: int, generator: torch.Generator | None, device: torch.device | str = "cpu") -> Tensor:
        """Draw noise, (n, code size and binary dimensions): normal in the former, -1 or 1 in the latter."""
        binary = self._n_binary
        z = torch.randn(n, self.shapes_.code_size + binary, generator=generator, device=device)
        return torch.cat([z[:, : self.shapes_.code_size], z[:, self.shapes_.code_size :].sign()], 1) if binary else z

    def generated(self, nets: Nets, batch: Batch) -> Tensor:
        """Return generated rows as the discriminator sees them: as many as the batch has, for its y, with its missing cells."""
        z = self.draw_codes(len(batch), batch.generator, batch.x.device)
        output = nets.generator(z, *batch.given)
        return self.seen(nets, batch, nets.generator.likelihood.relaxed(output, batch.generator))

    def seen(self, nets: Nets, batch: Batch, x: Tensor | None = None) -> Tensor:
        """Return rows, those of the batch or others, as the discriminator sees them, see `engram.models.game.seen`."""
        return seen(self.kind_, nets, batch, batch.x if x is None else x)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """What the turn minimises, per row; of rows that are judged together, the same value for each."""
        found = (self._discriminator if turn.name == "discriminator" else self._generator)(nets, batch)
        n = len(batch)
        return {name: v if len(v) == n else v.repeat_interleave(self.pack)[:n] for name, v in found.items()}

    def _discriminator(self, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            generated = self._augmented(self.generated(nets, batch))
            real = self._augmented(self.seen(nets, batch))

        def judge(x: Tensor) -> Tensor:
            logits: Tensor = nets.discriminator(x, *(y.repeat(len(x) // len(y), 1) for y in batch.given))
            return logits

        sloped = self.penalty is not None
        judged = Judgement(judge, real, generated, together=self.pack == 1 and sloped, sloped=sloped)
        terms = {"discriminator": PAIRS[self.loss].discriminator(judged.of_real, judged.of_generated)}
        if self.penalty is not None:
            weight = faded(self.penalty_weight, batch.progress, shape=self.kind_.shape, penalty=self.penalty)
            terms["penalty"] = weight * PENALTIES[self.penalty](judged)
        if nets.discriminator.told is not None:
            terms["condition"] = self._told(nets, real, batch) + self._told(nets, generated, batch)
        return terms

    def _generator(self, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        game = PAIRS[self.loss]
        generated = self._augmented(self.generated(nets, batch))
        logits = of_real = nets.discriminator(generated, *batch.given)
        if game.relative:
            with torch.no_grad():
                of_real = nets.discriminator(self._augmented(self.seen(nets, batch)), *batch.given)
        terms = {"generator": game.generator(of_real, logits)}
        if nets.discriminator.told is not None:
            terms["generator-condition"] = self._told(nets, generated, batch)
        return terms

    def _told(self, nets: Nets, x: Tensor, batch: Batch) -> Tensor:
        """Return how badly the discriminator tells y from rows, (rows,) (or packs) in nats."""
        assert self.given_ is not None
        return condition_loss(self.given_, nets.discriminator.tell(x), nets.discriminator.packed(batch.given[0]))

    def _augmented(self, x: Tensor) -> Tensor:
        """Return pictures where asked with changes drawn anew for each, real or generated; of a single pixel nothing would be left."""
        small = self.augment == "auto" and self.data_["trained_on"] < SMALL_SET
        if x.dim() < 4 or x.shape[2:].numel() == 1 or not (small or self.augment == "all"):
            return x
        return augmented(x, draw(len(x), *x.shape[2:], device=x.device))

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Clip the discriminator's weights where asked."""
        if self.constraint == "clip" and turn.name == "discriminator":
            nets.discriminator.clip()

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Look at rows that it generates beside real ones."""
        return [*too_few_turns(self), *looked_at(self, nets.eval(), rows, held_out)]

    def sample(self, n: int = 1, *, y: Any = None, random_state: Any = None) -> Any:
        """Generate rows: what the generator makes of noise, nothing added.

        Parameters
        ----------
        n : int
            How many.
        y : label, array or DataFrame
            Of a conditional model: what the rows are given, one for all or one per row. Others ignore it.
        random_state : int, RandomState or None
            Seed of the noise.
        """

        def rows(nets: Nets, given: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
            return self.kind_.likelihood().relaxed(nets.generator(*given), generator)  # which knows the range of values

        return sampled(self, n, y, random_state, codes=self.draw_codes, rows=rows)
