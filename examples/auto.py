"""Promise: "auto" is good.

Fits an autoencoder without any setting to three tables, and compares how much of rows that it has not seen comes back
from the code (R2: 1 is everything, 0 is what the column means know) with principal components of the same number.

    python examples/auto.py
"""

from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import train_test_split

import engram

print(f"{'R2 on held-out rows':<20}{'columns':>8}{'code size':>11}{'autoencoder':>13}{'PCA':>8}")
for name, load in (("breast cancer", load_breast_cancer), ("diabetes", load_diabetes), ("wine", load_wine)):
    train, test = train_test_split(load(as_frame=True).data, test_size=0.2, random_state=0)
    model = engram.Autoencoder(random_state=0).fit(train)
    report = engram.evaluate(model, test, train=train, metrics=["r2"])
    ours = report.metrics[0].value
    pca = next(result.value for result in report.baselines if result.subject == "pca")
    sizes = f"{train.shape[1]:>8}{model.transform(test).shape[1]:>11}"
    print(f"{name:<20}{sizes}{ours:>13.3f}{pca:>8.3f}")
