"""What a report shows of codes in use: ways between rows, and nearest rows."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import engram
from engram.evaluation import Report, evaluate
from engram.evaluation.examples import numbered
from engram.evaluation.neighbours import ACROSS, _nearest, table_neighbours

SETTINGS = {"max_epochs": 2, "hidden": (8,), "code_size": 2, "random_state": 0}


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["<b>a", "b", "c"])
    frame["city"] = np.where(frame.b > 0, "Oslo", "Rome")
    return frame


def pictures(n: int) -> np.ndarray:
    """Blobs at different places."""
    height, width = np.mgrid[0:6, 0:5]
    centre = np.random.default_rng(0).uniform(1, 4, size=(2, n, 1, 1))
    return np.exp(-((height - centre[0]) ** 2 + (width - centre[1]) ** 2) / 2)


@pytest.fixture(scope="module")
def of_table() -> Report:
    return evaluate(engram.Autoencoder(**SETTINGS).fit(table()[:40]), table()[40:])


@pytest.fixture(scope="module")
def of_pictures() -> Report:
    X = pictures(50)
    return evaluate(engram.Autoencoder(**SETTINGS).fit(X[:30]), X[30:])


def test_a_table_shows_rows_beside_their_nearest_ones(of_table: Report) -> None:
    told = of_table.look.facts["neighbours"]
    assert told["columns"] == ["<b>a", "b", "c", "city"]
    assert len(told["rows"]) == 3
    for found in told["rows"]:
        assert len(found["nearest"]) == len(found["distances"]) == 2
        assert found["distances"] == sorted(found["distances"])
        assert found["row"] not in found["nearest"]
    assert "Nearest rows" in of_table.to_html()
    assert "<b>a" not in of_table.to_html()
    json.dumps(told)


def test_nearest_rows_are_those_of_the_model() -> None:
    model = engram.Autoencoder(**SETTINGS).fit(table())
    codes = model.transform(table())
    numbers, distances = model.nearest(table()[10:11], table(), n=3)
    (found,) = [f for f in _nearest(codes, 3, 2) if f[0] == 10]
    assert found == (10, numbers[0, 1:].tolist(), pytest.approx(distances[0, 1:].tolist()))
    rows = table().set_index(pd.RangeIndex(100, 100 + len(codes)))
    told = table_neighbours(model, rows, codes, numbered(rows, np.arange(len(codes))))["rows"]
    assert told[0]["row"][3] in ("Oslo", "Rome")
    assert [str(rows.loc[row["number"]].iloc[3]) for row in told] == [row["row"][3] for row in told]


def test_pictures_show_ways_and_neighbours_with_real_ends(of_pictures: Report) -> None:
    images = of_pictures.look.images
    for name in ("way 1", "way 4", "picture 1", "picture 4"):
        width, height = Image.open(io.BytesIO(images[name])).size
        assert width > 8 * height * 5 / 6  # nine pictures in a line
    page = of_pictures.to_html()
    assert page.index("From row to row") < page.index("Nearest rows")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_have_few_neighbours(n: int) -> None:
    X = pictures(30)
    images = evaluate(engram.Autoencoder(**SETTINGS).fit(X), X[:n]).look.images
    assert ("way 1" in images) is (n > 1)
    assert ("picture 1" in images) is (n > 1)
    assert n < ACROSS
