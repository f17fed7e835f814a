"""Promise: "auto" is good.

Fits an autoencoder without any setting to three tables and compares, on rows that it has not seen, how much of them comes back from the code with
what principal components of the same size give back. 1 is everything, 0 is what the column means know.

    python examples/auto.py
"""

from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import train_test_split

import engram

print(f"{'R2 on held-out rows':<24}{'columns':>8}{'code':>6}{'autoencoder':>13}{'PCA':>8}")
for name, load in (("breast cancer", load_breast_cancer), ("diabetes", load_diabetes), ("wine", load_wine)):
    train, test = train_test_split(load(as_frame=True).data, test_size=0.2, random_state=0)
    model = engram.Autoencoder(random_state=0).fit(train)
    report = engram.evaluate(model, test, train=train, metrics=["r2"])
    ours = report.metrics[0].value
    pca = next(result.value for result in report.baselines if result.model == "pca")
    print(f"{name:<24}{train.shape[1]:>8}{model.transform(test).shape[1]:>6}{ours:>13.3f}{pca:>8.3f}")
