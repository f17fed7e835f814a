"""Promise: Rows do not see each other.

Scores and encodes the same rows of a table all at once, one by one, shuffled and in a subset: the results are equal to the
bit, so that a score of today can be compared with one of tomorrow, whatever rows came along.

    python examples/rows.py
"""

import numpy as np
from sklearn.datasets import load_breast_cancer

import engram

table = load_breast_cancer(as_frame=True).data
model = engram.VAE(random_state=0).fit(table)
codes, scores = model.transform(table), model.score_samples(table)

shuffled = np.random.default_rng(0).permutation(len(table))
subsets = {
    "the first row alone": np.array([0]),
    "three rows": np.array([5, 400, 17]),
    "all rows, shuffled": shuffled,
    "every seventh row": np.arange(0, len(table), 7),
}
for name, subset in subsets.items():
    rows = table.iloc[subset]
    same = np.array_equal(model.transform(rows), codes[subset])
    same &= np.array_equal(model.score_samples(rows), scores[subset])
    print(f"{name:<22}{len(rows):>4} rows   {'equal to the bit' if same else 'DIFFERENT'}")
