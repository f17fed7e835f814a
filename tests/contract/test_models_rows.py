"""Rule 3: what a model says of a row depends on the row alone, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from engram.models import blocks

SIZES = (1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 99)


def check_subsets(model: Any, results: list[str], X: Any, rows_of: Any, same: Any) -> None:
    order = np.random.default_rng(3).permutation(len(X))
    for name in results:
        use = getattr(model, name)
        whole = use(X)
        for n in SIZES:
            assert same(use(rows_of(X, slice(0, n))), rows_of(whole, slice(0, n))), f"{name} of the first {n} rows"
            some = order[:n]
            assert same(use(rows_of(X, some)), rows_of(whole, some)), f"{name} of {n} rows in another order"
        assert same(use(X), whole), f"{name} twice"


def test_results_of_any_subset_in_any_order_are_the_slice_of_the_whole(case: Any, rows_of: Any, same: Any) -> None:
    check_subsets(case.fitted, case.results, case.X, rows_of, same)


@pytest.mark.parametrize("code_size", [1, 3])
def test_subsets_hold_for_narrow_codes_and_single_columns(
    each_class: Any, code_size: int, rows_of: Any, same: Any
) -> None:
    X = each_class.X[:, :code_size]
    check_subsets(each_class.create(code_size=code_size).fit(X), each_class.results, X, rows_of, same)


@pytest.mark.parametrize("columns", [1, 4, 7, 8, 33])
def test_subsets_hold_where_only_some_rows_have_missing_cells(
    each_class: Any, columns: int, rows_of: Any, same: Any
) -> None:
    X = np.random.default_rng(columns).normal(size=(100, columns + 1))
    X[5:40:3, 0] = np.nan
    check_subsets(each_class.create().fit(X), each_class.results, X, rows_of, same)


def test_subsets_hold_with_two_threads_and_wide_layers(each_class: Any, rows_of: Any, same: Any) -> None:
    X = np.random.default_rng(0).normal(size=(100, 40))
    model = each_class.create(threads=2, hidden=(300, 130), max_epochs=1).fit(X)
    check_subsets(model, each_class.results, X, rows_of, same)


@pytest.mark.parametrize("shape", [(16, 17), (5, 31, 3)])
def test_subsets_hold_for_convolutions(each_class: Any, shape: tuple[int, ...], rows_of: Any, same: Any) -> None:
    if not each_class.cls.own_networks:
        pytest.skip("this model builds its networks itself")
    X = np.random.default_rng(1).random((100, *shape)).astype(np.float32)
    model = each_class.create(network="conv", hidden=(4, 6), max_epochs=1).fit(X)
    check_subsets(model, each_class.results, X, rows_of, same)


def test_subsets_hold_across_the_edges_of_blocks(
    case: Any, rows_of: Any, same: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one = [getattr(case.fitted, name)(case.X) for name in case.results]
    monkeypatch.setattr(blocks, "block_size", lambda values: 16)
    for name, whole in zip(case.results, in_one, strict=True):
        assert same(getattr(case.fitted, name)(case.X), whole)


def test_the_names_of_an_index_do_not_matter(each_class: Any, same: Any) -> None:
    frame = pd.DataFrame(each_class.X, columns=list("abcde"))
    model = each_class.create().fit(frame)
    for name in each_class.results:
        shuffled = frame.set_axis(range(500, 600))
        assert same(getattr(model, name)(shuffled), getattr(model, name)(frame))


def test_importance_bounds_of_a_subset_are_the_slice_of_the_whole() -> None:
    from engram import VAE

    X = np.random.default_rng(0).normal(size=(100, 4))
    X[7, 2] = np.nan
    model = VAE(code_size=2, max_epochs=2, random_state=0).fit(X)
    whole = model.log_likelihood(X, n=5)
    for n in (1, 3, 17, 33):
        assert np.array_equal(model.log_likelihood(X[:n], n=5), whole[:n])
        assert np.array_equal(model.log_likelihood(X[8 : 8 + n], n=5), whole[8 : 8 + n])
