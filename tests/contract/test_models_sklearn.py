"""Every model class is a scikit-learn estimator: its own suite of checks, pipelines, searches, named outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from engram import VAE, Autoencoder
from engram.registry import MODELS

CLASSES = list({entry.value: None for entry in MODELS})


@parametrize_with_checks([cls(max_epochs=2) for cls in CLASSES])
def test_scikit_learns_own_checks_pass_with_no_exception(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([cls() for cls in CLASSES])
def test_scikit_learns_own_checks_pass_with_default_parameters(estimator: Any, check: Any) -> None:
    check(estimator)


def test_no_class_asks_to_be_excused_from_a_check() -> None:
    for cls in CLASSES:
        tags = cls().__sklearn_tags__()
        assert not tags.no_validation, cls
        assert not tags.non_deterministic, cls
        assert not tags._skip_test, cls


def test_code_units_have_names_and_pandas_output_carries_them(each_class: Any) -> None:
    if "transform" not in each_class.results:
        pytest.skip("this model has no codes")
    frame = pd.DataFrame(each_class.X, columns=list("abcde"), index=range(1000, 1100))
    model = each_class.create().set_output(transform="pandas").fit(frame)
    prefix = each_class.cls.__name__.lower()
    assert model.get_feature_names_out().tolist() == [f"{prefix}0", f"{prefix}1"]
    codes = model.transform(frame)
    assert codes.columns.tolist() == [f"{prefix}0", f"{prefix}1"]
    assert codes.index.equals(frame.index)
    assert model.feature_names_in_.tolist() == list("abcde")


def test_a_pipeline_after_a_scaler_fits_scores_and_names(each_class: Any) -> None:
    if "transform" not in each_class.results:
        pytest.skip("this model has no codes")
    frame = pd.DataFrame(each_class.X * 100, columns=list("abcde"))
    pipeline = make_pipeline(StandardScaler(), each_class.create()).set_output(transform="pandas").fit(frame)
    assert pipeline.transform(frame).columns.tolist() == pipeline.get_feature_names_out().tolist()
    assert np.isfinite(pipeline.score(frame))
    assert len(pipeline.score_samples(frame)) == len(frame)


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        (Autoencoder(max_epochs=5, random_state=0), {"code_size": [1, 2]}),
        (VAE(max_epochs=5, random_state=0), {"code_size": np.array([1, 2]), "beta": [1.0, 50.0]}),
    ],
    ids=["autoencoder", "vae"],
)
def test_a_search_over_parameters_finds_the_two_dimensions_that_the_rows_have(model: Any, grid: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 6)) + 0.05 * rng.normal(size=(150, 6))
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X)
    assert search.best_params_["code_size"] == 2
    assert search.best_params_.get("beta", 1.0) == 1.0
    assert len(search.score_samples(X)) == len(X)


def test_fit_transform_is_fit_then_transform(each_class: Any) -> None:
    if "transform" not in each_class.results:
        pytest.skip("this model has no codes")
    assert np.array_equal(each_class.create().fit_transform(each_class.X), each_class.fitted.transform(each_class.X))


def test_labels_are_taken_and_do_not_change_what_is_learned(each_model: Any) -> None:
    y = np.arange(len(each_model.X)) % 3
    model = each_model.create().fit(each_model.X, y)
    if model.given_ is not None:
        assert each_model.create().conditional == "auto"  # where y is given, it is what is asked for
        return
    for a, b in zip(model.network_.parameters(), each_model.fitted.network_.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())


def test_the_text_of_a_model_shows_what_was_changed(each_class: Any) -> None:
    assert repr(each_class.cls(code_size=3)) == f"{each_class.cls.__name__}(code_size=3)"
    assert each_class.cls()._repr_html_()
