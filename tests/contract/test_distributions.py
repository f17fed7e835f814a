"""Distributions of a table's number columns: asked for, refused, found out, saved, told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import engram
from engram.cli.inspect import contents, distributions_text
from engram.data import Table
from engram.data.distributions import COUNTED, OF_COLUMNS
from engram.data.marginals import by_chance, looked_at, marginals, ties
from engram.errors import DataError, UsageError
from engram.evaluation.chosen import chosen
from engram.likelihoods import LIKELIHOODS, CountEncoded, LogEncoded

N = 900
rng = np.random.default_rng(0)
Z = rng.normal(size=N)
CELLS: dict[str, np.ndarray[Any, Any]] = {
    "normal": Z + 7,
    "laplace": rng.laplace(size=N),
    "lognormal": np.exp(2 * Z + rng.normal(size=N)),
    "exponential": rng.exponential(3e-4, N),
    "beta": rng.beta(0.5, 2, N),
    "bernoulli": (Z > 0).astype(float),
    "binomial": rng.binomial(3, 0.6, N).astype(float),
    "poisson": rng.poisson(2, N).astype(float),
    "geometric": rng.geometric(0.15, N) - 1.0,
    "negative-binomial": rng.negative_binomial(3, 0.05, N).astype(float),
    "multinomial": rng.binomial(9, 0.4, N).astype(float),
}
FRAME = pd.DataFrame(CELLS)


def test_every_distribution_of_columns_is_tried_here() -> None:
    assert set(CELLS) == set(OF_COLUMNS) == set(LIKELIHOODS) - {"categorical"}


@pytest.mark.parametrize("name", OF_COLUMNS)
def test_an_asked_for_distribution_is_used_and_rows_come_back_from_their_encoding(name: str) -> None:
    raw = np.column_stack([CELLS[name], CELLS[name][::-1]])
    table = Table(likelihood=name).fit(raw)
    parts = list(table.likelihood().modules())
    assert any(isinstance(part, LogEncoded if name == "lognormal" else LIKELIHOODS[name]) for part in parts)
    x = table.encode(table.conform(raw)).x
    np.testing.assert_allclose(table.decode(x), raw, rtol=1e-5, atol=1e-7 * np.abs(raw).max())
    if name in COUNTED:
        assert np.array_equal(table.decode(x), raw)
    again = Table.from_dict(table.to_dict())
    assert torch.equal(again.encode(again.conform(raw)).x, x)
    output = torch.zeros_like(x)
    assert torch.equal(again.likelihood().log_prob(output, x), table.likelihood().log_prob(output, x))


@pytest.mark.parametrize("name", sorted(set(OF_COLUMNS) - {"normal", "laplace"}))
def test_cells_that_a_distribution_cannot_have_are_an_error_that_names_the_column(name: str) -> None:
    frame = pd.DataFrame({"fine": CELLS[name], "wrong": CELLS[name] - 40.5})
    with pytest.raises(DataError, match=rf"likelihood='{name}' needs .*column 'wrong' has other values, such as -"):
        Table(likelihood=name).fit(frame)


def test_cells_of_later_rows_that_a_distribution_cannot_have_are_missing_and_counted() -> None:
    table = Table(columns={"lognormal": "lognormal", "binomial": "binomial"}).fit(FRAME[["lognormal", "binomial"]])
    later = pd.DataFrame({"lognormal": [1.0, 0.0, -3.0], "binomial": [99.0, 1.0, 2.0]})
    rows = table.encode(table.conform(later))
    assert rows.mask is not None
    order = [table.columns.index(name) for name in later]
    assert rows.mask[:, order].tolist() == [[True, False], [False, True], [False, True]]
    assert sorted(rows.notes.values()) == [1, 2]
    assert any("'lognormal': cells that are not values above 0" in note for note in rows.notes)


def test_scores_are_densities_of_the_users_values_and_probabilities_of_counts() -> None:
    raw = FRAME[["lognormal", "poisson"]]
    table = Table(columns={"lognormal": "lognormal", "poisson": "poisson"}).fit(raw)
    rows = table.encode(table.conform(raw))
    output, likelihood = torch.zeros_like(rows.x), table.likelihood()
    found = likelihood.log_prob_columns(output, rows.x) - table.log_volume
    price, visits = (next(c for c in table.fields if c.name == name) for name in ("lognormal", "poisson"))
    scale = price.scale * np.exp(-2)  # the scale that a likelihood starts with, in logarithms
    at = table.columns.index
    expected = stats.lognorm(scale, scale=np.exp(price.mean)).logpdf(raw["lognormal"])
    np.testing.assert_allclose(found[:, at("lognormal")].detach(), expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(
        found[:, at("poisson")].detach(), stats.poisson(1).logpmf(raw["poisson"]), rtol=1e-4, atol=1e-4
    )
    assert visits.trials


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_the_link_of_encoded_counts_is_that_of_finite_differences(name: str) -> None:
    cls: Any = LIKELIHOODS[name]
    part = cls((2,), 9.0) if name in ("binomial", "multinomial") else cls((2,))
    encoded = CountEncoded(part, torch.tensor([0.7, 1.1]), torch.tensor([0.5, 0.9])).double()
    mean, step = torch.tensor([0.1, -0.3], dtype=torch.float64), 1e-6
    link = encoded.link(mean)
    slope = (encoded.link(mean + step).output - encoded.link(mean - step).output) / (2 * step)
    torch.testing.assert_close(link.slope, slope, rtol=1e-4, atol=1e-6)


# --- found out ---


def test_each_column_is_explained_best_by_what_it_was_drawn_from() -> None:
    names = [name for name in CELLS if name != "multinomial"]
    found = dict(zip(names, marginals(FRAME[names].to_numpy()), strict=True))
    assert {name: each["best"] for name, each in found.items()} == {name: name for name in names}
    assert found["normal"]["gain"] == found["normal"]["error"] == 0
    assert all(each["gain"] > 2 * each["error"] > 0 for name, each in found.items() if name != "normal")
    assert "lognormal" not in found["poisson"]["nats"]  # it has zeros


def test_the_comparison_is_that_of_densities_on_held_out_cells() -> None:
    cells = CELLS["lognormal"]
    found = marginals(cells[:, None])[0]["nats"]
    logs, held = np.log(cells[:600]), cells[600:]
    assert found["lognormal"] == pytest.approx(stats.lognorm(logs.std(), scale=np.exp(logs.mean())).logpdf(held).mean())
    assert found["normal"] == pytest.approx(stats.norm(cells[:600].mean(), cells[:600].std()).logpdf(held).mean())


def test_missing_constant_huge_and_few_cells_do_no_harm() -> None:
    raw = np.column_stack([Z, np.full(N, np.nan), np.full(N, 3.0), rng.random(N) * 1e300])
    raw[::3, 0] = np.nan
    found = marginals(raw)
    assert found[0]["best"] == found[3]["best"] == "normal"
    assert found[1] == {}
    assert marginals(raw[:40]) == [{}] * 4


def test_best_takes_skewed_columns_and_counts_as_such_and_leaves_the_others() -> None:
    frame = FRAME[["normal", "lognormal", "beta", "negative-binomial"]].assign(word=np.where(Z > 0, "a", "b"))
    frame.loc[::9, "lognormal"] = np.nan
    table = Table(likelihood="best").fit(frame)
    found = {c.name: c.likelihood for c in table.fields}
    assert found == {"normal": "", "word": ""} | {n: n for n in ("lognormal", "beta", "negative-binomial")}
    assert "lognormal" in dict(table.describe())["lognormal"]
    assert not any(c.likelihood for c in Table().fit(frame).fields)


def test_best_takes_the_winner_of_the_comparison_that_is_shown() -> None:
    r = np.random.default_rng(0)
    n = 1500
    drawn = {"binomial": r.binomial(4, 0.9, n), "exponential": r.exponential(3, n), "poisson": r.poisson(3, n)}
    drawn |= {"geometric": r.geometric(0.1, n) - 1, "bernoulli": r.integers(0, 2, n), "normal": r.normal(size=n)}
    table = Table(likelihood="best").fit(np.column_stack(list(drawn.values())))
    assert [c["used"] for c in table.distributions()] == [c["best"] for c in table.distributions()] == list(drawn)


def test_best_takes_a_distribution_without_a_spread_of_its_own_only_where_no_other_column_says_much() -> None:
    """A VAE gives a row -2.8 nats with lognormal here, and -5.7 with exponential."""
    r = np.random.default_rng(0)
    waits = r.exponential(3, 1500)
    table = Table(likelihood="best").fit(
        pd.DataFrame({"a": waits, "b": waits * 1.2 * np.exp(0.05 * r.normal(size=1500))})
    )
    assert [(c["best"], c["used"]) for c in table.distributions()] == [("exponential", "lognormal")] * 2
    assert (
        "the model used lognormal, as another column says much of it" in distributions_text(table.distributions())[0][1]
    )


@pytest.mark.parametrize(("rows", "columns"), [(1500, 2), (65, 400)])
def test_independent_columns_are_tied_by_chance_alone(rows: int, columns: int) -> None:
    values = np.random.default_rng(0).exponential(size=(rows, columns))
    found = ties(values, list(range(columns)))
    assert found.mean() == pytest.approx(by_chance(rows, columns), abs=0.08)
    assert (found - by_chance(rows, columns)).max() < 0.3


def test_only_best_says_that_another_column_kept_it_from_a_distribution() -> None:
    waits = np.random.default_rng(0).exponential(3, 1500)
    rows = pd.DataFrame({"a": waits, "b": waits * 1.2 + 0.01 * waits**2})
    told = {
        name: distributions_text(Table(likelihood=name).fit(rows).distributions())[0][1] for name in ("auto", "best")
    }
    assert ["as another column says" in told[name] for name in told] == [False, True]


def test_ties_are_the_largest_rank_correlations_over_pairs_of_cells() -> None:
    r = np.random.default_rng(0)
    values = r.normal(size=(200, 3))
    values[:, 1] += values[:, 0]
    expected = np.abs(stats.spearmanr(values).statistic) - np.eye(3)
    np.testing.assert_allclose(ties(values, [0, 2]), expected.max(1)[[0, 2]])
    values[::3, 0] = np.nan
    assert ties(values, [0])[0] == pytest.approx(expected[0].max(), abs=0.1)
    assert ties(values[:, :1], [0]).tolist() == [0.0]


def test_a_share_among_ones_and_zeros_keeps_best_from_yes_or_no() -> None:
    flags = np.random.default_rng(0).integers(0, 2, (5000, 2)).astype(float)
    flags[int(np.setdiff1d(np.arange(5000), looked_at(5000, 2))[0]), 0] = 0.5
    assert [c.likelihood for c in Table(likelihood="best").fit(flags).fields] == ["", "bernoulli"]


def test_best_keeps_the_normal_one_where_any_cell_forbids_another() -> None:
    cells = np.exp(np.random.default_rng(1).normal(size=5000) * 2)
    cells[17] = -1.0
    assert not Table(likelihood="best").fit(pd.DataFrame({"a": cells, "b": cells[::-1]})).fields[0].likelihood


def test_columns_that_share_a_unit_keep_it() -> None:
    raw = np.clip(np.random.default_rng(1).exponential(4, (300, 9)), 0, 16)
    raw[0], raw[1] = 0, 16
    table = Table(likelihood="best").fit(raw)
    assert not any(c.likelihood or c.marginal for c in table.fields)


def test_an_unknown_distribution_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="lognormal"):
        Table(likelihood="lognormall").fit(FRAME)


def test_a_model_of_mixed_distributions_scores_saves_samples_and_is_inspected(tmp_path: Path) -> None:
    frame = FRAME[["normal", "lognormal", "poisson", "beta"]].astype({"poisson": "int64"})
    model = engram.VAE(likelihood="best", max_epochs=3, hidden=(8,), random_state=0).fit(frame)
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert np.array_equal(again.score_samples(frame), model.score_samples(frame))
    drawn = again.sample(200, random_state=0)
    assert (drawn["lognormal"] > 0).all()
    assert drawn["beta"].between(0, 1).all()
    values = {row["name"]: row["value"] for row in chosen(model)}
    assert values["likelihood"] == "normal, beta, lognormal, poisson"
    told = contents(tmp_path / "run")["distributions"]
    assert [(c["name"], c["used"]) for c in told][1] == ("lognormal", "lognormal")
    text = "\n".join(distributions_text(told)[0])
    assert "the model used lognormal" in text
    assert "normal is as good as any for the other" in text


@pytest.mark.parametrize(
    "changed",
    [
        {"likelihood": "none"},
        {"marginal": {"best": "beta"}},
        {"marginal": {"best": 1, "gain": "a", "error": 0, "nats": {}}},
    ],
)
def test_a_damaged_distribution_is_an_error(changed: dict[str, Any]) -> None:
    state = Table().fit(FRAME).to_dict()
    state["columns"][0] |= changed
    with pytest.raises((ValueError, KeyError)):
        Table.from_dict(state)


def test_dates_that_no_calendar_has_are_damage() -> None:
    dates = pd.DataFrame({"when": pd.date_range("2001-01-01", periods=30, freq="37h"), "a": np.arange(30.0)})
    state = Table().fit(dates).to_dict()
    assert Table.from_dict(state).describe()
    next(column for column in state["columns"] if column["name"] == "when")["low"] = 1e178
    with pytest.raises(ValueError, match="dates of column 'when' cannot be"):
        Table.from_dict(state)
