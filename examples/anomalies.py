"""Promise: "auto" is good.

Hides 20 anomalies in a table: rows whose cells are all ordinary, but taken from different tumours, so that they do not belong
together. An autoencoder without any setting has never heard of them and scores all rows; how far up the list do they
stand? Beside it: an isolation forest, and the distance to the nearest rows.

    python examples/anomalies.py
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import engram

table = load_breast_cancer(as_frame=True).data
rng = np.random.default_rng(0)
mixed = pd.DataFrame({name: rng.choice(column, 20) for name, column in table.items()})
rows = pd.concat([table, mixed], ignore_index=True)
planted = np.r_[np.zeros(len(table)), np.ones(20)]

scores = {
    "autoencoder": engram.Autoencoder(random_state=0).fit(rows).score_samples(rows),
    "isolation forest": IsolationForest(random_state=0).fit(rows).score_samples(rows),
    "local outlier factor": LocalOutlierFactor().fit(rows).negative_outlier_factor_,
}
print(f"{len(rows)} rows, {len(mixed)} of them planted")
for name, score in scores.items():
    found = planted[np.argsort(score)[:20]].sum()
    print(
        f"{name:<22}{found:>3.0f} of the 20 least likely rows are planted, AUROC {roc_auc_score(planted, -score):.3f}"
    )
