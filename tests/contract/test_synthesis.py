"""Synthetic tables: messy rows in, rows that look alike out; constraints, given cells, holes, keys, what is kept, the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import engram as command
from sklearn.base import clone

import engram
from engram.cli.inspect import contents, in_words
from engram.errors import DataError, UsageError
from engram.training.run import read_tensors

QUICK: dict[str, Any] = {"random_state": 0, "max_epochs": 2}
RULES = ("low <= high", "start < end", "city & country", "0 <= share <= 1")
COUNTRY = {"Paris": "FR", "Rome": "IT", "Oslo": "NO", "Bern": "CH"}


def messy(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Keys, free text, rounded prices, dates in order, holes that come together, a constant, an empty column, rare texts."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 50, n)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D")
    gone = rng.random(n) < 0.3
    rows = pd.DataFrame(
        {
            "code": [f"C-{i:05d}" for i in rng.permutation(90_000)[:n]],
            "customer_id": rng.choice(10_000_000, n, replace=False) + 10_000_000,
            "low": low,
            "high": low + rng.integers(0, 20, n) * (rng.random(n) > 0.4),
            "price": np.where(gone, np.nan, rng.lognormal(3, 1, n).round(2)),
            "city": rng.choice(list(COUNTRY), n),
            "note": [f"{' '.join(rng.choice(list('abcdefgh'), 9))} said the customer {i}" for i in range(n)],
            "member": rng.choice(["yes", "no"], n),
            "source": "web",
            "unused": np.nan,
            "share": rng.random(n).round(3),
            "job": rng.choice(["cook", "clerk", "pilot"], n),
            "start": start,
            "end": (start + pd.to_timedelta(rng.integers(1, 90, n), unit="D")).where(~gone),
        }
    )
    rows["country"] = rows.city.map(COUNTRY)
    rows.loc[:2, "job"] = ["falconer", "luthier", "cooper"]
    return rows


@pytest.fixture(scope="module")
def fitted() -> engram.Synthesizer:
    return engram.Synthesizer(constraints=RULES, **QUICK).fit(messy())


def test_rows_come_back_in_the_types_and_the_style_of_the_table(fitted: engram.Synthesizer) -> None:
    rows, drawn = messy(), fitted.sample(300, random_state=1)
    assert list(drawn.columns) == list(rows.columns)
    assert dict(drawn.dtypes) == dict(rows.dtypes)
    assert drawn.price.dropna().round(2).equals(drawn.price.dropna())
    for name in ("low", "high", "price", "share", "start", "end"):
        assert drawn[name].min() >= rows[name].min()
        assert drawn[name].max() <= rows[name].max()
    assert (drawn.start == drawn.start.dt.normalize()).all()
    assert set(drawn.member) <= {"yes", "no"}
    assert (drawn.source == "web").all()
    assert drawn.unused.isna().all()


def test_constraints_hold_in_all_of_a_hundred_thousand_rows(fitted: engram.Synthesizer) -> None:
    drawn = fitted.sample(100_000, random_state=2)
    there = drawn.end.notna()
    assert (drawn.low <= drawn.high).all()
    assert (drawn.start < drawn.end)[there].all()
    assert set(zip(drawn.city, drawn.country, strict=True)) <= set(COUNTRY.items())
    assert drawn.share.between(0, 1).all()
    assert (drawn.price.isna() == drawn.end.isna()).all()
    assert abs(drawn.price.isna().mean() - messy().price.isna().mean()) < 0.02
    assert abs((drawn.low == drawn.high).mean() - (messy().low == messy().high).mean()) < 0.15


def test_keys_and_texts_are_made_up_anew_and_none_is_one_of_the_table(fitted: engram.Synthesizer) -> None:
    rows, drawn = messy(), fitted.sample(300, random_state=3)
    for name in ("code", "customer_id", "note"):
        assert drawn[name].is_unique
    assert not set(drawn.customer_id) & set(rows.customer_id)
    assert not set(drawn.note) & set(rows.note)
    assert drawn.code.str.fullmatch(r"C-[1-9]\d{5}").all()  # a digit more: 300 of 90,000 would meet some by chance
    assert not set(drawn.code) & set(rows.code)
    assert set(drawn.job) <= {"cook", "clerk", "pilot", "other"}


def test_given_cells_are_the_cells_of_all_rows(fitted: engram.Synthesizer) -> None:
    date = pd.Timestamp("2020-05-01")
    given = {"high": 30, "city": "Oslo", "end": date, "member": "yes", "price": 12.5}
    drawn = fitted.sample(500, given=given, random_state=4)
    for name, cell in given.items():
        assert (drawn[name] == cell).all(), name
    assert (drawn.country == "NO").all()
    assert (drawn.low <= 30).all()
    assert (drawn.start < date).all()
    several = fitted.sample(3, given=pd.DataFrame({"low": [1, 20, 40], "code": ["x", "y", "z"]}), random_state=1)
    assert several.low.tolist() == [1, 20, 40]
    assert several.code.tolist() == ["x", "y", "z"]
    assert fitted.sample(20, given={"price": None}, random_state=5)[["price", "end"]].isna().all().all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cty": "Oslo"}, "Did you mean 'city'"),
        ({"city": "Osloo"}, "Did you mean 'Oslo'"),
        ({"job": "falconer"}, "rare ones are not"),
        ({"low": 1000}, "outside of the rows at fit"),
        ({"low": "many"}, "is none"),
        ({"low": None}, "none there"),
        ({"low": 40, "high": 30}, "low <= high"),
        ({"city": "Oslo", "country": "FR"}, "combination"),
        ({"member": "perhaps"}, "is neither"),
        ({"low": [1, 2]}, "2 cells, for 5 rows"),
    ],
)
def test_given_cells_that_cannot_be_are_told(fitted: engram.Synthesizer, given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        fitted.sample(5, given=given)


def test_the_same_seed_gives_the_same_rows_and_a_loaded_one_too(fitted: engram.Synthesizer, tmp_path: Path) -> None:
    again = clone(fitted).fit(messy())
    drawn = fitted.sample(50, random_state=7)
    pd.testing.assert_frame_equal(again.sample(50, random_state=7), drawn)
    assert not fitted.sample(50, random_state=8).equals(drawn)
    fitted.save(tmp_path / "run")
    loaded: Any = engram.load(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.sample(50, random_state=7), drawn)
    given = {"city": "Rome", "low": 3}
    pd.testing.assert_frame_equal(
        loaded.sample(9, given=given, random_state=1), fitted.sample(9, given=given, random_state=1)
    )


def test_what_is_saved_holds_no_row_no_key_and_no_rare_text(fitted: engram.Synthesizer, tmp_path: Path) -> None:
    rows = messy()
    fitted.save(tmp_path / "run")
    texts = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir())
    for rare in ("falconer", "luthier", "cooper", *rows.code, *rows.note):
        assert rare.encode() not in texts
    assert not [key for key in rows.customer_id if str(key).encode() in texts]
    numbers = rows[["price", "share", "low"]].dropna().to_numpy()
    for dtype in (np.float32, np.float64):
        assert not [row for row in numbers if row.astype(dtype).tobytes() in texts]
    assert all(len(rows) not in tensor.shape for tensor in read_tensors(tmp_path / "run").values())
    assert json.loads((tmp_path / "run" / "config.json").read_text())["parameters"]["model"] == "vae"
    told = contents(tmp_path / "run")
    assert "model" not in told["given"]  # it was "auto"
    assert "model, given or chosen  vae" in " ".join(in_words("run", told).split("   "))


def test_rows_that_break_a_constraint_and_rules_that_are_none_are_told() -> None:
    rows = pd.DataFrame({"a": [1, 2, 3, 9], "b": [2, 3, 4, 5], "c": list("xyxy")})
    cases = {
        "a <= b": (DataError, "does not hold in 1 of the 4 rows to learn from, such as row 3 "),
        "a <= 5": (DataError, "does not hold in 1"),
        "a < d": (UsageError, "Did you mean|Known are"),
        "a about b": (UsageError, "is no constraint"),
        "a <= a": (UsageError, "with itself"),
        "c <= a": (UsageError, "compares numbers or dates"),
    }
    for rule, (error, told) in cases.items():
        with pytest.raises(error, match=told):
            engram.Synthesizer(constraints=(rule,), columns={"c": "category"}, **QUICK).fit(rows)
    with pytest.raises(DataError, match=r"1 of the 3 rows to learn from, such as row 3 \(by the table's index"):
        engram.Synthesizer(constraints=("a <= b",), **QUICK).fit(rows.iloc[[0, 2, 3]])  # as where some are held out
    with pytest.raises(UsageError, match="above itself"):
        engram.Synthesizer(constraints=("a <= b", "b <= a"), **QUICK).fit(rows[:3])


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame({"a": [1.5], "b": ["x"]}),
        pd.DataFrame({"a": [1.0, np.nan], "b": [None, "x"]}),
        pd.DataFrame({"a": ["x"] * 5}),
        pd.DataFrame({"a": np.arange(30.0), "b": np.nan}),
        pd.DataFrame({"city": [f"c{i % 700}" for i in range(1400)], "x": range(1400)}),
        pd.DataFrame(
            {
                "a": pd.Categorical(list("lmh") * 10, ["l", "m", "h"], ordered=True),
                "n": pd.array([1, None] * 15, "Int64"),
            }
        ),
        np.random.default_rng(0).normal(size=(20, 3)),
    ],
    ids=[
        "one row",
        "two rows with holes",
        "a constant",
        "an empty column",
        "many categories",
        "extension types",
        "an array",
    ],
)
def test_any_table_can_be_fitted_and_drawn(rows: Any) -> None:
    frame = pd.DataFrame(rows)
    drawn = engram.Synthesizer(**QUICK).fit(rows).sample(40, random_state=0)
    assert drawn.shape == (40, frame.shape[1])
    for name in frame:
        assert str(drawn[name].dtype) == str(frame[name].dtype), name
        if frame[name].isna().all():
            assert drawn[name].isna().all()
        elif not frame[name].isna().any():
            assert drawn[name].notna().all()


def test_a_gan_draws_rows_that_obey_and_leaves_given_cells_to_the_vae() -> None:
    rows = messy(200)
    model = engram.Synthesizer(model="gan", constraints=RULES, **QUICK).fit(rows)
    drawn = model.sample(500, random_state=0)
    assert model.chosen_ == "gan"
    assert (drawn.low <= drawn.high).all()
    assert (drawn.start < drawn.end)[drawn.end.notna()].all()
    assert set(zip(drawn.city, drawn.country, strict=True)) <= set(COUNTRY.items())
    assert (model.sample(50, given={"low": 9}, random_state=0).low == 9).all()


def test_auto_tries_a_gan_where_rows_are_easy_to_tell_apart_and_keeps_the_better(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("engram.apps.synthesis.GOOD", -1.0)
    monkeypatch.setattr("engram.apps.synthesis.FEWEST", 10)
    model = engram.Synthesizer(**QUICK).fit(messy(300).drop(columns=["note", "unused"]))
    assert set(model.scores_) == {"vae", "gan"}
    assert model.scores_[model.chosen_] == min(model.scores_.values())
    assert any("gan" in finding.message for finding in model.findings_ if finding.kind == "told-apart")
    model.save(tmp_path / "run")
    loaded: Any = engram.load(tmp_path / "run")
    assert loaded.chosen_ == model.chosen_
    pd.testing.assert_frame_equal(loaded.sample(20, random_state=1), model.sample(20, random_state=1))


def test_columns_may_be_called_as_gaps_and_patterns_are() -> None:
    rows = messy(60)[["low", "high", "price", "end"]].assign(
        **{"high - low": 1.0, "(missing cells)": 2.0, "low & high": 3.0}
    )
    rows.loc[::2, ["high - low", "(missing cells)"]] = 5.0
    drawn = engram.Synthesizer(constraints=("low <= high",), **QUICK).fit(rows).sample(30, random_state=0)
    assert list(drawn.columns) == list(rows.columns)
    with pytest.raises(DataError, match="two columns are written '1'"):
        engram.Synthesizer(**QUICK).fit(pd.DataFrame({1: [1.0, 2.0], "1": [2.0, 3.0]}))


@pytest.mark.usefixtures("few_trees")
def test_evaluation_stands_beside_simple_generators_and_says_that_distances_prove_nothing(
    fitted: engram.Synthesizer,
) -> None:
    report = fitted.evaluate(messy(120, 5), train=messy(), target="member")
    names = {"column-shapes", "pair-trends", "detection", "coverage", "missing-patterns", "exact-copies", "nearer-to-training",
             "membership", "utility, boosted trees", "utility, linear model"}  # fmt: skip
    assert set(report.names()) == names
    assert set(report.subjects()) == {"Synthesizer", "real rows", "smote", "gaussian-copula", "independent"}
    assert any("distances prove nothing" in finding.message for finding in report.findings)
    assert all(np.isfinite(result.value) for result in (*report.metrics, *report.baselines))
    with_errors = {r.name for r in (*report.metrics, *report.baselines) if r.error > 0}
    assert with_errors == {name for name in names if name.startswith("utility")}
    alone = fitted.evaluate(messy(120, 5))
    assert "exact-copies" not in alone.names()
    assert any("pass train=" in note for note in alone.protocol["notes"])
    with pytest.raises(UsageError, match="Did you mean 'member'"):
        fitted.evaluate(messy(120, 5), target="membr")


@pytest.mark.usefixtures("few_trees")
def test_training_rows_as_test_rows_are_told(fitted: engram.Synthesizer) -> None:
    report = fitted.evaluate(messy(), train=messy())
    assert "training-rows" in [finding.kind for finding in report.findings]


@pytest.mark.usefixtures("few_trees")
def test_augment_balances_classes_and_says_whether_it_helps() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=300), "z": rng.normal(size=300)})
    label = pd.Series(np.where(rows.x > 1.2, "rare", "usual"), name="label")
    found = engram.Synthesizer(**QUICK).augment(rows, label)
    counts = found.y.value_counts()
    assert counts["rare"] == counts["usual"]
    assert found.is_generated.sum() == len(found.y) - 300
    assert found.X[: len(rows)].equals(rows)
    assert list(found.results.index) == ["as they are", "class weights", "smote", "generated rows"]
    assert ("do not help" in found.advice) != found.helps
    by_name = engram.Synthesizer(**QUICK).augment(rows.assign(label=label), "label")
    assert len(by_name.y) == len(found.y)
    with pytest.raises(DataError, match="two classes"):
        engram.Synthesizer(**QUICK).augment(rows, ["a"] * 300)


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("sort", ["category", "Int64", "datetime64[us]"])
def test_augment_gives_classes_back_in_their_dtype(sort: str) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=120)})
    label = pd.Series((rows.x > 0.5).astype(int)).astype(sort)
    if sort == "category":
        label = label.cat.add_categories(9)  # of which there is no row
    for found in (
        engram.Synthesizer(**QUICK).augment(rows, label),
        engram.Synthesizer(**QUICK).augment(rows.assign(label=label), "label"),
    ):
        assert found.y.dtype == label.dtype
        counts = found.y.value_counts()
        assert counts.iloc[0] == counts.iloc[1]


def test_augment_says_what_is_wrong_with_classes() -> None:
    rows, few = pd.DataFrame({"x": np.arange(40.0)}), engram.Synthesizer(**QUICK)
    with pytest.raises(DataError, match=r"these 40 rows are all of one class, 1\.$"):
        few.augment(rows, [1] * 40)
    with pytest.raises(DataError, match=r"these 30 rows are all of one class, 'ok'. 10 rows have no class: .*'n/a'"):
        few.augment(rows, ["n/a"] * 10 + ["ok"] * 30)
    with pytest.raises(DataError, match="the rarest of these, 'a', has 2"):
        few.augment(rows, ["a"] * 2 + ["b"] * 38)
    with pytest.raises(DataError, match="no row has a class"):
        few.augment(rows, [None] * 40)


def test_the_command_line_fits_and_samples_for_given_cells(tmp_path: Path) -> None:
    messy(120).drop(columns=["note", "unused"]).to_csv(tmp_path / "rows.csv", index=False)
    run, out = tmp_path / "run", tmp_path / "new.csv"
    rules = '["low <= high", "city & country"]'
    command("fit", "synthesis", tmp_path / "rows.csv", "-o", run, "--constraints", rules, "--max-epochs", "2")
    given = ("--given", "city=Oslo", "--given", "high=30", "--given", "price=")
    command("sample", run, "-n", "40", *given, "-o", out)
    drawn = pd.read_csv(out)
    assert set(drawn.country) == {"NO"}
    assert (drawn.high == 30).all()
    assert (drawn.low <= 30).all()
    assert drawn.price.isna().all()
    assert "Did you mean 'Oslo'" in command("sample", run, "-n", "2", "--given", "city=Oslow", code=2).stderr
    assert "NAME=VALUE" in command("sample", run, "-n", "2", "--given", "city", code=2).stderr
    assert "-n 100 -o rows.csv" in command("apply", run, tmp_path / "rows.csv", "-o", tmp_path / "c.csv", code=2).stderr
    assert "column-shapes" in (run / "report.json").read_text(encoding="utf-8")
