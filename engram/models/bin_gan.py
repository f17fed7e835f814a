"""A GAN on coded rows: numbers as normal scores within their bins' shares, categories one-hot, holes as flags of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from engram.data.cells import Array
from engram.data.coding import Coding, Place
from engram.data.kind import gathered
from engram.models.drawing import Block
from engram.models.gan import GAN

MISSING = "-"  # stands before the number of a place in the name of its flag


class BinGAN:
    """A `GAN` fitted to the places of a coding, and rows that it proposes for drawing.

    Parameters
    ----------
    coding : Coding
        The fitted coding.
    gan : GAN
        Unfitted, or fitted to `frame`.
    """

    def __init__(self, coding: Coding, gan: GAN) -> None:
        self.coding, self.gan = coding, gan

    def fit(self, cells: Array, seed: int) -> BinGAN:
        """Learn from rows of bins, (rows, places)."""
        random = np.random.default_rng(seed)
        frame = pd.concat([self._columns(i, place, cells[:, i], random) for i, place in enumerate(self.coding.coded)], axis=1)
        types = {name: "number" if frame[name].dtype == float else "category" for name in frame.columns}
        with gathered({}):  # of what is missing the user was told before
            self.gan.set_params(columns=types).fit(frame)
        return self

    @staticmethod
    def _columns(i: int, place: Place, bins: Array, random: np.random.Generator) -> pd.DataFrame:
        """Return the columns that a place becomes: a category of bins, or a score and where cells are missing a flag."""
        if place.bins.sort != "number" or len(place.bins.knots) < 3:
            return pd.DataFrame({f"{i}": bins.astype(str)})
        gone = place.bins.is_missing(bins)
        scores = norm.ppf(place.bins.levels(np.where(gone, 0, bins), random))
        found = pd.DataFrame({f"{i}": np.where(gone, np.nan, scores)})
        return found.assign(**{f"{MISSING}{i}": gone.astype(str)}) if place.bins.missing else found

    def drawn(self, n: int, seed: int) -> dict[str, Array]:
        """Return n generated rows as bins of each coded place by name."""
        frame = self.gan.sample(n, random_state=seed)
        return {place.name: self._bins(i, place, frame) for i, place in enumerate(self.coding.coded)}

    @staticmethod
    def _bins(i: int, place: Place, frame: pd.DataFrame) -> Array:
        column = frame[f"{i}"]
        if f"{i}" in frame and column.dtype.kind != "f":
            return column.astype(int).to_numpy()
        bins = place.bins.at_levels(norm.cdf(column.to_numpy(dtype=np.float64)))
        gone = frame[f"{MISSING}{i}"].astype(str) == "True" if place.bins.missing else np.zeros(len(frame), dtype=bool)
        return np.where(gone, place.bins.size - 1, bins)


class ByGAN:
    """Bins that a GAN generated row by row; where one is not allowed, the nearest that is."""

    def __init__(self, rows: dict[str, Array]) -> None:
        self.rows = rows

    def pick(self, block: Block, place: Place, allowed: Array | None) -> Array:
        """Return the generated bins of the block's rows."""
        bins = self.rows[place.name][block.rows]
        if allowed is None:
            return bins
        distance: Any = np.abs(np.arange(allowed.shape[1])[None] - bins[:, None])
        nearest = np.where(allowed, distance, np.inf).argmin(1)
        return np.where(allowed.any(1), nearest, bins)
