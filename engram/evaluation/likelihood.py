"""How likely held-out rows are under a VAE, with the protocol beside each number: what the field's tables print.

Numbers of different protocols are not comparable (Theis, van den Oord & Bethge, ICLR 2016): the estimator, its draws, the split and the
distribution of a value belong to the number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.data.stream import some
from engram.evaluation.labels import beside
from engram.evaluation.report import Result
from engram.models.code_findings import ACTIVE

if TYPE_CHECKING:
    from engram.models.vae import VAE

Array = np.ndarray[Any, np.dtype[Any]]


def likelihood(model: VAE, X: Any, y: Any = None, *, k: int = 200) -> list[Result]:
    """Return ELBO, importance-sampled negative log-likelihood, bits per dimension, KL and active units of rows.

    Parameters
    ----------
    model : VAE
        A fitted one.
    X : like the data of `fit`
        Rows, better such as the model has not seen.
    y : array or DataFrame
        Of a conditional model: what the rows are given.
    k : int
        Draws per row of the importance-sampled estimate (Burda et al. 2015, arXiv:1509.00519), a lower bound in expectation.

    Returns
    -------
    list of Result
        Errors are standard errors over rows; densities are in the user's units.
    """
    X, given = some(model.kind_.opened(X)), beside(model, y)
    rows = model.encoded(X, y if given else None)
    elbo, sampled = model.score_samples(X, **given), model.log_likelihood(X, n=k, **given)
    bits = -sampled / (np.maximum(_dimensions(model.kind_, rows), 1) * math.log(2))
    with model.fitted() as nets:
        kl = model.kl_per_unit(nets, rows).numpy()
    active = int((model.transform(X, **given).var(0) > ACTIVE).sum())
    protocol = {
        "rows": len(rows),
        "prior": model.prior,
        "code_size": model.shapes_.code_size,
        "network": f"{model.shapes_.family} {list(model.shapes_.widths)}",
        "epochs": model.n_iter_,
        "data": f"{model.kind_.name} as given, distribution {type(model.shapes_.likelihood).__name__.lower()}",
    }
    exact = "exact" if model.prior == "normal" else "16 draws a row"
    sobol = f"importance sampling from q(z | x), k = {k} even draws a row"
    active_by = f"variance of the posterior mean over rows above {ACTIVE}"

    def result(name: str, value: Any, better: str, unit: str, estimator: str) -> Result:
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else math.nan
        return Result(
            name, type(model).__name__, float(values.mean()), error, better, unit, protocol | {"estimator": estimator}
        )

    return [
        result("elbo", elbo, "higher", "nats a row", f"16 balanced draws a row, KL {exact}"),
        result("negative-log-likelihood", -sampled, "lower", "nats a row", sobol),
        result("bits-per-dimension", bits, "lower", "bits a value", sobol),
        result("kl", float(kl.sum()), "higher", "nats a row", exact),
        *(result(f"kl-of-unit-{i}", float(v), "higher", "nats a row", exact) for i, v in enumerate(kl)),
        result("active-units", float(active), "higher", f"of {len(kl)} units", active_by),
    ]


def _dimensions(kind: Kind, rows: Rows) -> Array:
    """Return of how many observed columns each row is, (rows,): a category or a date is one, of a picture each value."""
    observed = torch.ones(len(rows), len(kind.columns)) if rows.mask is None else rows.mask.flatten(1)
    found: Array = observed.sum(1).numpy()
    return found
