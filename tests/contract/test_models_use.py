"""What fitted models do: drawing rows, going to disk and back, repairing rows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import engram
from engram.data import DataWarning
from engram.errors import DataError, RunError, UsageError
from engram.models.codes import Codes
from engram.models.resolve import checked_parameters
from engram.training.run import SAMPLES

# --- drawing rows ---


def test_a_model_draws_rows_or_says_by_name_that_it_cannot(each_model: Any, draws: Any) -> None:
    if draws(each_model):
        assert len(each_model.fitted.sample(2, random_state=0)) == 2
    else:
        with pytest.raises(UsageError, match=f"{each_model.cls.__name__} cannot sample"):
            each_model.fitted.sample(2, random_state=0)


def test_drawn_rows_have_the_form_of_the_rows_that_were_given(sampler: Any) -> None:
    rows = sampler.fitted.sample(7, random_state=0)
    assert type(rows) is type(sampler.X)
    assert rows.shape == (7, *sampler.X.shape[1:])
    if isinstance(rows, pd.DataFrame):
        assert rows.columns.tolist() == sampler.X.columns.tolist()
        assert rows.notna().all(axis=None)
        assert rows.member.dtype == bool
        assert rows.age.dtype == sampler.X.age.dtype
        assert set(rows.city) <= set(sampler.X.city.dropna())
    else:
        assert rows.dtype == sampler.X.dtype
        assert np.isfinite(rows).all()


def test_the_seed_decides_what_is_drawn_and_the_global_state_does_not(sampler: Any, same: Any) -> None:
    draw = sampler.fitted.sample
    torch.manual_seed(1)
    first = draw(6, random_state=3)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert same(first, draw(6, random_state=3))
    with pytest.raises(AssertionError):
        assert same(first, draw(6, random_state=4))
    torch.set_rng_state(state)
    draw(6)
    assert torch.equal(torch.get_rng_state(), state)


def test_drawn_rows_scatter_around_the_decoders_mean_by_the_likelihoods_scale(sampler: Any) -> None:
    """Rule 12: a decoder's sample draws from the likelihood."""
    if sampler.data != "numbers" or getattr(sampler.cls, "drawn", None) is not Codes.drawn:
        return
    model = sampler.create(max_epochs=20).fit(sampler.X)
    n = 4000
    rows = model.sample(n, random_state=5)
    codes = model.draw_codes(n, torch.Generator().manual_seed(5))
    scale = np.array([column.scale for column in model.kind_.fields])
    noise = (rows - model.inverse_transform(codes.numpy())) / scale
    likelihood = model.network_.decoder.likelihood
    own = likelihood.column_scale  # which autoencoders score with, too; zero where scores are the ELBO's
    expected = torch.where(own > 0, own, likelihood.log_scale.exp()).detach().numpy()
    assert noise.std(0) == pytest.approx(expected, rel=0.06)
    assert (np.abs(noise.mean(0)) < 5 * expected / n**0.5).all()


@pytest.mark.parametrize("n", [0, -1, 2.5, "many"])
def test_a_wrong_number_of_draws_is_named(each_class: Any, n: Any) -> None:
    with pytest.raises(UsageError, match="n="):
        each_class.fitted.sample(n)


# --- to disk and back ---


def test_a_loaded_model_answers_to_the_bit_as_the_saved_one(case: Any, same: Any, tmp_path: Path) -> None:
    case.fitted.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run")
    assert type(loaded) is type(case.fitted)
    for name in case.results:
        assert same(getattr(loaded, name)(case.X), getattr(case.fitted, name)(case.X))
    assert loaded.get_params() == case.fitted.get_params()
    assert loaded.findings_ == case.fitted.findings_
    assert loaded.loss_curve_ == case.fitted.loss_curve_
    assert loaded.n_iter_ == case.fitted.n_iter_
    assert loaded.n_features_in_ == case.fitted.n_features_in_


