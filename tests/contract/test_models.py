"""What every registered model promises about fitting: nothing but the model changes, and the same seed gives the same model."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import engram
from engram.errors import DataError, UsageError
from engram.models.model import Model
from engram.registry import MODELS


def weights(model: Any) -> dict[str, torch.Tensor]:
    return model.network_.state_dict()


def equal_weights(a: Any, b: Any) -> bool:
    return weights(a).keys() == weights(b).keys() and all(torch.equal(weights(a)[n], weights(b)[n]) for n in weights(a))


def test_fit_returns_the_model_itself_and_leaves_its_parameters_alone(case: Any) -> None:
    model = case.create()
    before = model.get_params()
    assert model.fit(case.X) is model
    assert model.get_params() == before


def test_a_clone_has_the_parameters_and_nothing_learned(case: Any) -> None:
    copied = clone(case.fitted)
    assert copied.get_params() == case.fitted.get_params()
    assert not hasattr(copied, "network_")


def test_the_callers_rows_are_not_changed(case: Any, same: Any) -> None:
    X = case.X
    before = copy.deepcopy(X)
    model = case.create().fit(X)
    for name in case.results:
        getattr(model, name)(X)
    assert same(X, before)


def test_the_callers_lists_and_dicts_are_not_changed(each_model: Any) -> None:
    hidden, columns = [6], {"0": "number"}
    X = each_model.X
    model = each_model.create(hidden=hidden, columns=columns if X.ndim == 2 else None).fit(X)
    assert hidden == [6]
    assert columns == {"0": "number"}
    assert model.hidden is hidden


def test_random_states_and_threads_are_as_before_a_fit_and_its_use(case: Any) -> None:
    """NumPy's old global state is what this test is about."""
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # while the model takes one: two that wait for each other take seconds on a busy machine
    try:
        model = case.create(threads=1, random_state=None).fit(case.X)
        for name in case.results:
            getattr(model, name)(case.X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(case: Any) -> None:
    assert equal_weights(case.create().fit(case.X), case.fitted)
    assert not equal_weights(case.create(random_state=1).fit(case.X), case.fitted)


def test_the_global_random_state_does_not_reach_the_weights(each_model: Any) -> None:
    torch.manual_seed(123)
    assert equal_weights(each_model.create().fit(each_model.X), each_model.fitted)


def digest(name: str) -> str:
    X = np.random.default_rng(0).normal(size=(60, 5))
    state = engram.create(name, max_epochs=3, random_state=3).fit(X).network_.state_dict()
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in state.values())).hexdigest()


ELSEWHERE = (
    f"import hashlib, numpy as np, engram\n{inspect.getsource(digest)}\nprint(digest('autoencoder'), digest('vae'))"
)


def test_the_same_seed_gives_the_same_weights_in_two_processes() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == [digest("autoencoder"), digest("vae")]


def test_random_states_of_numpy_are_taken_as_seeds(each_class: Any) -> None:
    for state in (np.random.RandomState, np.random.default_rng):
        a, b = (each_class.create(random_state=state(5)).fit(each_class.X) for _ in range(2))
        assert equal_weights(a, b)


def test_a_fitted_model_says_what_happened(case: Any) -> None:
    model = case.fitted
    assert len(model.loss_curve_) == len(model.history_.reports) > 0
    assert np.isfinite(model.loss_curve_).all()
    assert 1 <= model.n_iter_ <= 2
    assert isinstance(model.findings_, list)
    assert model.kind_.name == ("images" if case.data == "pictures" else "table")


@pytest.mark.parametrize("n", [1, 2, 11])
def test_any_number_of_rows_can_be_learned_from(case: Any, n: int, rows_of: Any) -> None:
    X = rows_of(case.X, slice(0, n))
    model = case.create(batch_size=16).fit(X)
    assert all(len(getattr(model, name)(X)) == n for name in case.results)
    assert all(torch.isfinite(t).all() for t in weights(model).values())


def test_too_few_rows_to_hold_any_out_is_said(each_model: Any) -> None:
    assert "no-held-out-rows" in [f.kind for f in each_model.create().fit(each_model.X[:1]).findings_]
    assert "no-held-out-rows" not in [f.kind for f in each_model.fitted.findings_]


def test_no_rows_is_an_error_that_says_so(case: Any, rows_of: Any) -> None:
    with pytest.raises(DataError, match=r"0 (sample|pictures)"):
        case.create().fit(rows_of(case.X, slice(0, 0)))


def test_one_column_is_enough(each_class: Any) -> None:
    X = each_class.X[:, :1]
    model = each_class.create(code_size="auto").fit(X)
    assert all(len(getattr(model, name)(X)) == len(X) for name in each_class.results)


def test_missing_cells_of_an_array_are_no_obstacle(each_class: Any) -> None:
    X = each_class.X
    X[::3, 1] = np.nan
    model = each_class.create().fit(X)
    assert all(np.isfinite(getattr(model, name)(X)).all() for name in each_class.results)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_values_are_refused_at_fit_and_at_use(case: Any, bad: float) -> None:
    X = case.X
    if isinstance(X, pd.DataFrame):
        X.loc[4, "height"] = bad
    else:
        X[4, 1] = bad
    for use in (case.create().fit, *(getattr(case.fitted, name) for name in case.results)):
        with pytest.raises(DataError, match="infinit"):
            use(X)


