"""How likely held-out rows are under a model, with the protocol beside each number: what the field's tables print.

Numbers of different protocols are not comparable (Theis, van den Oord & Bethge, ICLR 2016): the estimator, its draws, the split and the
distribution of a value belong to the number.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engram.data.kind import DataWarning, Kind
from engram.data.rows import Rows
from engram.data.stream import some
from engram.errors import UsageError
from engram.evaluation.apart import beyond
from engram.evaluation.baselines.pca import PCA
from engram.evaluation.comparison import flat, has_density
from engram.evaluation.facts import spread
from engram.evaluation.labels import beside
from engram.evaluation.report import Result
from engram.likelihoods import Normal
from engram.models.code_findings import ACTIVE
from engram.models.codes import Codes
from engram.registry import MODELS
from engram.training import Finding
from engram.training.settings import flops_per_row

if TYPE_CHECKING:
    from engram.models.made import MADE
    from engram.models.vae import VAE

Array = np.ndarray[Any, np.dtype[Any]]
DRAWS = 50  # a row, in reports
WORK = 1e10  # multiplications and additions of a report's draws: about a second
ROWS = (64, 1000)  # of a report: at least, at most


def likelihood(model: VAE | MADE, X: Any, y: Any = None, *, k: int = 200) -> list[Result]:
    """Return negative log-likelihood and bits per dimension of rows; of a VAE the ELBO, KL and active units, too.

    Parameters
    ----------
    model : VAE or MADE
        A fitted one. The likelihood is exact of a MADE, and of a VAE with a linear decoder, normal noise and a normal prior; of other
        VAEs it is sampled.
    X : like the data of `fit`
        Rows, better such as the model has not seen.
    y : array or DataFrame
        Of a conditional model: what the rows are given.
    k : int
        Draws per row of the importance-sampled estimate (Burda et al. 2015, arXiv:1509.00519), a lower bound in expectation.

    Returns
    -------
    list of Result
        Errors are standard errors over rows; densities are in the user's units. A dimension is an observed column of a table (a
        category or a date is one), or a value of a picture.

    Raises
    ------
    UsageError
        The model has no likelihood.
    """
    if not has_likelihood(model):
        able = ", ".join(entry.name for entry in MODELS if has_likelihood(entry.value))
        raise UsageError(f"{type(model).__name__} does not say how likely rows are. Models that do: {able}.")
    X, given = some(model.kind_.opened(X)), beside(model, y)
    rows = model.encoded(X, y if given else None)
    found = _of_rows(model, X, rows, given, k)
    return found if is_exact(model) else [*found, *_bound(model, X, rows, given), _active(model, X, rows, given)]


def _of_rows(model: Any, X: Any, rows: Rows, given: dict[str, Any], k: int) -> list[Result]:
    """Return how likely rows are, in nats and in bits."""
    log_prob, estimator = _log_prob(model, X, rows, given, k)
    bits = -log_prob / (np.maximum(_dimensions(model.kind_, rows), 1) * math.log(2))
    return [
        _result(model, rows, "negative-log-likelihood", -log_prob, "lower", "nats a row", estimator),
        _result(model, rows, "bits-per-dimension", bits, "lower", "bits a value", estimator),
    ]


def _log_prob(model: Any, X: Any, rows: Rows, given: dict[str, Any], k: int) -> tuple[Array, str]:
    """Return log p of each row, (rows,) in nats of the user's units, and how it was come by."""
    if is_exact(model):
        return model.log_likelihood(X), "exact"
    density = _linear_density(model)
    if density is None:
        return model.log_likelihood(X, n=k, **given), f"importance sampling from q(z | x), k = {k} even draws a row"
    x, mask = flat(rows, model.kind_)
    volume = model.kind_.log_volume.double().numpy()  # a normal density of all columns: columns are values
    log_prob = density.log_likelihood(x, mask) - (volume.sum() if mask is None else (mask * volume).sum(1))
    return log_prob, "exact: the decoder is linear and the noise normal"


def _linear_density(model: VAE) -> PCA | None:
    """Return the density of a VAE x = W z + b + noise, z normal: that of probabilistic PCA; None where it is no such model."""
    shapes, decoder = model.shapes_, model.network_.decoder
    is_linear = shapes.family == "mlp" and not (shapes.widths or shapes.modules) and model.given_ is None
    if not is_linear or model.prior != "normal" or type(decoder.likelihood) is not Normal:
        return None
    if decoder.likelihood.low is not None:  # its means are clamped to a range
        return None
    with model.fitted() as nets:
        size = shapes.code_size
        mean, *columns = nets.decoder(torch.cat([torch.zeros(1, size), torch.eye(size)])).flatten(1).double()
        noise = (2 * nets.decoder.likelihood.floored().double()).exp()
    return PCA.of(torch.stack(columns, 1) - mean[:, None], mean, noise)