def test_a_loaded_model_draws_the_same_rows(sampler: Any, same: Any, tmp_path: Path) -> None:
    sampler.fitted.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run")
    assert same(loaded.sample(5, random_state=1), sampler.fitted.sample(5, random_state=1))


def test_a_pickled_model_answers_to_the_bit_as_before(each_model: Any, draws: Any, same: Any) -> None:
    """As joblib's processes need it: under every name, since networks differ and scikit-learn's check knows the plain one alone."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    copied = pickle.loads(pickle.dumps(each_model.fitted))
    assert torch.equal(torch.get_rng_state(), state)
    for name in each_model.results:
        assert same(getattr(copied, name)(each_model.X), getattr(each_model.fitted, name)(each_model.X))
    if draws(each_model):
        assert same(copied.sample(5, random_state=1), each_model.fitted.sample(5, random_state=1))
    own = each_model.fitted.network_.state_dict()
    for name, value in copied.network_.state_dict().items():
        assert torch.equal(value, own.pop(name))
    assert not own
    for name in ("train", "eval"):
        assert pickle.loads(pickle.dumps(getattr(copied.network_, name)())).training is (name == "train")


def test_what_a_model_is_told_as_is_known_before_a_fit_and_the_same_after_it(each_model: Any, tmp_path: Path) -> None:
    """A resumed fit that is finished is compared with the command by this."""
    unfitted = each_model.create()
    assert unfitted.described() == {}
    each_model.fitted.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run")
    assert checked_parameters(loaded) | loaded.described() == checked_parameters(unfitted)


def test_a_loaded_model_can_be_saved_and_fitted_again(each_model: Any, same: Any, tmp_path: Path) -> None:
    each_model.fitted.save(tmp_path / "first")
    loaded = engram.load(tmp_path / "first")
    loaded.save(tmp_path / "second")
    for name in ("config.json", "kind.json", "weights.safetensors", "log.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    loaded.fit(each_model.X)
    for name in each_model.results:
        assert same(getattr(loaded, name)(each_model.X), getattr(each_model.fitted, name)(each_model.X))


def test_a_fit_with_a_run_leaves_the_same_folder_as_saving(each_model: Any, tmp_path: Path) -> None:
    model = each_model.create().fit(each_model.X, run=tmp_path / "fit")
    model.save(tmp_path / "saved")
    names = [sorted(p.name for p in (tmp_path / folder).iterdir()) for folder in ("fit", "saved")]
    assert [name for name in names[0] if name != SAMPLES] == names[1]  # sheets are written while it learns
    weights = [(tmp_path / folder / "weights.safetensors").read_bytes() for folder in ("fit", "saved")]
    assert weights[0] == weights[1]


def test_own_networks_come_back_through_modules(each_class: Any, same: Any, tmp_path: Path) -> None:
    if not each_class.cls.own_networks:
        pytest.skip("this model builds its networks itself")

    def own() -> dict[str, torch.nn.Module]:
        return {
            "encoder": torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh()),
            "decoder": torch.nn.Linear(2, 5),
        }

    model = each_class.create(**own()).fit(each_class.X)
    model.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run", modules=own())
    for name in each_class.results:
        assert same(getattr(loaded, name)(each_class.X), getattr(model, name)(each_class.X))
    for modules in (None, {"encoder": own()["encoder"]}, {**own(), "generator": torch.nn.Linear(1, 1)}):
        with pytest.raises(UsageError, match="modules="):
            engram.load(tmp_path / "run", modules=modules)
    with pytest.raises(RunError, match="damaged"):
        engram.load(tmp_path / "run", modules={**own(), "decoder": torch.nn.Linear(3, 5)})


def test_a_model_that_builds_its_networks_itself_says_so(each_class: Any) -> None:
    if each_class.cls.own_networks:
        pytest.skip("this model takes networks of the caller's own")
    for given in ({"encoder": torch.nn.Linear(5, 4)}, {"decoder": torch.nn.Linear(2, 5)}, {"network": "conv"}):
        X = each_class.X if "network" not in given else np.zeros((12, 8, 8))
        with pytest.raises(UsageError, match=f"{each_class.cls.__name__} builds|network="):
            each_class.create(**given).fit(X)


def test_an_own_network_that_does_not_fit_the_rows_is_named(each_class: Any) -> None:
    if not each_class.cls.own_networks:
        pytest.skip("this model builds its networks itself")
    with pytest.raises(UsageError, match="encoder="):
        each_class.create(encoder=torch.nn.Linear(7, 4)).fit(each_class.X)
    with pytest.raises(UsageError, match="decoder="):
        each_class.create(decoder=torch.nn.Linear(7, 5)).fit(each_class.X)


# --- rows that differ from those at fit ---


def test_other_columns_than_at_fit_are_refused(each_class: Any) -> None:
    for name in each_class.results:
        with pytest.raises(DataError, match="features"):
            getattr(each_class.fitted, name)(each_class.X[:, :3])


def test_pictures_of_another_size_are_refused(each_model: Any) -> None:
    X = np.random.default_rng(0).random((20, 8, 9))
    model = each_model.create().fit(X)
    for name in each_model.results:
        with pytest.raises(DataError, match="8 x 9"):
            getattr(model, name)(X[:, :, :8])


def test_strings_where_numbers_were_are_named_with_their_place(each_class: Any) -> None:
    frame = pd.DataFrame(each_class.X, columns=list("abcde"))
    named, plain = each_class.create().fit(frame), each_class.fitted
    broken = frame.astype(object)
    broken.loc[4, "c"] = "abc"
    for model in (named, plain):
        for name in each_class.results:
            with pytest.raises(DataError, match=r"row 4 has 'abc'"):
                getattr(model, name)(broken)


def test_a_model_fitted_on_an_array_takes_a_frame_with_the_same_columns(each_class: Any, same: Any) -> None:
    X = each_class.X
    X[:, 1] = 3.0
    model = each_class.create().fit(X)
    for name in ("transform", "score_samples"):
        if name in each_class.results:
            assert same(getattr(model, name)(pd.DataFrame(X, columns=list("abcde"))), getattr(model, name)(X))


def test_a_new_category_is_counted_and_treated_as_missing(each_class: Any, same: Any) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "city": ["Basel", "Köln"] * 20})
    model = each_class.create().fit(frame)
    new, missing = frame.copy(), frame.copy()
    new.loc[[3, 5, 8], "city"] = "Oslo"
    missing.loc[[3, 5, 8], "city"] = None
    for name in each_class.results:
        with pytest.warns(DataWarning, match=r"'city'.*not seen at fit.*\(3 cells\)"):
            found = getattr(model, name)(new)
        assert same(found, getattr(model, name)(missing))


def test_repaired_rows_keep_every_cell_that_was_there(each_class: Any) -> None:
    if not hasattr(each_class.cls, "impute"):
        pytest.skip("this model repairs no rows")
    X = each_class.X
    holes = X.copy()
    holes[::4, 2] = np.nan
    model = each_class.create(max_epochs=20).fit(holes)
    repaired = model.impute(holes)
    there = ~np.isnan(holes)
    assert repaired[there] == pytest.approx(X[there], rel=1e-5, abs=1e-5)
    assert np.isfinite(repaired).all()
    assert repaired[~there] == pytest.approx(model.reconstruct(holes)[~there])


def test_held_out_rows_of_the_callers_own_are_used_instead_of_a_share(each_model: Any) -> None:
    X = each_model.X
    model = each_model.create().fit(X[:80], validation=X[80:])
    assert model.data_["trained_on"] == 80
    assert all("validation" in report for report in model.history_.reports) == each_model.cls.watches
    assert each_model.fitted.data_["trained_on"] == 90


def test_held_out_rows_without_a_cell_are_refused() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(DataError, match="the 8 rows of validation= have no observed cell"):
        engram.VAE(max_epochs=1).fit(X, validation=np.full((8, 3), np.nan))
