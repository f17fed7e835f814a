"""What is compared: fitted models, what tells them apart, which of them differ in their seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from engram.errors import UsageError, with_article
from engram.parameters import changed, to_json
from engram.registry import MODELS
from engram.training import Finding

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
NO_MATTER = ("random_state", "verbose")  # parameters in which runs of one model may differ
LEAST_UNIT = 1e-12  # variance of an encoded value, below which it does not vary
PLAIN = (type(None), bool, int, float, str, tuple, list, dict)  # values of parameters; others are networks of one's own
OFF = (
    1e-2  # encoded units by which two ways of encoding may differ beyond a shift and a scale: float32 of large numbers
)


@dataclass(frozen=True)
class Run:
    """One fitted model among those that are compared.

    Parameters
    ----------
    name : str
        What the caller calls it: the run folder, on the command line.
    model : str
        The registered name that suits its parameters best.
    parameters : dict
        Those that are not the defaults of that name.
    seed, code_size, weights, epochs : int
        The seed used, dimensions of the code, numbers that were learned, passes over the rows.
    seconds : float
        How long it learned.
    fitted_rows, trained_on : int
        Rows that the fit was given, and those that it learned from.
    fingerprint : str
        Of the rows that the fit was given.
    split : str
        How the rows of the comparison stand to those.
    findings : list of Finding
        Those of the fit, then those of the comparison.
    """

    name: str
    model: str
    parameters: dict[str, Any]
    seed: int
    code_size: int
    weights: int
    epochs: int
    seconds: float
    fitted_rows: int
    trained_on: int
    fingerprint: str
    split: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What runs of one model on one set of rows have in common: all but the seed."""
        return repr((*self.model_key, self.fingerprint))

    @property
    def model_key(self) -> tuple[Any, ...]:
        """What runs of one model have in common."""
        return (self.model, sorted(self.parameters.items()), self.code_size)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"findings": [finding.to_dict() for finding in self.findings]}


def named(models: Any) -> dict[str, Any]:
    """Return models by name; of a list the names are those of the models, numbered."""
    if isinstance(models, Mapping):
        found = {str(name): model for name, model in models.items()}
    elif isinstance(models, Sequence):
        found = {f"{type(model).__name__} {i}": model for i, model in enumerate(models, 1)}
    else:
        raise UsageError(
            f"compare takes fitted models, a list or a dict by name, not {with_article(type(models).__name__)}."
        )
    if not found:
        raise UsageError("compare takes at least one fitted model, and there is none.")
    for model in found.values():
        check_is_fitted(model)
    return found


def check_alike(models: dict[str, Any]) -> None:
    """Raise `UsageError` where two models are not of the same kind of data with the same columns, or of different applications."""
    own = own_measures(models)
    (first, one), *others = models.items()
    for name, other in others:
        a, b = one.kind_, other.kind_
        if own and type(one) is not type(other):
            sort, another = (with_article(type(model).__name__) for model in (one, other))
            told = f"{first!r} is {sort} and {name!r} {another}, which are judged by other measures"
        elif a.name != b.name:
            told = f"{first!r} is of {a.name} and {name!r} of {b.name}"
        elif list(a.columns) != list(b.columns):
            odd = sorted(set(a.columns) ^ set(b.columns)) or ["their order"]
            shown = ", ".join(map(repr, odd[:5])) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
            told = f"{first!r} and {name!r} learned from different columns ({shown})"
        elif a.shape != b.shape:
            told = f"{first!r} and {name!r} learned from rows of shape {tuple(a.shape)} and {tuple(b.shape)}"
        else:
            continue
        raise UsageError(
            f"{told}, so their numbers cannot be compared. Compare runs of one sort on the same columns, or judge each with evaluate."
        )


def own_measures(models: dict[str, Any]) -> bool:
    """Whether there is an application with measures of its own among the models."""
    return any(hasattr(model, "report_on") for model in models.values())


