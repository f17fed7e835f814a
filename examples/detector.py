"""Promise: An alert rate is kept.

Fits an anomaly detector to benign tumours and shows it new ones and malignant ones. One new benign row in twenty may alert;
how many of the malignant ones do? Then a list in which at most a tenth of the alerts should be false, and for the strangest
row the cells to blame.

    python examples/detector.py
"""

import pandas as pd
from sklearn.datasets import load_breast_cancer

import engram

data = load_breast_cancer(as_frame=True)
benign, malignant = data.data[data.target == 1], data.data[data.target == 0]
detector = engram.AnomalyDetector(clean=True, random_state=0).fit(benign.iloc[:250])
new = pd.concat([benign.iloc[250:], malignant], ignore_index=True)
is_new_benign = pd.Series(range(len(new))) < len(benign) - 250

alerts = detector.predict(new) < 0
print(
    f"alert rate 5 %: {alerts[is_new_benign].mean():.1%} of new benign rows alert, {alerts[~is_new_benign].mean():.1%} of malignant"
)
alerts = detector.predict(new, fdr=0.1) < 0
print(f"fdr 10 %: {alerts.sum()} alerts, {is_new_benign[alerts].mean():.1%} of them benign")

strangest = detector.score_samples(new).argmin()
print(f"the strangest row is {strangest}:")
for cell in detector.explain(new.iloc[[strangest]], top=3).itertuples():
    print(f"  {cell.column} = {cell.value:.4g}, expected {cell.expected:.4g} ({cell.share:.0%} of what is strange)")
