"""Promise: Missing cells are masked.

Takes a quarter of the cells out of the wine table, adds a column of categories with holes of its own, and learns from what is
left: a cell that is missing counts nowhere in the loss. Then the holes are filled from the other cells of their row, and the
error is compared with what the column mean gets. A category that was never seen is taken as missing, and counted.

    python examples/missing_cells.py
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

import engram

wine = load_wine(as_frame=True)
complete = wine.data
cultivars = wine.target.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
hidden = np.random.default_rng(0).random(complete.shape) < 0.25
holes = complete.mask(hidden).assign(cultivar=cultivars.mask(wine.target.index % 5 == 0))

model = engram.VAE(random_state=0).fit(holes)
filled = model.impute(holes)


def error(guess: pd.DataFrame | pd.Series) -> float:
    """Root mean squared error over the cells that were taken out, in standard deviations of their columns."""
    differences = (guess - complete) / complete.std()
    return float(np.sqrt(np.mean(differences.to_numpy()[hidden] ** 2)))


named = (filled["cultivar"] == cultivars)[::5].mean()
print(
    f"{hidden.sum()} of {hidden.size} cells taken out, and every fifth cultivar; {filled.isna().sum().sum()} holes are left"
)
print(
    f"error of the filled cells: {error(filled[complete.columns]):.2f} (column means: {error(holes[complete.columns].mean()):.2f})"
)
print(f"cultivars named rightly: {named:.0%}")

new = holes.iloc[:3].assign(cultivar="Nebbiolo")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    model.transform(new)
print(f"new rows: {told[0].message}")