def run_of(name: str, model: Model, split: str, findings: list[Finding]) -> Run:
    """Return what there is to say of a model."""
    variant, given = variant_of(model)
    data: dict[str, Any] = model.data_
    reports = model.history_.reports
    return Run(
        name=name,
        model=variant,
        parameters=to_json(given),
        seed=model.settings_.seed,
        code_size=model.shapes_.code_size if isinstance(model, TransformerMixin) else 0,
        weights=model.network_.n_weights,
        epochs=model.n_iter_,
        seconds=float(reports[-1].get("seconds", 0.0)) if reports else 0.0,
        fitted_rows=data["rows"],
        trained_on=data["trained_on"],
        fingerprint=data["fingerprint"],
        split=split,
        findings=[*model.findings_, *findings],
    )


def variant_of(model: Model) -> tuple[str, dict[str, Any]]:
    """Return (the registered name whose own parameters suit the model's best, the parameters that differ from it)."""
    cls: Any = type(model)
    given = {k: v for k, v in model.get_params(deep=False).items() if k not in NO_MATTER}
    variants = [(e.name, e.parameters) for e in MODELS if e.value is cls] or [(cls.__name__, {})]
    fitting = [v for v in variants if all(given.get(k) == value for k, value in v[1].items())]
    name, own = max(fitting or variants[:1], key=lambda variant: len(variant[1]))
    return name, {k: v if isinstance(v, PLAIN) else repr(v) for k, v in changed(cls, given, own).items()}


def labelled(groups: list[list[Run]], *, by_name: bool) -> list[str]:
    """Return what to call each group in a table: a single run by its name, if it was given one, others by model and what differs."""
    said = [run.parameters for run, *_ in groups]
    common = {k for k in said[0] if all(p.get(k, None) == said[0][k] and k in p for p in said)}
    labels = []
    for runs in groups:
        first = runs[0]
        words = [first.model, *(f"{k}={_text(v)}" for k, v in first.parameters.items() if k not in common)]
        seeds = len({run.seed for run in runs})
        count = f" ({len(runs)} {'seeds' if seeds == len(runs) else 'runs'})" if len(runs) > 1 else ""
        labels.append(first.name if by_name and len(runs) == 1 else " ".join(words) + count)
    doubled = {label for label in labels if labels.count(label) > 1}
    return [f"{t} [{runs[0].name}]" if t in doubled else t for t, runs in zip(labels, groups, strict=True)]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(str, value)) or "()"
    return f"{value:g}" if isinstance(value, float) else str(value)


def grouped(runs: list[Run]) -> list[list[Run]]:
    """Return runs that differ in their seed alone together, in the order of the first of each."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.key, []).append(run)
    return list(found.values())


def in_units_of(x: Array, own: Array, back: Array, mask: Array | None, names: tuple[str, str]) -> Array:
    """Return reconstructions in the encoded units of the first model: rows of both, (rows, values), say how these hang together.

    Two fits to different rows scale columns differently; value by value, the one encoding is the other one, shifted and scaled.
    Raises `UsageError` where it is not.
    """
    if np.array_equal(x, own):
        return back
    seen = np.ones(x.shape) if mask is None else mask.astype(float)
    x, own, n = x.astype(float), own.astype(float), np.maximum(seen.sum(0), 1)
    means = [(values * seen).sum(0) / n for values in (x, own)]
    a, b = (x - means[0]) * seen, (own - means[1]) * seen
    varies = np.square(b).sum(0) / n > LEAST_UNIT
    slope = np.where(varies, (a * b).sum(0) / np.where(varies, np.square(b).sum(0), 1), np.nan)
    slope = np.where(varies, slope, np.median(slope[varies]) if varies.any() else 1.0)
    if np.abs((a - slope * b) * seen).max() > OFF:
        raise UsageError(
            f"{names[0]!r} and {names[1]!r} encode these rows in ways that cannot be compared. Fit them to the same rows."
        )
    brought: Array = (means[0] + slope * (back - means[1])).astype(back.dtype)
    return brought
