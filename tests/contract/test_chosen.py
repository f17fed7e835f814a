"""What a report says of the values of a fit, and why: of every registered model, each reason is of the rule that chose the value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import engram
from engram.evaluation.chosen import chosen
from engram.models import model as fits
from engram.models.resolve import auto_code_size
from engram.registry import APPS, fittable
from engram.training.settings import auto_batch_size, auto_epochs, auto_learning_rate

TEXTS = [" ".join(f"w{(i * k) % 17}" for k in range(1, 9)) for i in range(60)]


def rows_for(name: str, data: str) -> Any:
    rng = np.random.default_rng(0)
    if name == "topics":
        return TEXTS
    if name == "recommendation":
        return pd.DataFrame({"user": rng.integers(0, 40, 600), "item": rng.integers(0, 30, 600)})
    if data == "pictures":
        return rng.random((40, 8, 8)).astype(np.float32)
    return pd.DataFrame(rng.normal(size=(90, 7)), columns=list("abcdefg"))


def which(entry: Any) -> tuple[str, ...]:
    """Return the data that an entry can take."""
    if entry.name in APPS:
        return ("table",)
    return ("table", "pictures") if entry.parameters.get("network", "mlp") == "mlp" else ("pictures",)


CASES = [(e.name, d) for e in fittable() for d in which(e)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "data"), CASES)
def test_each_reason_is_of_the_rule_that_chose_the_value(name: str, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, settled, train = {}, fits.settled, fits.train
    monkeypatch.setattr(fits, "settled", lambda values, auto: own.update(auto) or settled(values, auto))

    def shortly(*args: Any) -> Any:
        return train(*args[:4], replace(args[4], max_epochs=1), *args[5:])

    monkeypatch.setattr(fits, "train", shortly)
    X = rows_for(name, data)
    model = engram.create(name, random_state=0)
    y = np.arange(len(X)) % 2 if model.conditional is True else None
    model.fit(X, y)
    found = {row["name"]: row for row in chosen(model)}
    variant = next(e.parameters for e in fittable() if e.name == name)
    given = {n for n, row in found.items() if row["given"]}
    assert given == {"random_state", *(variant.keys() & found.keys())}

    selected = {"max_epochs" if n == "steps" else n: value for n, value in own.items()}
    whys = model.reasons()
    assert set(whys) == {n for n in selected if n in found and n != "kind"}, (
        "a reason for each own choice, and for no other"
    )
    for n, why in whys.items():
        assert found[n]["given"] or why in found[n]["why"]
    rows, settings, weights = model.data_["trained_on"], model.settings_, model.network_.n_weights
    rules = {
        "code_size": str(auto_code_size(model.kind_)),
        "batch_size": str(min(auto_batch_size(rows), rows)),
        "hidden": " – ".join(
            map(str, model.families[model.shapes_.family].widths(model.kind_.shape, model.shapes_.code_size))
        )
        or "none: linear",
    }
    for n, value in rules.items():
        assert n in given or n in whys or n not in found or found[n]["value"] == value, n
    if "learning_rate" not in whys:
        assert settings.learning_rate in {auto_learning_rate(weights, began=began) for began in (True, False)}
    if "max_epochs" not in whys:
        allowed = {auto_epochs(rows, settings.batch_size, weights, began=began) for began in (True, False)}
        assert settings.max_epochs in allowed


def test_a_report_on_anomalies_says_what_its_detector_chose_and_leaves_out_what_it_does_not_use() -> None:
    X = np.random.default_rng(0).normal(size=(120, 5))
    why = {row["name"]: row for row in chosen(engram.AnomalyDetector(max_epochs=1, random_state=0).fit(X))}
    assert (why["kind"]["given"], why["kind"]["why"]) == (False, "what AnomalyDetector is made for")
    assert "90% of the variance" in why["code_size"]["why"]
    assert (why["batch_size"]["value"], why["batch_size"]["why"]) == ("30", "a quarter of the rows, 16 to 256")
    assert "one layer of 64 in each member" in why["hidden"]["why"]
    copies = engram.AnomalyDetector(model="vae", n_models=2, max_epochs=1, random_state=0).fit(X)
    assert "hidden" not in {row["name"] for row in chosen(copies)}
    made = {row["name"] for row in chosen(engram.create("made", max_epochs=1, random_state=0).fit(X))}
    assert "code_size" not in made
