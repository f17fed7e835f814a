"""Synthetic tables beside real rows and simple generators: what learners make of them, how easily they are told apart, pairs, CPU time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from ctgan_fits import NAMES, Peer, installed
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from sklearn.compose import make_column_transformer
from sklearn.ensemble import AdaBoostClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from engram import Synthesizer
from engram.data.matrix import Matrix, matrix
from engram.evaluation.baselines.gaussian_copula import GaussianCopula
from engram.evaluation.baselines.independent import Independent
from engram.evaluation.baselines.sampler import Sampler
from engram.evaluation.baselines.smote import SMOTE
from engram.evaluation.table_learners import detection, utility
from engram.metrics.tables import column_shapes, pair_trends

SEEDS = 3
COMPARED = 5000  # rows of each sort for shapes and pairs
LOSS = {"adult": 0.03, "default credit": 0.01, "shoppers": 0.01}  # of macro F1 below real rows, at most
ADULT = [
    *(
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education-num",
        "marital-status",
        "occupation",
        "relationship",
        "race",
        "sex",
    ),
    *("capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
]
TARGETS = {"adult": "income", "shoppers": "Revenue", "default credit": "Y"}
PUBLISHED = "published (arXiv:1907.00503; SDGym 0.2.0): real .669, TVAE .626, CTGAN .601"
TEXT = """\
Each generator learns from the training rows and draws as many; boosted trees (`engram.evaluation.table_learners`: 200 trees at most,
learning rate .06) and a linear model are trained on the drawn rows and tested on real rows that no generator has seen (macro-averaged F1).
'loss' is what boosted trees lose against training on real rows. 'detection' is the area under the ROC curve of boosted trees that tell
drawn from unseen real rows, cross-validated (.5 is best; 'real rows' are training rows). Shapes and pairs: means of `column_shapes` and
`pair_trends` on at most 5,000 rows of each sort. adult has its official split; of default credit (without its ID) and shoppers a fifth is
held out, the same one for all seeds. SMOTE draws within classes; it and the Gaussian copula are `engram.evaluation.baselines`. Up to
three seeds of fit and draw of Engram, one of the others: the note says how many; mean, min, max.

'SDGym F1' is the protocol of SDGym 0.2.2 on adult: the mean F1 of a decision tree (depth 15, balanced), AdaBoost, logistic regression
(balanced, 50 iterations) and an MLP of 50 units, on one-hot and scaled columns. Published figures of other systems in that protocol stand
in the note. CTGAN and TVAE are those of the package ctgan with its defaults (300 epochs), where it is installed; its licence is not an open
one, and it is no part of Engram.

'fit CPU s' is CPU time on one thread with defaults (`model="auto"`), evaluation left out; 'draw CPU s' of as many rows as were learned
from.

'Given cells': rows drawn for the given cells, beside held-out rows with them; 'as many rows without' are drawn for nothing, beside as many
held-out rows of all sorts. Both are of as many rows, because shapes and pairs of fewer rows are lower.
"""
GIVEN: dict[str, dict[str, Any]] = {
    "adult": {"sex": "Female"},
    "shoppers": {"VisitorType": "New_Visitor"},
    "default credit": {"X3": 3},
}
NEAR = 0.03  # how much lower shapes and pairs may be for given cells


def read(name: str, data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test rows."""
    if name == "adult":
        options: dict[str, Any] = {"header": None, "names": ADULT, "skipinitialspace": True, "na_values": "?"}
        train, test = (pd.read_csv(data / f"tables/adult/adult-{part}.csv", **options) for part in ("train", "test"))
        return train, test.assign(income=test["income"].str.rstrip("."))
    if name == "default credit":
        rows = pd.read_csv(data / "tables/default_credit/UCI_Credit_Card.csv").drop(columns="ID")
    else:
        rows = pd.read_csv(data / "tables/shoppers/online_shoppers_intention.csv", sep=";")
    order = np.random.default_rng(0).permutation(len(rows))
    cut = len(rows) // 5
    return rows.iloc[order[cut:]].reset_index(drop=True), rows.iloc[order[:cut]].reset_index(drop=True)


