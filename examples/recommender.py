"""Promise: New users need no fit.

Generates what 300 listeners played: each likes one of three genres. A recommender is fitted to their plays, shown a listener
whom it has never seen, and judged on others, beside popularity, neighbours of items and EASE.

    python examples/recommender.py
"""

import numpy as np
import pandas as pd

import engram

random = np.random.default_rng(0)
GENRES = ("jazz", "rock", "folk")
rows = [
    (
        listener,
        f"{GENRES[listener % 3]} {track}" if random.random() < 0.85 else f"{random.choice(GENRES)} {track}",
        plays,
    )
    for listener in range(300)
    for track, plays in zip(random.choice(20, 8, replace=False), random.lognormal(2, 1, 8).round() + 1, strict=True)
]
plays = pd.DataFrame(rows, columns=["user", "item", "plays"])
known, new = plays[plays.user < 240], plays[plays.user >= 240]

model = engram.Recommender(max_epochs=60, random_state=0).fit(known)
print("somebody who played jazz 1 and jazz 7 is recommended:")
for row in model.recommend(["jazz 1", "jazz 7"], 2).itertuples():
    print(f"  {row.item}, because of {row.because}")
print(model.evaluate(new, train=known).to_text())