def test_a_device_that_is_none_is_told_without_a_list_of_all() -> None:
    with pytest.raises(UsageError, match=r"device='gpu' is no device. Use 'auto', 'cpu' or 'cuda'.$"):
        engram.VAE(device="gpu").fit(np.zeros((20, 3)))


def test_a_missing_pixel_is_refused(each_model: Any) -> None:
    X = np.zeros((12, 8, 8))
    X[3, 2, 2] = np.nan
    with pytest.raises(DataError, match="picture 3"):
        each_model.create().fit(X)


def test_values_of_1e300_are_learned_or_refused_without_a_traceback(each_class: Any) -> None:
    X = each_class.X
    X[5, 0] = 1e300
    model = each_class.create().fit(X)
    assert all(torch.isfinite(t).all() for t in weights(model).values())


def test_use_before_fit_is_the_error_that_scikit_learn_has(each_model: Any) -> None:
    model = each_model.create()
    for name in each_model.results:
        with pytest.raises(NotFittedError):
            getattr(model, name)(each_model.X)
    with pytest.raises(NotFittedError):
        model.save("nowhere")
    with pytest.raises(NotFittedError):
        model.sample(2)


WRONG = {
    "code_size": 0,
    "hidden": (0,),
    "network": "transformer",
    "likelihood": "cauchy",
    "kind": "video",
    "corruption": "blurr",
    "corruption_level": -1.0,
    "batch_size": -3,
    "max_epochs": 0,
    "max_time": "soon",
    "learning_rate": 0.0,
    "schedule": "exponential",
    "weight_decay": -0.1,
    "dropout": 1.0,
    "clip": 0.0,
    "ema": 1.0,
    "validation_fraction": 1.0,
    "n_iter_no_change": 0,
    "threads": 0,
    "device": "tpu",
    "precision": "float8",
    "random_state": "today",
    "encoder": "resnet",
    "columns": {"0": "text"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_with_its_parameter(each_class: Any, name: str) -> None:
    value = WRONG[name]
    shown = "text" if name == "columns" else repr(value)
    with pytest.raises(UsageError) as caught:
        each_class.create(**{name: value}).fit(each_class.X)
    assert shown in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("corruption", "level", "told"),
    [
        (None, (0.5, 0.1), r"from high to low.*\(0\.1, 0\.5\)"),
        ("gaussian", [0.5, 0.1], r"from high to low.*\(0\.1, 0\.5\)"),
        ("masking", 1.5, "share of cells that are masked, from 0 to 1"),
        ("masking", (0.2, 1.5), "share of cells that are masked, from 0 to 1"),
    ],
)
def test_a_level_that_a_corruption_cannot_have_says_what_is_expected(
    each_class: Any, corruption: str | None, level: Any, told: str
) -> None:
    with pytest.raises(UsageError, match=f"corruption_level=.*{told}"):
        each_class.create(corruption=corruption, corruption_level=level).fit(each_class.X)


@pytest.mark.parametrize(("corruption", "level"), [("gaussian", 1.5), ("masking", [0, 1]), ("masking", (0.5, 0.5))])
def test_a_level_that_a_corruption_can_have_is_taken(each_class: Any, corruption: str, level: Any) -> None:
    each_class.create(corruption=corruption, corruption_level=level, max_epochs=1).fit(each_class.X)


def test_an_unknown_parameter_answers_with_the_nearest(each_model: Any) -> None:
    with pytest.raises(UsageError, match="code_size"):
        engram.create(each_model.model, code_sise=3)


def test_an_unknown_model_answers_with_the_nearest(each_model: Any) -> None:
    with pytest.raises(UsageError, match=repr(each_model.model)):
        engram.create(each_model.model + "x")


def test_a_registered_name_brings_its_own_parameters_and_the_callers_win(each_model: Any) -> None:
    own = MODELS[each_model.model].parameters
    model = engram.create(each_model.model)
    assert all(getattr(model, name) == value for name, value in own.items())
    assert engram.create(each_model.model, dropout=0.125).dropout == 0.125


def test_every_annotation_of_a_model_is_a_field(each_class: Any) -> None:
    """A subclass that forgets @dataclass would silently lose its parameters."""
    fields = {f.name for f in dataclasses.fields(each_class.cls)}
    for parent in each_class.cls.__mro__:
        own = inspect.get_annotations(parent) if issubclass(parent, Model) else {}
        declared = {n for n, text in own.items() if not n.startswith("_") and "ClassVar" not in str(text)}
        assert declared <= fields, f"{parent.__name__} lost {declared - fields}: is @dataclass missing?"


def test_a_forgotten_decorator_would_be_caught() -> None:
    class Forgetful(Model):
        strength: float = 1.0

    assert "strength" not in {f.name for f in dataclasses.fields(Forgetful)}
    assert "strength" in inspect.get_annotations(Forgetful)


def test_every_parameter_has_a_plain_default_and_a_help_text(each_class: Any) -> None:
    from engram.parameters import parameters_of

    for parameter in parameters_of(each_class.cls).values():
        assert isinstance(parameter.default, str | int | float | tuple | type(None)), parameter.name
        assert parameter.help, f"{each_class.cls.__name__}.{parameter.name} is not in the Parameters section"
