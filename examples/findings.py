"""Promise: Nothing fails silently.

Gives models what they cannot make much of, and prints what they say about it: noise without any structure, a column that never
changes, rows for which a straight line is enough, a handful of rows. Findings are printed by the command line as well, and
stand in the report.

    python examples/findings.py
"""

import numpy as np
from sklearn.datasets import load_breast_cancer

import engram

rng = np.random.default_rng(0)
noise = rng.normal(size=(500, 6))
constant = load_breast_cancer(as_frame=True).data.assign(laboratory=7.0)
line = rng.normal(size=(500, 1)) @ rng.normal(size=(1, 6)) + 0.1 * rng.normal(size=(500, 6))

cases = {
    "pure noise": (engram.VAE(random_state=0), noise),
    "a constant column": (engram.Autoencoder(random_state=0), constant),
    "rows on a line": (engram.VAE(code_size=3, random_state=0), line),
    "four rows": (engram.Autoencoder(random_state=0), noise[:4]),
}
for name, (model, rows) in cases.items():
    for finding in model.fit(rows).findings_:
        print(f"{name + ':':<20}{finding.kind}: {finding.message}")
