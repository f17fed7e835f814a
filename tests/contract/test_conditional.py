"""Conditional models: rows given labels, numbers, captions or several of them; the same promises as of all models."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import engram
from engram import VAE, Autoencoder
from engram.cli import program
from engram.data import DataWarning
from engram.data.given import Conditions
from engram.errors import DataError, RunError, UsageError
from engram.registry import MODELS

LABELS = np.array(["cat", "dog", "owl"], dtype=object)
NUMBER = np.random.default_rng(0).integers(0, 3, 150)
FIRST = int(np.flatnonzero(NUMBER == 2)[0])
COLOURS, PLACES = ("red", "grey", "white", "brown", "black"), ("house", "garden", "wood", "street")
CAPTIONS = np.array(
    [f"A {COLOURS[i % 5]} {LABELS[k]} in the {PLACES[i % 4]}." for i, k in enumerate(NUMBER)], dtype=object
)
X = np.random.default_rng(1).normal(size=(150, 4)) + 5 * NUMBER[:, None]
SMALL: dict[str, Any] = {"max_epochs": 3, "code_size": 2, "random_state": 0, "conditional": True}
GIVEN: dict[str, Any] = {
    "texts": LABELS[NUMBER],
    "whole-numbers": NUMBER,
    "numbers": np.stack([NUMBER, NUMBER**2], 1).astype(float),
    "frame": pd.DataFrame({"kind": LABELS[NUMBER], "size": NUMBER * 1.5}),
    "captions": CAPTIONS,
    "frame-of-captions": pd.DataFrame({"told": CAPTIONS, "size": NUMBER * 1.5}),
}
ONE = {
    "texts": "owl",
    "whole-numbers": 2,
    "numbers": [2.0, 4.0],
    "frame": {"kind": "owl", "size": 3.0},
    "captions": CAPTIONS[FIRST],
    "frame-of-captions": {"told": CAPTIONS[FIRST], "size": 3.0},
}


def part(y: Any, index: Any) -> Any:
    return y.iloc[index] if hasattr(y, "iloc") else y[index]


@pytest.fixture(scope="module", params=GIVEN)
def fitted(request: pytest.FixtureRequest) -> tuple[VAE, str]:
    return VAE(**SMALL).fit(X, GIVEN[request.param]), request.param


def test_results_of_a_subset_are_the_slice_of_the_whole(fitted: tuple[VAE, str]) -> None:
    model, y = fitted[0], GIVEN[fitted[1]]
    for name in ("transform", "score_samples", "reconstruct", "log_likelihood"):
        whole = getattr(model, name)(X, y=y)
        for index in (slice(0, 1), slice(3, 20), np.array([7, 140, 2])):
            assert np.array_equal(getattr(model, name)(X[index], y=part(y, index)), whole[index]), name


def test_drawn_rows_are_such_as_have_that_y(fitted: tuple[VAE, str]) -> None:
    model, form = fitted
    drawn = model.sample(200, y=ONE[form], random_state=0)
    assert drawn.mean() == pytest.approx(10, abs=0.6)
    assert np.array_equal(drawn, model.sample(200, y=ONE[form], random_state=0))
    mixed = model.sample(150, y=GIVEN[form], random_state=0)
    assert [mixed[k == NUMBER].mean() for k in range(3)] == pytest.approx([0, 5, 10], abs=0.8)
    back = model.inverse_transform(np.zeros((2, 2)), y=ONE[form])
    assert back == pytest.approx(np.full((2, 4), 10.0), abs=1.5)


def test_one_y_is_a_label_a_dict_or_a_vector_wherever_it_stands_for_all_rows(fitted: tuple[VAE, str]) -> None:
    model, form = fitted
    one = ONE[form]
    forms = [one]
    if isinstance(one, dict):
        forms += [list(one.values()), np.array(list(one.values()), dtype=object), dict(reversed(one.items()))]
    elif isinstance(one, list):
        forms += [tuple(one), np.array(one), torch.tensor(one), dict(enumerate(one))]
    a, b = X[:1], X[1:2]
    uses = (
        lambda y: model.sample(3, y=y, random_state=0),
        lambda y: model.inverse_transform(np.zeros((3, 2)), y),
        lambda y: model.interpolate(a, b, n=3, y=y),
        lambda y: model.traverse(a, 0, [0.0, 1.0], y=y),
    )
    for use in uses:
        found = [use(y) for y in forms]
        assert all(np.array_equal(other, found[0]) for other in found)
    code = model.transform(a, y=part(GIVEN[form], [FIRST]))
    code[:, 0] = 1.0
    assert np.array_equal(model.traverse(a, 0, [1.0], y=one), model.inverse_transform(code, one))


def test_numbers_of_a_frame_are_given_as_dict_or_vector() -> None:
    y = pd.DataFrame({"a": np.arange(150.0), "b": np.arange(150.0) ** 2})
    model = VAE(**SMALL).fit(X, y)
    way = model.interpolate(X[:1], X[1:2], y={"a": 0.0, "b": 1.0})
    for vector in ([0.0, 1.0], np.array([0.0, 1.0]), torch.tensor([0.0, 1.0])):
        assert np.array_equal(model.interpolate(X[:1], X[1:2], y=vector), way)
    assert np.array_equal(model.transform(X, y=y.to_numpy(dtype=object)), model.transform(X, y=y))
    with pytest.raises(DataError, match="lacks the column 'b'"):
        model.sample(2, y={"a": 0.0, "c": 1.0})


def test_a_saved_model_answers_to_the_bit(fitted: tuple[VAE, str], tmp_path: Path) -> None:
    model, form = fitted
    model.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run")
    assert np.array_equal(loaded.transform(X, y=GIVEN[form]), model.transform(X, y=GIVEN[form]))
    assert np.array_equal(loaded.sample(4, y=ONE[form], random_state=1), model.sample(4, y=ONE[form], random_state=1))
    kind = json.loads((tmp_path / "run" / "kind.json").read_text(encoding="utf-8"))
    for broken in ({}, {"form": "label", "parts": []}, {"form": "label", "parts": [{"name": "", "mean": 0.0}]}):
        (tmp_path / "run" / "kind.json").write_text(json.dumps(kind | {"given": broken}), encoding="utf-8")
        with pytest.raises(RunError, match="damaged"):
            engram.load(tmp_path / "run")


def test_y_that_is_missing_unknown_or_too_short_is_said(fitted: tuple[VAE, str]) -> None:
    model, form = fitted
    y = GIVEN[form]
    for use in (model.transform, model.reconstruct, model.score_samples, model.fit, lambda _: model.sample(2)):
        with pytest.raises(UsageError, match="conditional"):
            use(X)
    with pytest.raises(DataError, match="150 rows, and y has 20"):
        model.transform(X, y=part(y, slice(0, 20)))


@pytest.mark.parametrize("y", ["owll", 7, None])
def test_an_unknown_label_answers_with_the_nearest(y: Any) -> None:
    model = VAE(**SMALL).fit(X, GIVEN["texts"])
    with pytest.raises((DataError, UsageError), match="conditional" if y is None else "not seen at fit.*(owl|Known)"):
        model.sample(2, y=y)


def test_a_missing_label_is_named_with_its_row() -> None:
    y = GIVEN["texts"].copy()
    y[12] = None
    with pytest.raises(DataError, match="row 12"):
        VAE(**SMALL).fit(X, y)
    with pytest.raises(DataError, match="1001 different labels"):
        Conditions.fit([f"id {i}" for i in range(1001)], 1001)


def test_rows_and_labels_of_the_caller_are_not_changed() -> None:
    rows, y = X.copy(), GIVEN["frame"].copy()
    VAE(**SMALL).fit(rows, y)
    assert np.array_equal(rows, X)
    pd.testing.assert_frame_equal(y, GIVEN["frame"])


@pytest.mark.parametrize("form", GIVEN)
def test_what_y_is_goes_to_json_and_back(form: str) -> None:
    found = Conditions.fit(GIVEN[form], 150)
    again = Conditions.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    encoded = found.encode(GIVEN[form], 150)
    assert encoded.shape == (150, found.size)
    assert np.array_equal(found.repeated(ONE[form], 3), encoded[np.flatnonzero(NUMBER == 2)[:1]].expand(3, -1))


def test_columns_of_y_are_found_by_name() -> None:
    found, y = Conditions.fit(GIVEN["frame"], 150), GIVEN["frame"]
    assert np.array_equal(found.encode(y[["size", "kind"]], 150), found.encode(y, 150))
    with pytest.raises(DataError, match="lacks the column 'size'"):
        found.encode(y.rename(columns={"size": "length"}), 150)
    assert found.read("owl, 3") == ONE["frame"]
    with pytest.raises(UsageError, match="2: kind, size"):
        found.read("owl")


@pytest.mark.parametrize(
    "shape", [{"network": "conv"}, {"hidden": (8,)}, {"prior": "vamp", "prior_size": 4}, {"importance": 3}]
)
def test_pictures_learned_priors_and_several_draws_can_be_conditional(shape: dict[str, Any]) -> None:
    pictures = np.random.default_rng(0).random((60, 8, 9)) * 0.1 + (np.arange(60) % 2)[:, None, None] * 0.8
    model = VAE(**SMALL | shape | {"max_epochs": 100, "learning_rate": 0.01}).fit(pictures, np.arange(60) % 2)
    dark, bright = (model.sample(20, y=label, random_state=0).mean() for label in (0, 1))
    assert bright > dark + 0.2
    assert model.transform(pictures, y=np.arange(60) % 2).shape == (60, 2)


def test_an_autoencoder_can_be_conditional_and_says_where_it_cannot() -> None:
    model = Autoencoder(**SMALL).fit(X, NUMBER)
    assert model.sample(100, y=0, random_state=0).mean() == pytest.approx(0, abs=1)
    with pytest.raises(UsageError, match="conditional"):
        Autoencoder(**SMALL, tied=True).fit(X, NUMBER)


TAKERS = [  # registered models that can be conditional, by their own word
    name
    for name in MODELS.names()
    if MODELS[name].parameters.get("network", "mlp") == "mlp" and engram.create(name).takes_y
]


@pytest.mark.parametrize("form", ["texts", "frame"])
@pytest.mark.parametrize("name", TAKERS)
def test_every_model_that_can_be_conditional_draws_for_y_saves_and_says_what_lacks(
    name: str, form: str, tmp_path: Path
) -> None:
    model = engram.create(name, **SMALL, hidden=(8,)).fit(X, GIVEN[form])
    assert model.given_ is not None
    drawn = model.sample(5, y=ONE[form], random_state=0)
    assert drawn.shape == (5, 4)
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert np.array_equal(again.sample(5, y=ONE[form], random_state=0), drawn)
    assert model.sample(150, y=GIVEN[form], random_state=0).shape == X.shape
    for wrong in (lambda: model.sample(2), lambda: again.fit(X)):
        with pytest.raises(UsageError, match="conditional"):
            wrong()
    with pytest.raises(DataError, match="y"):
        model.fit(X, part(GIVEN[form], slice(0, 20)))


def test_a_model_that_decides_itself_is_conditional_where_y_is_given(tmp_path: Path) -> None:
    names = [name for name in TAKERS if engram.create(name).conditional == "auto"]
    assert names
    given = {name: value for name, value in SMALL.items() if name != "conditional"}
    for name in names:
        model = engram.create(name, **given, hidden=(8,)).fit(X, NUMBER)
        assert model.given_ is not None
        assert engram.create(name, **given, hidden=(8,)).fit(X).given_ is None
        model.save(tmp_path / name)
        assert engram.load(tmp_path / name).given_ == model.given_


def test_held_out_rows_come_with_their_y_and_searches_and_evaluation_use_it() -> None:
    model = VAE(**SMALL).fit(X[:100], NUMBER[:100], validation=(X[100:], NUMBER[100:]))
    assert np.isfinite(model.score(X, NUMBER))
    assert np.array_equal(model.fit_transform(X, NUMBER), model.transform(X, y=NUMBER))
    with pytest.raises(UsageError, match="pair"):
        VAE(**SMALL).fit(X[:100], NUMBER[:100], validation=X[100:])
    report = engram.evaluate(model, X, NUMBER)
    assert {result.name for result in report.metrics} >= {"r2", "log-likelihood"}
    assert report.pictures


def test_a_density_of_codes_is_fitted_to_rows_with_their_y() -> None:
    model = VAE(**SMALL).fit(X, NUMBER)
    with pytest.raises(UsageError, match="conditional: give y="):
        model.fit_prior(X=X)
    assert np.isfinite(model.fit_prior(X=X, y=NUMBER).sample(5, y=1, random_state=0)).all()
    plain = VAE(**SMALL | {"conditional": False}).fit(X)
    assert plain.fit_prior(X=X, y=NUMBER).density_ is not None


def test_other_models_ignore_y() -> None:
    plain = {**SMALL, "conditional": False}
    model = VAE(**plain).fit(X, NUMBER)
    assert np.array_equal(model.sample(3, y=1, random_state=0), model.sample(3, random_state=0))
    assert np.array_equal(model.transform(X, y=NUMBER), VAE(**plain).fit(X).transform(X))


def test_a_conditional_fit_goes_on_and_begins_again(tmp_path: Path) -> None:
    model = copy.deepcopy(VAE(**SMALL, warm_start=True).fit(X, NUMBER))
    assert model.fit(X, NUMBER).given_ == Conditions.fit(NUMBER, 150)
    VAE(**SMALL).fit(X, NUMBER, run=tmp_path / "run")
    assert np.array_equal(
        engram.load(tmp_path / "run").transform(X, y=NUMBER), VAE(**SMALL).fit(X, NUMBER).transform(X, y=NUMBER)
    )


def test_the_command_line_fits_applies_judges_and_draws(tmp_path: Path) -> None:
    source, run = str(tmp_path / "data.csv"), str(tmp_path / "run")
    pd.DataFrame(X, columns=list("abcd")).assign(kind=GIVEN["texts"]).to_csv(source, index=False)

    def engram_of(*args: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(program, args)
        return result.exit_code, result.stdout, result.stderr

    fit = ("fit", "conditional-vae", source, "-o", run, "--max-epochs", "2", "--code-size", "2")
    code, _, told = engram_of(*fit)
    assert (code, "--label" in told) == (2, True)
    assert engram_of(*fit, "--label", "kind", "--quiet")[0] == 0
    assert engram_of("apply", run, source, "--label", "kind", "-o", str(tmp_path / "codes.csv"))[0] == 0
    assert engram_of("evaluate", run, source, "--label", "kind")[0] == 0
    code, drawn, _ = engram_of("sample", run, "-n", "50", "--label", "owl")
    cells = [float(cell) for line in drawn.splitlines()[1:] for cell in line.split(",")]
    assert (code, np.mean(cells)) == (0, pytest.approx(10, abs=1))
    for wrong, expected in ((("--label", "ow"), "'owl'"), ((), "--label")):
        code, _, told = engram_of("sample", run, "-n", "2", *wrong)
        assert (code, expected in told) == (2, True)


def test_a_caption_draws_what_its_words_mean_and_unknown_words_are_said() -> None:
    model = VAE(**SMALL).fit(X, CAPTIONS)
    assert model.given_ is not None
    assert (model.given_.form, model.given_.parts[0].words[:3]) == ("text", ("a", "in", "the"))
    assert set(model.given_.parts[0].words) == {"a", "in", "the", *LABELS, *COLOURS, *PLACES}
    assert "A red owl in the wood." in CAPTIONS
    drawn = [model.sample(200, y=caption, random_state=0).mean() for caption in ("the RED cat", "owl, grey")]
    assert drawn == pytest.approx([0, 10], abs=1.5)
    with pytest.warns(DataWarning, match=r"2 words were not seen at fit.*'purple', 'owll' \(nearest known: 'owl'\)"):
        model.sample(2, y="a purple owll", random_state=0)
    with pytest.raises(DataError, match=r"'zebras' has no word that was seen at fit.*Known are: a, in, the"):
        model.sample(2, y="zebras")
    with pytest.raises(DataError, match="row 3"):
        model.transform(X[:5], y=[*CAPTIONS[:3], "zebras", "owl"])
    with pytest.raises(DataError, match="one text a row"):
        model.transform(X, y=GIVEN["numbers"])


def test_labels_of_two_words_stay_labels() -> None:
    labels = np.array(["tabby cat", "brown dog", "barn owl"], dtype=object)[NUMBER]
    found = Conditions.fit(labels, 150)
    assert (found.form, found.parts[0].sort) == ("label", "classes")
    with pytest.raises(DataError, match="'brown cat', a label that was not seen at fit"):
        found.repeated("brown cat", 2)


def test_a_caption_without_a_word_is_named_with_its_row() -> None:
    with pytest.raises(DataError, match=r"row 7 is '\?!', a text without a word"):
        Conditions.fit([*CAPTIONS[:7], "?!", *CAPTIONS[8:]], 150)


def test_captions_are_read_from_the_command_line() -> None:
    found = Conditions.fit(CAPTIONS, 150)
    assert found.read("a red, red owl") == "a red, red owl"
    with pytest.raises(UsageError, match="'zebra' has no word"):
        found.read("zebra")
    table = Conditions.fit(GIVEN["frame-of-captions"], 150)
    assert table.read("a red owl, 3") == {"told": "a red owl", "size": 3.0}
    assert table.read('"a red, red owl", 3') == {"told": "a red, red owl", "size": 3.0}
    with pytest.raises(UsageError, match="3 values; y has 2"):
        table.read("a red, red owl, 3")


def test_a_run_from_before_there_were_captions_still_loads(tmp_path: Path) -> None:
    model = VAE(**SMALL).fit(X, GIVEN["frame"])
    model.save(tmp_path / "run")
    file = tmp_path / "run" / "kind.json"
    kind = json.loads(file.read_text(encoding="utf-8"))
    assert all(told.pop("words") == [] for told in kind["given"]["parts"])
    file.write_text(json.dumps(kind), encoding="utf-8")
    assert engram.load(tmp_path / "run").given_ == model.given_


@pytest.mark.parametrize(
    "broken",
    [
        {"words": "red"},
        {"words": [3]},
        {"words": ["red", "red"]},
        {"words": ["Red"]},
        {"words": ["a red"]},
        {"words": [""]},
        {"words": []},
        {"words": None},
        {"words": [f"w{i}" for i in range(1001)]},
        {"classes": ["owl"]},
        {"more": 1},
        {"form": "label"},
        {"form": "numbers"},
        {"form": "texts"},
    ],
)
def test_damaged_captions_are_refused(broken: dict[str, Any], tmp_path: Path) -> None:
    good = Conditions.fit(CAPTIONS, 150).to_dict()
    form = broken.get("form", "text")
    part = good["parts"][0] | {name: value for name, value in broken.items() if name != "form"}
    with pytest.raises(ValueError, match=r"kind\.json"):
        Conditions.from_dict({"form": form, "parts": [part]})
    with pytest.raises(ValueError, match=r"kind\.json"):
        Conditions.from_dict({"form": "text", "parts": good["parts"] * 2})
    assert Conditions.from_dict({"form": "table", "parts": good["parts"]}).size == 15


def test_the_command_line_takes_captions(tmp_path: Path) -> None:
    source, run = str(tmp_path / "data.csv"), str(tmp_path / "run")
    pd.DataFrame(X, columns=list("abcd")).assign(told=CAPTIONS).to_csv(source, index=False)
    fit = ("fit", "conditional-vae", source, "-o", run, "--max-epochs", "2", "--code-size", "2", "--label", "told")
    assert CliRunner().invoke(program, [*fit, "--quiet"]).exit_code == 0
    drawn = CliRunner().invoke(program, ["sample", run, "-n", "50", "--label", "a red purple owl"])
    cells = [float(cell) for line in drawn.stdout.splitlines()[1:] for cell in line.split(",")]
    assert (drawn.exit_code, np.mean(cells)) == (0, pytest.approx(10, abs=1.5))
    assert drawn.stderr.count("'purple'") == 1
    wrong = CliRunner().invoke(program, ["sample", run, "-n", "2", "--label", "purple"])
    assert (wrong.exit_code, "Known are: a, in, the" in wrong.stderr) == (2, True)