def has_likelihood(model: Any) -> bool:
    """Whether a model, or a class of models, says how likely rows are."""
    return hasattr(model, "log_likelihood")


def is_exact(model: Any) -> bool:
    """Whether the likelihood of a model that has one is exact: without a code there is nothing to bound."""
    return not isinstance(model, Codes)


def reported(model: Any, X: Any, y: Any, common: dict[str, Any]) -> tuple[list[Result], list[str]]:
    """Return the likelihood of rows for a report, of so many of them that it takes about a second at most, and a note of its protocol."""
    if not has_likelihood(model):
        return [], []
    work = flops_per_row(model.network_) * (1 if is_exact(model) else DRAWS)
    some_rows, index = spread(X, min(max(int(WORK / max(work, 1)), ROWS[0]), ROWS[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said once, when the rows were encoded
        given = beside(model, y, index)
        read = model.encoded(some_rows, given.get("y"))
        kept = _of_rows(model, some_rows, read, given, DRAWS)
        kept += [] if is_exact(model) else [_active(model, some_rows, read, given)]
    told = kept[0].protocol
    some_of = "all" if len(index) == common["rows"] else f"{len(index)} of {common['rows']}, spread evenly"
    note = (
        f"{', '.join(r.name for r in kept)}: {told['estimator']}; rows: {some_of}; {told['data']}; {told['network']}, "
    )
    note += f"{told['epochs']} epoch{'s' * (told['epochs'] != 1)}"
    shared = {"features": "none", "baseline_rows": "none", "errors": "over rows"}
    results = [
        Result(r.name, r.subject, r.value, r.error, r.better, r.unit, shared | common | r.protocol | _quantity(r))
        for r in kept
    ]
    return results, [note]


def worse_than_uniform(kind: Kind, results: list[Result]) -> list[Finding]:
    """Return a finding where pictures are less likely than if each value were drawn evenly from the range that values can have.

    That takes log2(high - low) bits a value: 8 of pictures with 8 bits.
    """
    if kind.name != "images" or not has_density(kind):
        return []
    even = float(kind.log_volume.mean()) / math.log(2)
    return [
        Finding(
            "worse-than-uniform",
            f"these pictures take {r.text(1)} bits a value, and {even:.1f} would do if every value were as likely as any other: what it "
            "learned of the values' spread is too narrow for them",
            "Collect more pictures, stop earlier, use a smaller code, or cut borders that are alike in all (resize='crop', not 'pad')",
        )
        for r in results
        if r.name == "bits-per-dimension" and beyond(r.value - even, r.error)
    ]


def _quantity(result: Result) -> dict[str, Any]:
    return {"quantity": result.protocol["estimator"]}


def _bound(model: Any, X: Any, rows: Rows, given: dict[str, Any]) -> list[Result]:
    """Return the ELBO of rows, their KL, and that of each unit."""
    exact = "exact" if model.prior == "normal" else "16 draws a row"
    with model.fitted() as nets:
        kl = model.kl_per_unit(nets, rows).numpy()
    told = [("kl", float(kl.sum())), *((f"kl-of-unit-{i}", float(v)) for i, v in enumerate(kl))]
    elbo, draws = model.score_samples(X, **given), f"16 balanced draws a row, KL {exact}"
    return [
        _result(model, rows, "elbo", elbo, "higher", "nats a row", draws),
        *(_result(model, rows, name, value, "higher", "nats a row", exact) for name, value in told),
    ]


def _active(model: Any, X: Any, rows: Rows, given: dict[str, Any]) -> Result:
    """Return how many units of the code vary over rows."""
    varies = model.transform(X, **given).var(0) > ACTIVE
    told = f"variance of the posterior mean over rows above {ACTIVE}"
    return _result(model, rows, "active-units", int(varies.sum()), "higher", f"of {len(varies)} units", told)


def _result(model: Any, rows: Rows, name: str, value: Any, better: str, unit: str, estimator: str) -> Result:
    """Return the mean of a quantity, with its standard error where there is a value for each row, and how it came about."""
    values, shapes = np.atleast_1d(np.asarray(value, dtype=np.float64)), model.shapes_
    error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else math.nan
    code = {"orders": model.orders} if is_exact(model) else {"prior": model.prior, "code_size": shapes.code_size}
    protocol = {
        "rows": len(rows),
        **code,
        "network": f"{shapes.family} {list(shapes.widths)}",
        "epochs": model.n_iter_,
        "data": f"{model.kind_.name} as given, distribution {type(shapes.likelihood).__name__.lower()}",
        "estimator": estimator,
    }
    return Result(name, type(model).__name__, float(values.mean()), error, better, unit, protocol)


def _dimensions(kind: Kind, rows: Rows) -> Array:
    """Return of how many observed columns each row is, (rows,): a category or a date is one, of a picture each value."""
    observed = torch.ones(len(rows), len(kind.columns)) if rows.mask is None else rows.mask.flatten(1)
    found: Array = observed.sum(1).numpy()
    return found
