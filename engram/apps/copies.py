"""An ensemble of copies of any model with an encoder and a decoder: each learns from all folds of the rows but one, in turns of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from sklearn.base import clone
from torch import Tensor, nn

from engram.apps.ensemble import Ensemble, Noise, Standard, fold_of, seen_values
from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.errors import UsageError, nearest
from engram.models.model import Model
from engram.models.resolve import checked_parameters, settled
from engram.parameters import changed, check_names
from engram.registry import MODELS, Entry, name_of
from engram.training import Batch, Settings, Turn
from engram.training.nets import Nets

# detectors with GANs that people ask for by name, and what sets them apart
OTHERS = {
    "anogan": "AnoGAN searches the code of each row by gradient descent through the generator",
    "fanogan": "f-AnoGAN trains an encoder after the GAN, and scores by the discriminator's features, too",
    "ganomaly": "GANomaly scores by how far two encoders' codes of a row are apart",
}
BIGAN = "Use model='bigan': codes are learned, by an encoder that plays along, not searched, and rows are scored as by any model here."
UNFIT = (("conditional", True), ("network", "conv"))  # variants that cannot score rows of a table


def model_from(given: str | dict[str, Any] | Model) -> Model:
    """Return the model that a name, a name with parameters or an unfitted model stands for.

    Raises `UsageError` where it cannot be a member: it has no encoder, or is conditional.
    """
    if isinstance(given, Model):
        model = cast("Model", clone(given))
    else:
        wanted = {"name": given} if isinstance(given, str) else dict(given)
        if "name" not in wanted:
            raise UsageError(f"model={given!r} has no name. Give one: {{'name': 'vae', 'beta': 2}}.")
        entry = _entry(str(wanted.pop("name")))
        check_names(entry.value, wanted)
        model = entry.value(**{**entry.parameters, **wanted})
    if not hasattr(model, "encode") or model.conditional is True:
        raise UsageError(
            f"model={name_of(type(model))!r} cannot score rows: it has no encoder, or is conditional. "
            "An autoencoder, a VAE, or of the GANs 'bigan' and 'vae-gan' can."
        )
    return model


def _entry(name: str) -> Entry[type]:
    """Return the registered model of a name; raise `UsageError` that names such as can score rows."""
    plain = name.lower().replace("-", "").replace("_", "")
    if name not in MODELS and plain in OTHERS:
        raise UsageError(f"model={name!r} is not here: {OTHERS[plain]}. {BIGAN}")
    if name not in MODELS:
        able = [
            e.name for e in MODELS if hasattr(e.value, "encode") and not any(e.parameters.get(k) == v for k, v in UNFIT)
        ]
        raise UsageError(f"unknown model {name!r}. {nearest(name, able)}")
    return MODELS[name]


def described(given: str | dict[str, Any] | Model | None) -> str | dict[str, Any] | None:
    """Return a model as JSON has it: its name, with the parameters that are not the defaults."""
    if not isinstance(given, Model):
        return given
    return {"name": name_of(type(given)), **changed(type(given), given.get_params(deep=False))}


class Copies(Ensemble):
    """The members of a detector that was given a model.

    Parameters
    ----------
    model : Model
        An unfitted model.
    kind, n_models, code_size
        As for `Ensemble`; a code size that the model says itself is its own.
    n_rows : int
        How many rows are learned from.
    """

    def __init__(self, model: Model, kind: Kind, n_models: int, code_size: int, n_rows: int) -> None:
        super().__init__(kind, n_models, code_size, ())
        self.copies = [cast("Model", clone(model)) for _ in range(n_models)]
        for copy in self.copies:
            values = settled(checked_parameters(copy), copy.automatic(kind) | {"code_size": code_size})
            copy.kind_, copy.given_, copy.data_ = kind, None, {"trained_on": n_rows}
            copy.prepare(values)
        self._roles: list[tuple[str, ...]] = []  # of each copy
        self._seen: Nets | None = None  # the networks that `_views` shows, copy by copy
        self._views: list[Nets] = []
        self._turns: dict[str, tuple[int, Turn]] = {}

    def roles(self) -> dict[str, nn.Module]:
        """Return the networks of all copies, their numbers after the names of their roles, and the scale of the rows."""
        self._roles, self._seen = [], None
        found: dict[str, nn.Module] = {}
        for member, copy in enumerate(self.copies):
            own = copy.roles(copy.shapes_)
            self._roles.append(tuple(own))
            copy._turns = (Turn(type(copy).__name__.lower(), tuple(own)),)
            found |= {f"{role}{member}": net for role, net in own.items()}
        return found | {"standard": Standard(self.own)}

    def nets_of(self, nets: Nets, member: int) -> Nets:
        """Return the networks of one copy by their own roles."""
        if self._seen is not nets:
            views = ({role: nets[f"{role}{i}"] for role in own} for i, own in enumerate(self._roles))
            self._seen, self._views = nets, [Nets(view) for view in views]
        return self._views[member].train(nets.training)

    def start(self, nets: Nets, rows: Rows) -> None:
        """Set the scales, and let each copy begin as it does, on its own rows."""
        self.copies[0].check_rows(rows)
        few, folds = self.scaled(nets, rows)
        for member, copy in enumerate(self.copies):
            learned = folds != member
            copy.start(self.nets_of(nets, member), few.take(learned) if bool(learned.any()) else few)

    def turns(self, step: int, settings: Settings) -> Sequence[Turn]:
        """The turns of all copies, one copy after the other."""
        found = []
        for member, copy in enumerate(self.copies):
            copy.settings_ = settings
            for turn in copy.turns(step):
                name = f"{turn.name}{member}"
                self._turns[name] = (member, turn)
                found.append(replace(turn, name=name, roles=tuple(f"{role}{member}" for role in turn.roles)))
        return found

    def terms(self, turn: Turn, nets: Nets, batch: Batch, noise: Noise | None) -> dict[str, Tensor]:
        """The terms of a copy on the rows that it learns from."""
        member, own = self._turns[turn.name]
        return self.copies[member].terms(own, self.nets_of(nets, member), self._learned(batch, member))

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """What a copy does after its step."""
        member, own = self._turns[turn.name]
        self.copies[member].after_step(own, self.nets_of(nets, member), self._learned(batch, member))

    def _learned(self, batch: Batch, member: int) -> Batch:
        """Return the rows of a batch that a copy learns from; where that is none, all."""
        index = cast("Tensor", batch.index)
        learns = fold_of(index, self.folds) != member
        if not bool(learns.any()):
            return batch
        mask, y, weight = (None if t is None else t[learns] for t in (batch.mask, batch.y, batch.weight))
        return replace(batch, x=batch.x[learns], mask=mask, y=y, weight=weight, index=index[learns])

    def means(self, nets: Nets, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what each copy makes of standardised rows x: means on the same scale, (members, rows, values).

        The rows are (rows, values), or (members, rows, values) where each copy has its own.
        """
        rows = nets.standard.back(self.common_rows(x))
        seen = seen_values(mask, self.kind.groups)
        rows = (rows if seen is None else torch.where(seen, rows, 0.0)).view(*x.shape[:-1], *self.kind.shape)
        found = []
        for member, copy in enumerate(self.copies):
            own: Any = self.nets_of(nets, member)
            code = cast("Any", copy).encode(own, Batch(rows if x.dim() == 2 else rows[member], mask))
            means = own.decoder.likelihood.mean(own.decoder(code))
            found.append(nets.standard(means.flatten(1)))
        return self.own_rows(torch.stack(found))
