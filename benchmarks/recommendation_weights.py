"""How much of an item a user will have, beside the bias model: hours on Steam, plays on Last.fm."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from recommendation import generated_sets, real_sets
from scipy import sparse

from engram import Recommender
from engram.evaluation.baselines.weight_bias import WeightBias

SPLITS = 2
FLOORS = {"Steam, hours": 1.380, "Last.fm, plays": 0.891}
TEXT = f"""\
A fifth of all entries of all users, drawn anew in each of {SPLITS} splits, is held back, the others are fed. Root mean
squared error of log(1 + weight). The recommender holds a tenth of the users out and learns nothing from them. Goals: below
the floor that a bias model set in an earlier measurement, 1.380 (hours) and .891 (plays); that of the bias model here, with
a shrinkage of 5 events, on the same entries stands beside.

"""


def main(options: Options) -> Page:
    """Measure everything."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sets = (
        generated_sets() if options.data is None else {n: X for n, X in real_sets(options.data).items() if n in FLOORS}
    )
    splits = 1 if options.quick else SPLITS
    quick = {"max_epochs": 2} if options.quick else {}
    rows = [weights(name, X, splits, quick) for name, X in sets.items()]
    return Page("recommendation_weights", "Weights of interactions", TEXT, [Table("Error of log(1 + weight)", rows)])


def weights(name: str, X: Any, splits: int, quick: dict[str, Any]) -> Row:
    """Return errors of the recommender's weights beside means."""
    found: dict[str, list[float]] = {}
    log = sparse.csr_array(X, copy=True)
    log.data = np.log1p(log.data)
    owner = np.repeat(np.arange(log.shape[0]), np.diff(log.indptr))
    for split in range(splits):
        held = np.random.default_rng(split).random(log.nnz) < 0.2
        fed = sparse.csr_array((X.data[~held], (owner[~held], X.indices[~held])), shape=X.shape)
        rows, columns, truth = owner[held], log.indices[held], log.data[held]
        model = Recommender(model="dae", weights="continuous", random_state=split, **quick).fit(fed)
        told = np.concatenate([_told(model, fed, at, rows, columns) for at in range(0, fed.shape[0], 1000)])
        logs = fed.copy()
        logs.data = np.log1p(logs.data)
        bias = WeightBias().fit(logs)
        means = np.concatenate([bias.predict(logs[[u]])[0, columns[rows == u]] for u in np.unique(rows)])
        for subject, said in (
            ("Recommender", told),
            ("bias model", means),
            ("mean", np.full(len(truth), logs.data.mean())),
        ):
            found.setdefault(subject, []).append(float(np.sqrt(np.mean((said - truth) ** 2))))
        print(name, split, {subject: round(v[-1], 4) for subject, v in found.items()}, flush=True)
    goals = (Goal("Recommender", FLOORS[name], below=True, statistic="mean"),) if name in FLOORS else ()
    return Row(name, {subject: Spread.of(v) for subject, v in found.items()}, goals, note=f"{splits} splits")


def _told(model: Any, fed: Any, at: int, rows: Any, columns: Any) -> Any:
    said = np.log1p(np.maximum(model.predict_weights(fed[at : at + 1000]), 0))
    own = (rows >= at) & (rows < at + 1000)
    return said[rows[own] - at, columns[own]]


if __name__ == "__main__":
    run_script(main)
