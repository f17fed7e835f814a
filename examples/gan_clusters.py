"""Promise: Nothing fails silently.

Teaches a GAN a table of three clusters that lie apart, and counts the generated rows by cluster: how many there are of each, and
how many lie between. Then the classic game of 2014, ended after a few steps: a finding says what is wrong with its rows. The first
fit is much shorter than an automatic one, too, so that this runs in seconds.

    python examples/gan_clusters.py
"""

import numpy as np
from sklearn.datasets import make_blobs

import engram
from engram.metrics import mode_count

CENTRES, SIGMA = np.array([[0, 0], [4, 0], [2, 4]]), 0.3
rows, _ = make_blobs(3000, centers=CENTRES, cluster_std=SIGMA, random_state=0)

for name, epochs in (("gan", 25), ("vanilla-gan", 3)):
    gan = engram.create(name, max_epochs=epochs, random_state=0).fit(rows)
    new = gan.sample(1000, random_state=1)
    found = mode_count(new, CENTRES, SIGMA)
    nearest = np.linalg.norm(new[:, None] - CENTRES, axis=2).argmin(1)
    print(
        f"{name}: rows by cluster {np.bincount(nearest, minlength=3)}, {found.high_quality:.0%} within 3 sigma of one"
    )
    for finding in gan.findings_:
        print(f"  {finding.kind}: {finding.message}")
