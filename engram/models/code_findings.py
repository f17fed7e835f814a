"""What is worth knowing of codes after a fit, from rows that training has not seen: whether they are in use, and spread as the prior is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from engram.maths.discrepancy import mean_discrepancy
from engram.training import Finding

# a code unit is active if the variance of its mean over rows is above this (Burda et al. 2015, arXiv:1509.00519, section 5.2)
ACTIVE = 0.01
FAR = 0.005  # squared discrepancy of codes from the prior that matters, beyond what as many draws from the prior have
DRAWS = 11  # from the prior, which codes are compared with


def code_use(mean: Tensor, kl: Tensor, gain: Tensor) -> list[Finding]:
    """Say whether the code tells nothing of held-out rows, or some of its units do not.

    Parameters
    ----------
    mean : Tensor
        (rows, code size) posterior means.
    kl : Tensor
        (code size,) nats per unit.
    gain : Tensor
        (rows,) nats by which the ELBO is above log p(x) without a code.
    """
    active = int((mean.var(0, unbiased=False) > ACTIVE).sum()) if len(mean) > 1 else mean.shape[1]
    found, error = median_and_error(gain)
    if active == 0 or float(kl.sum()) < 0.05 or found < 3 * error:
        told = f"over no code at all, the code gains {found:.2f} ± {error:.2f} nats on the median held-out row"
        advice = "The columns may have nothing in common; else try a smaller beta, a longer warmup, or free_bits"
        return [Finding("collapsed", told, advice)]
    if active < mean.shape[1]:
        told = f"{mean.shape[1] - active} of {mean.shape[1]} code units are inactive"
        advice = f"A code of size {active} would do as well, or try free_bits or a smaller beta"
        return [Finding("inactive-units", told, advice)]
    return []


def median_and_error(values: Tensor) -> tuple[float, float]:
    """Return the median and its standard error by the median absolute deviation (1.4826 and 1.2533 make them the normal's)."""
    median = values.median()
    return float(median), float(1.2533 * 1.4826 * (values - median).abs().median() / len(values) ** 0.5)


def off_prior(code: Tensor, draw: Callable[[int, torch.Generator], Tensor]) -> list[Finding]:
    """Say that codes are not spread like draws from the prior: else rows decoded from draws are not like the rows.

    Parameters
    ----------
    code : Tensor
        (rows, code size) codes of held-out rows.
    draw : callable
        Draws that many codes from the prior, with a generator.
    """
    draws = [draw(len(code), torch.Generator().manual_seed(seed)) for seed in range(DRAWS)]
    chance = torch.stack([mean_discrepancy(a, b) for a, b in pairwise(draws)])
    far = float(torch.stack([mean_discrepancy(code, one) for one in draws]).mean())
    likely = float(chance.mean() + 3 * chance.std())
    if far <= FAR + likely:
        return []
    told = f"codes of held-out rows are not spread like the prior (squared discrepancy {far:.3f}, by chance up to {likely:.3f})"
    return [
        Finding("codes-off-prior", told, "Drawn rows may be unlike the rows: try fit_prior(), or a smaller code_size")
    ]
