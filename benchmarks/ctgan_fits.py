"""CTGAN and TVAE as their makers' package fits them: defaults, seeded, on one thread, discrete columns named."""

from __future__ import annotations

import importlib.util
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

NAMES = ("CTGAN", "TVAE")
MISSING = "(missing)"  # they take no missing categories


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("ctgan") is not None


class Peer:
    """One of the two, fitted on a table and asked for another.

    Parameters
    ----------
    name : str
        "CTGAN" or "TVAE".
    discrete : list of str
        Columns of categories.
    quick : bool
        Two epochs instead of the package's 300.
    """

    def __init__(self, name: str, discrete: list[str], *, quick: bool) -> None:
        self.name, self.discrete, self.quick = name, discrete, quick

    def fit(self, rows: pd.DataFrame, random_state: int) -> None:
        import ctgan

        rows = rows.copy()
        for name in self.discrete:
            rows[name] = rows[name].astype(object).where(rows[name].notna(), MISSING)
        np.random.seed(random_state)  # noqa: NPY002, they draw from the global generator
        torch.manual_seed(random_state)
        settings: dict[str, Any] = {"epochs": 2, "batch_size": 100} if self.quick else {}
        self.model = getattr(ctgan, self.name)(**settings)
        with joblib.parallel_config(backend="sequential"):
            self.model.fit(rows, self.discrete)

    def sample(self, n: int) -> pd.DataFrame:
        with joblib.parallel_config(backend="sequential"):
            drawn: pd.DataFrame = self.model.sample(n)
        for name in self.discrete:
            drawn[name] = drawn[name].where(drawn[name] != MISSING, None)
        return drawn