def made(n: int = 600) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows of a small made table for a quick run."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    rows = pd.DataFrame(
        {"x": x, "city": np.where(x > 0, "Rome", "Oslo"), "income": np.where(x + rng.normal(size=n) > 0, "high", "low")}
    )
    return rows.iloc[: n // 2], rows.iloc[n // 2 :].reset_index(drop=True)


def judged(rows: Matrix, test: Matrix, target: int, seed: int) -> dict[str, float]:
    """Return the quantities of one table of generated rows."""
    scores = utility(rows, test, target, seed)
    a, b = (m.values[:COMPARED] for m in (test, rows))
    return {
        "boosted trees": scores["boosted trees"],
        "linear model": scores["linear model"],
        "detection": detection(test, rows, seed),
        "shapes": float(np.nanmean(column_shapes(a, b, test.discrete))),
        "pairs": float(np.nanmean(pair_trends(a, b, test.discrete))),
    }


def sdgym_f1(train: Matrix, test: Matrix, target: int, seed: int) -> float:
    """Return the mean F1 of the four learners of SDGym 0.2.2 for the second class."""
    inputs = np.arange(test.values.shape[1]) != target
    discrete = np.flatnonzero(test.discrete[inputs])
    numbers = np.flatnonzero(~test.discrete[inputs])
    prepared = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), discrete))
    learners = [
        DecisionTreeClassifier(max_depth=15, class_weight="balanced", random_state=seed),
        AdaBoostClassifier(random_state=seed),
        LogisticRegression(solver="lbfgs", class_weight="balanced", max_iter=50, random_state=seed),
        MLPClassifier((50,), random_state=seed),
    ]
    x, y = np.nan_to_num(train.values[:, inputs], nan=-1.0), train.values[:, target]
    tx, ty = np.nan_to_num(test.values[:, inputs], nan=-1.0), test.values[:, target]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 50 iterations are the protocol's
        found = [f1_score(ty, make_pipeline(prepared, one).fit(x, y).predict(tx), pos_label=1.0) for one in learners]
    return float(np.mean(found))


