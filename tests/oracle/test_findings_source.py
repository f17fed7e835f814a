"""Where numbers that are not finite came from, for sources planted by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engram.models.diagnosis import nothing_learned
from engram.training import Batch, History
from engram.training.divergence import NotFiniteError, source_of
from engram.training.nets import Nets


def nets(value: float = 1.0) -> Nets:
    found = Nets({"encoder": nn.Linear(3, 2), "decoder": nn.Linear(2, 3)})
    with torch.no_grad():
        found["decoder"].weight.fill_(value)
    return found


def batch(row: int = 0, column: int = 0, value: float = 1.0) -> Batch:
    x = torch.ones(4, 3)
    x[row, column] = value
    return Batch(x, index=torch.tensor([10, 11, 12, 13]))


def terms(nets: Nets, batch: Batch) -> dict[str, Tensor]:
    """One term that is fine, and one that overflows for large values."""
    squares = (batch.x * 1e19).square().sum(1) if float(batch.x.abs().max()) > 50 else batch.x.sum(1)
    return {"fine": batch.x.sum(1).nan_to_num(), "output": squares + nets["decoder"].weight.sum()}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_cell_that_is_not_finite(value: float) -> None:
    data = batch(2, 1, value)
    source = source_of(nets(), data, {"fine": data.x.sum(1)}, 7)
    assert (source.first, source.row, source.column, source.term) == ("data", 12, 1, "fine")
    assert "the data were not finite: row 12, column 'b'" in source.told(["a", "b", "c"])


def test_an_output_that_overflows_on_finite_weights() -> None:
    data = batch(3, 2, 1000.0)
    now = nets(math.nan)
    source = source_of(now, data, terms(now, data), 7, lambda _, batch: terms(nets(), batch))
    assert (source.first, source.term, source.row) == ("output", "output", 13)
    assert (source.column, source.size) == (2, 1000.0)
    assert "the data and the weights were finite" in source.told()


def test_weights_that_overflow() -> None:
    now = nets(math.inf)
    source = source_of(now, batch(), terms(now, batch()), 7, lambda _, batch: terms(nets(), batch))
    assert (source.first, source.role, source.step) == ("weights", "decoder", 7)
    told = source.told()
    assert "made weights of the decoder overflow" in told
    assert "largest" not in told  # no cell is far out
    far = batch(1, 2, 30.0)
    source = source_of(now, batch(), terms(now, batch()), 7, before=far)
    assert (source.row, source.column, source.size) == (11, 2, 30.0)
    assert "is 30 in encoded units: row 11, column 'c'" in source.told(["a", "b", "c"])


def test_the_error_carries_its_source() -> None:
    now = nets(math.inf)
    source = source_of(now, batch(), terms(now, batch()), 7)
    error = NotFiniteError(source)
    assert error.source is source
    assert error.exit_code == 7
    assert "Try a smaller learning_rate" in str(error)


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ([{"real": 2.0, "fool": 1.0}, {"real": 2.0}], ["real 2 at first, 2 at the end"]),
        ([{"real": 2.0}, {"real": 2.0, "fool": 1.0}, {"real": 2.0, "fool": 3.0}, {"real": 2.0}], []),
        ([{"real": 2.0}, {"fool": 1.0}], []),
        (
            [{"real": 2.0, "fool": 1.0}, {"real": 2.0}, {"fool": 1.0}],
            ["real 2 at first, 2 at the end; fool 1 at first, 1 at the end"],
        ),
    ],
)
def test_terms_of_a_turn_that_some_reports_lack_are_judged_by_those_that_have_them(
    reports: list[dict[str, float]], told: list[str]
) -> None:
    history = History([{"terms": terms, "step": 25 * i} for i, terms in enumerate(reports, 1)])
    fit: Any = SimpleNamespace(
        history=history, model=SimpleNamespace(findings_=[]), settings=SimpleNamespace(learning_rate=1e-3)
    )
    steps = 25 * len(reports)
    assert [f.message for f in nothing_learned(fit)] == [
        f"no term of the loss moved in {steps} steps: {t}" for t in told
    ]
