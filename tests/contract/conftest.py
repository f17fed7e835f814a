"""What the contract suite runs on: every registered model on every small data set that it can take, every kind on raw data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import engram
from engram.evaluation import table_learners
from engram.models.codes import Codes
from engram.models.model import Model
from engram.registry import MODELS

SMALL = {"max_epochs": 2, "random_state": 0, "code_size": 2}
RESULTS = ("transform", "score_samples", "reconstruct")  # one result per row


def numbers(rows: int = 100) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(rows, 5))


def mixed(rows: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["height", "weight"])
    frame["age"] = rng.integers(18, 90, rows)
    frame["member"] = rng.random(rows) < 0.4
    frame["city"] = rng.choice(["Basel", "Köln", "東京"], rows)
    frame.loc[::7, "weight"] = np.nan
    frame.loc[3::11, "city"] = None
    return frame


def pictures(rows: int = 100) -> np.ndarray:
    rng = np.random.default_rng(2)
    height, width = np.mgrid[0:9, 0:7]
    centre = rng.uniform(2, 5, size=(2, rows, 1, 1))
    return np.exp(-((height - centre[0]) ** 2 + (width - centre[1]) ** 2) / 6).astype(np.float32)


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make boosted trees of a tenth of their size: what is tested is what is made of them."""
    for options in (table_learners.TREES, table_learners.TELLING):
        monkeypatch.setitem(options, "max_iter", options["max_iter"] // 10)


DATA = {"numbers": numbers, "mixed": mixed, "pictures": pictures}


@cache
def data(name: str) -> Any:
    return DATA[name]()


def subset(X: Any, index: Any) -> Any:
    """Rows of an array or a DataFrame by number."""
    return X.iloc[index] if isinstance(X, pd.DataFrame) else X[index]


@dataclass(frozen=True)
class Case:
    """A registered model and a data set that it declares it can take."""

    model: str
    data: str

    def create(self, **parameters: Any) -> Any:
        return engram.create(self.model, **{**SMALL, **parameters})

    @property
    def X(self) -> Any:  # noqa: N802
        X = data(self.data)
        return X.copy()

    @property
    def cls(self) -> type:
        return MODELS[self.model].value

    @property
    def fitted(self) -> Any:
        """A model that was fitted once for all tests; they leave it as it is."""
        return _fitted(self)

    @property
    def results(self) -> list[str]:
        return [name for name in RESULTS if hasattr(self.cls, name)]


@cache
def _fitted(case: Case) -> Any:
    return case.create().fit(data(case.data))


def able(model: str, name: str) -> bool:
    """Whether a model can take a data set, by its own declaration: all networks but fully connected ones need pictures."""
    return name == "pictures" or MODELS[model].parameters.get("network", "mlp") == "mlp"


def able_to_draw(case: Case) -> bool:
    """Whether a model can draw rows, by its own declaration: it says where codes come from, or samples in its own way."""
    return case.cls.draw_codes is not Model.draw_codes or case.cls.sample is not Codes.sample


LOSSES = {"loss", "penalty"}  # rows of the registry that differ in these alone take the plain name's data


def only_by_loss(model: str) -> bool:
    """Whether a name stands for another loss of a class, and for nothing else: then one data set tells whether it works."""
    return bool(MODELS[model].parameters) and set(MODELS[model].parameters) <= LOSSES


CASES = [  # models that learn from rows alone; test_conditional.py has the others
    Case(model, name)
    for model in MODELS.names()
    for name in DATA
    if able(model, name) and not MODELS[model].parameters.get("conditional")
    if name == next(iter(DATA)) or not only_by_loss(model)
]
FIRST = list({case.model: case for case in reversed(CASES)}.values())[::-1]  # per model the simplest data it can take
SAMPLERS = [case for case in CASES if able_to_draw(case)]
PLAIN_FIRST = sorted(FIRST, key=lambda case: bool(MODELS[case.model].parameters))
CLASSES = list({case.cls: case for case in reversed(PLAIN_FIRST)}.values())[::-1]  # one case per class, its plain name


def named(case: Case) -> str:
    return f"{case.model}-{case.data}"


@pytest.fixture(params=CASES, ids=named)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=FIRST, ids=named)
def each_model(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=SAMPLERS, ids=named)
def sampler(request: pytest.FixtureRequest) -> Case:
    """A model that can draw rows, by its own declaration."""
    return request.param


@pytest.fixture(params=CLASSES, ids=lambda case: case.cls.__name__)
def each_class(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=list(DATA))
def each_data(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def rows_of() -> Any:
    return subset


def equal(a: Any, b: Any) -> bool:
    """Equal to the bit, in values and in form."""
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), check_exact=True)
        return True
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


@pytest.fixture
def draws() -> Any:
    return able_to_draw


@pytest.fixture
def same() -> Any:
    return equal