def timed(fit: Callable[[], Any], draw: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return drawn rows, and the CPU time of fitting and drawing."""
    begin = time.process_time()
    fit()
    fitted = time.process_time()
    drawn = draw()
    return drawn, {"fit CPU s": fitted - begin, "draw CPU s": time.process_time() - fitted}


def engram_fit(
    train: pd.DataFrame, seed: int, *, quick: bool, **given: Any
) -> tuple[Synthesizer, Any, dict[str, float]]:
    """Return the fitted synthesizer, as many rows as it learned from, and times."""
    ours = Synthesizer(random_state=seed, max_epochs=2 if quick else "auto", **given)
    drawn, times = timed(lambda: ours.fit(train), lambda: ours.sample(len(train), random_state=seed))
    return ours, drawn, times


def subjects(
    train: pd.DataFrame, target: str, seed: int, *, quick: bool, peers: bool
) -> Iterator[tuple[str, Any, Matrix, dict[str, float]]]:
    """Yield (name, coding, generated rows, times) of each generator; Engram first, whose coding tells columns' types to all."""
    ours, drawn, times = engram_fit(train, seed, quick=quick)
    yield f"Engram ({ours.chosen_})", ours.coding_, matrix(ours.coding_, drawn), times
    if seed > 0:
        return
    known = matrix(ours.coding_, train)
    yield "real rows", ours.coding_, known, {}
    samplers: list[Sampler] = [SMOTE(known.discrete, known.column(target)), GaussianCopula(), Independent()]
    for sampler in samplers:
        values, times = timed(
            lambda one=sampler: one.fit(known.values, random_state=seed),
            lambda one=sampler: one.sample(len(known), seed),
        )
        yield sampler.name, ours.coding_, known.of(values), times
    if target == TARGETS["adult"] and not quick:
        _, drawn, times = engram_fit(train, seed, quick=quick, model="gan")
        yield 'Engram (model="gan")', ours.coding_, matrix(ours.coding_, drawn), times
    discrete = [name for name, is_discrete in zip(known.names, known.discrete, strict=True) if is_discrete]
    for name in NAMES if peers and installed() else ():
        peer = Peer(name, discrete, quick=quick)
        drawn, times = timed(lambda peer=peer: peer.fit(train, seed), lambda peer=peer: peer.sample(len(train)))
        yield name, ours.coding_, matrix(ours.coding_, drawn), times


def given_cells(name: str, train: pd.DataFrame, test: pd.DataFrame, given: dict[str, Any], *, quick: bool) -> Row:
    """Return how rows drawn for given cells look beside held-out rows with them, and rows drawn for nothing beside as many."""
    ours, _, _ = engram_fit(train, 0, quick=quick)
    ((column, value),) = given.items()
    unseen = matrix(ours.coding_, test)
    like = np.flatnonzero((test[column] == value).to_numpy())[:COMPARED]
    drawn = ours.sample(len(like), given=given, random_state=0)
    others = np.random.default_rng(0).choice(len(test), len(like), replace=False)
    found: dict[str, float] = {"rows": len(like), "cells as given": float((drawn[column] == value).mean())}
    pairs = {
        "given": (unseen.values[like], matrix(ours.coding_, drawn).values),
        "as many rows without": (
            unseen.values[others],
            matrix(ours.coding_, ours.sample(len(like), random_state=0)).values,
        ),
    }
    for what, (a, b) in pairs.items():
        found[f"shapes, {what}"] = float(np.nanmean(column_shapes(a, b, unseen.discrete)))
        found[f"pairs, {what}"] = float(np.nanmean(pair_trends(a, b, unseen.discrete)))
    for what in ("shapes", "pairs"):
        found[f"{what} lower by"] = found[f"{what}, as many rows without"] - found[f"{what}, given"]
    print(name, given, {key: round(value, 4) for key, value in found.items()}, flush=True)
    goals = (Goal("cells as given", 1.0), *(Goal(f"{what} lower by", NEAR, below=True) for what in ("shapes", "pairs")))
    return Row(f"{name}: {column} = {value}", {key: Spread.of([value]) for key, value in found.items()}, goals)


def measured(
    name: str, train: pd.DataFrame, test: pd.DataFrame, seed: int, *, quick: bool, peers: bool
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (generator, its quantities) for one seed; all but Engram for the first seed alone."""
    target = TARGETS[name]
    for subject, coding, rows, times in subjects(train, target, seed, quick=quick, peers=peers):
        unseen = matrix(coding, test)
        cells = judged(rows, unseen, unseen.column(target), seed) | times
        if name == "adult" and subject.startswith(("Engram", "real", *NAMES)) and not quick:
            cells["SDGym F1"] = sdgym_f1(rows, unseen, unseen.column(target), seed)
        print(name, seed, subject, {key: round(value, 4) for key, value in cells.items()}, flush=True)
        yield subject, cells


def table(name: str, found: list[tuple[str, dict[str, float]]]) -> Table:
    """Return the table of one set."""
    by_subject: dict[str, list[dict[str, float]]] = {}
    for subject, cells in found:
        by_subject.setdefault(subject, []).append(cells)
    real = by_subject["real rows"][0]["boosted trees"]
    return Table(
        name, [_row(name, subject, many, real) for subject, many in by_subject.items()], ("mean", "min", "max")
    )


def _row(name: str, subject: str, many: list[dict[str, float]], real: float) -> Row:
    many = [cells | {"loss": real - cells["boosted trees"]} for cells in many]
    spreads = {key: Spread.of([cells[key] for cells in many]) for key in many[0]}
    goals: tuple[Goal, ...] = ()
    if subject.startswith("Engram"):
        goals = (Goal("loss", LOSS[name], below=True, statistic="mean"),)
        goals += (Goal("SDGym F1", 0.64, statistic="mean"),) if "SDGym F1" in spreads else ()
    told = f"{len(many)} seed{'s' * (len(many) > 1)}"
    return Row(subject, spreads, goals, f"{told}; {PUBLISHED}" if "SDGym F1" in spreads and goals else told)


def measure(options: Options) -> Page:
    page = Page("synthetic_tables", "Synthetic tables", TEXT)
    names, quick = list(TARGETS), options.quick or options.data is None
    tables = {
        name: made() if quick else read(name, cast("Path", options.data)) for name in (names[:1] if quick else names)
    }
    for name, rows in tables.items():
        seeds = range(1 if quick else SEEDS)
        found = [one for seed in seeds for one in measured(name, *rows, seed, quick=quick, peers=options.peers)]
        page.tables.append(table(name, found))
    given = {"adult": {"city": "Rome"}} if quick else GIVEN
    page.tables.append(
        Table("Given cells", [given_cells(name, *tables[name], cells, quick=quick) for name, cells in given.items()])
    )
    return page


if __name__ == "__main__":
    run_script(measure)
