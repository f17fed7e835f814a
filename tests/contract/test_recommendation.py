"""Interactions and the recommender: odd events, lists, new users, reasons, refresh, run folders, what is kept, the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from commands import engram as command
from scipy import sparse
from sklearn.base import clone

import engram
from engram.apps import linear_items, recommendation
from engram.apps.linear_items import LinearItems
from engram.apps.one_history import OneHistory
from engram.data import Counts, DataWarning, Interactions
from engram.data.kind import kind_class
from engram.errors import DataError, UsageError
from engram.evaluation.recommendation import MEASURES
from engram.training.run import read_tensors

QUICK: dict[str, Any] = {"random_state": 0, "max_epochs": 60, "code_size": 16, "learning_rate": 0.01}
N_ITEMS = 24


def events(users: int = 80, *, seed: int = 0) -> pd.DataFrame:
    """Users of two sorts, who have items of their sort; how much depends on the item."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        own = rng.choice(12, 6, replace=False) + 12 * (user % 2)
        rows += [
            (f"u{user}", f"i{item:02d}", round(float(1 + item + rng.random()), 2), int(rng.integers(1000)))
            for item in own
        ]
    return pd.DataFrame(rows, columns=["user", "item", "hours", "time"])


@pytest.fixture(scope="module")
def fitted() -> engram.Recommender:
    return engram.Recommender(**QUICK).fit(events())


def made(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


# --- events ---


def test_events_become_histories_by_the_rules_that_are_stated() -> None:
    raw = made(user=["b", "a", "a", None, "c"], item=[7, 9, 9, 7, 8], hours=[12.5, 20, 30, 1, 0])
    found = Interactions().histories(raw)
    assert found.users is not None
    assert (list(found.users), list(found.items)) == (["a", "b", "c"], [7, 8, 9])
    np.testing.assert_array_equal(found.matrix.toarray(), [[0, 0, 50], [12.5, 0, 0], [0, 0, 0]])
    assert sorted(found.notes.values()) == [1, 1, 1]  # without a user, of no weight, twice
    kind = Interactions().fit(raw)
    assert any("1 of 3 users have no items" in text for text in kind.findings())
    np.testing.assert_allclose(kind.conform(raw)[:].toarray()[0], [0, 0, np.log1p(50)], rtol=1e-6)


def test_of_ratings_the_last_one_counts() -> None:
    raw = made(user=[1, 1, 1], item=["x", "x", "y"], rating=[5, 2, 4.5], timestamp=[30, 10, 20])
    assert Interactions().histories(raw).matrix.toarray().tolist() == [[5, 4.5]]
    assert Interactions().histories(raw.drop(columns="timestamp")).matrix.toarray().tolist() == [[2, 4.5]]
    assert Interactions(duplicates="sum").histories(raw).matrix.toarray().tolist() == [[7, 4.5]]
    assert Interactions().fit(raw).ratings


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_negative_or_no_numbers_are_refused_with_their_place(bad: float) -> None:
    with pytest.raises(DataError, match="column 'hours', row 1 "):
        Interactions().fit(made(user=[1, 2], item=[1, 2], hours=[1, bad]))
    events = made(user=[1, 2, 3], item=[1, 2, 3], hours=[1, 1, bad]).iloc[1:]
    with pytest.raises(DataError, match=r"row 2 .*counted from 0, without the header"):
        Interactions().fit(events)
    with pytest.raises(DataError, match="row 1, column 0"):
        Interactions().fit(np.array([[1.0, 0], [bad, 1]]))


def test_columns_are_found_by_name_by_wish_and_by_order() -> None:
    plain = made(user=[1, 2], item=[3, 4])
    by_name = made(rating=[5, 5], MovieId=[3, 4], userId=[1, 2])
    by_wish = Interactions(columns={"who": "user", "what": "item", "note": "drop"})
    for kind, raw in (
        (Interactions(), by_name),
        (Interactions(), made(a=[1, 2], b=[3, 4])),
        (by_wish, made(note=["x", "y"], what=[3, 4], who=[1, 2])),
    ):
        found = kind.histories(raw)
        assert (found.matrix.toarray() > 0).tolist() == (Interactions().histories(plain).matrix.toarray() > 0).tolist()
    with pytest.raises(DataError, match="users and one of items"):
        Interactions().histories(made(user=[1]))
    with pytest.raises(UsageError, match="no such column"):
        Interactions(columns={"wha": "item"}).histories(made(what=[1], who=[2]))
    with pytest.raises(UsageError, match="cannot be 'usr'"):
        Interactions(columns={"who": "usr"}).histories(made(what=[1], who=[2]))


def test_binary_and_continuous_follow_from_the_weights() -> None:
    same = made(user=[1, 2], item=[1, 2], plays=[3, 3])
    assert not Interactions().fit(same).continuous
    assert Interactions(weights="continuous").fit(same).continuous
    assert Interactions(weights="binary").fit(events()).conform(events())[:].max() == 1
    with pytest.raises(UsageError, match="none of auto, binary, continuous"):
        Interactions(weights="some")


def test_unknown_items_are_counted_and_unknown_alone_are_refused() -> None:
    kind = Interactions().fit(made(user=[1, 2], item=[1, 2]))
    with pytest.warns(DataWarning, match="not in the fit were left out .2 items"):
        rows = kind.conform(made(user=["x", "y", "y"], item=["1", "5", "6"]))  # "1" is 1
    assert rows[:].toarray().tolist() == [[1, 0], [0, 0]]
    with pytest.raises(DataError, match="none of these items was in the fit"):
        kind.conform(made(user=[1], item=[77]))
    with pytest.raises(DataError, match="fitted on 2 items, and this matrix has 3"):
        kind.conform(sparse.csr_array(np.ones((1, 3))))


def test_a_kind_comes_back_from_json_without_any_user() -> None:
    kind = Interactions(columns={"hours": "weight"}).fit(events())
    state = json.loads(json.dumps(kind.to_dict()))
    assert "u17" not in json.dumps(state)
    again = kind_class("interactions").from_dict(state)
    a, b = kind.conform(events())[:], again.conform(events())[:]
    assert (a != b).nnz == 0
    assert kind.describe() == again.describe()
    rows = kind.encode(kind.conform(events()))
    np.testing.assert_allclose(kind.decode(rows.x), Interactions().histories(events()).matrix.toarray(), rtol=1e-4)


def test_interactions_are_never_guessed_and_others_are_refused() -> None:
    assert engram.data.as_kind(events())[0].name == "table"
    with pytest.raises(DataError, match="nothing to learn from"):
        Interactions().fit(np.zeros((3, 2)))
    with pytest.raises(DataError, match="cannot be interactions"):
        engram.Recommender(**QUICK).fit([["a", "b"]])
    with pytest.raises(UsageError, match="duplicates"):
        Interactions(duplicates="first")


# --- the recommender ---


def test_users_are_recommended_items_of_their_sort_with_reasons(fitted: engram.Recommender) -> None:
    found = fitted.recommend(["i01", "i05", "i07"], 5)
    assert list(found.columns) == ["item", "score", "because"]
    assert all(int(item[1:]) < 12 for item in found.item)
    assert not set(found.item) & {"i01", "i05", "i07"}
    assert found.score.is_monotonic_decreasing
    assert set(", ".join(found.because).split(", ")) <= {"i01", "i05", "i07"}
    assert fitted.recommend({"i01": 3.0, "i05": 0.0}, 30).item.nunique() == N_ITEMS - 1
    assert "i01" in set(fitted.recommend(["i01"], 24, known=True).item)


def test_lists_end_where_items_do_and_begin_at_what_is_popular(fitted: engram.Recommender) -> None:
    everything = [f"i{item:02d}" for item in range(N_ITEMS)]
    assert len(fitted.recommend(everything[1:], 10)) == 1
    assert len(fitted.recommend(everything, 10)) == 0
    assert len(fitted.recommend([], 10)) == 10
    assert (fitted.recommend([], 3).because == "").all()
    counts = events().item.value_counts()
    popular = fitted.popular(3)
    assert list(popular.users) == sorted(counts, reverse=True)[:3]
    assert popular.share[0] == counts.max() / 80


def test_one_history_scores_as_all_do_and_its_reasons_are_differences(fitted: engram.Recommender) -> None:
    kind = fitted.kind_
    history = np.array([1, 5, 13])
    row = np.zeros((1, N_ITEMS))
    row[0, history] = 1
    with fitted.fitted() as nets:
        for linear in (fitted._linear, None):
            one = OneHistory(nets.ranker, linear, history)
            whole = fitted.combined(nets, sparse.csr_array(row.astype(np.float32))) if linear is not None else None
            if whole is not None:
                np.testing.assert_allclose(one.scores, whole[0], atol=1e-4)
        alone = OneHistory(nets.ranker, None, history)
        without = OneHistory(nets.ranker, None, history[1:])
        gap = (alone.scores - alone.scores.mean()) - (without.scores - without.scores.mean())
        assert float(nets.ranker.decoder.bias.std()) > 0  # what is the same for everybody is in both, and in no reason
        told = alone.contributions(np.arange(N_ITEMS))[:, 0] * alone.scores.std()
        np.testing.assert_allclose(told, gap, atol=1e-4)
        nothing = LinearItems(sparse.csr_array((N_ITEMS, N_ITEMS), dtype=np.float32), 0.25, 1.0, 2.0)
        blend = OneHistory(nets.ranker, nothing, history)
        share = np.exp((alone.scores - alone.scores.max()) / 2)
        told = blend.contributions(np.arange(N_ITEMS))[:, 0] * share.std() / 0.25
        np.testing.assert_allclose(told, share - share * np.exp(-gap / 2), atol=1e-4)
    assert kind.number("i05") == 5


def test_a_row_is_scored_the_same_whatever_stands_beside_it(fitted: engram.Recommender) -> None:
    X = fitted.kind_.opened(events())
    whole = fitted.predict_scores(X)
    assert whole.shape == (80, N_ITEMS)
    assert np.isfinite(whole).all()
    for rows in (slice(3, 4), slice(10, 31), slice(0, 0)):
        assert np.array_equal(fitted.predict_scores(X[rows]), whole[rows])


def test_weights_are_predicted_in_the_users_units(fitted: engram.Recommender) -> None:
    told = fitted.predict_weights(events())
    assert told.shape == (80, N_ITEMS)
    assert np.corrcoef(told.mean(0), np.arange(N_ITEMS))[0, 1] > 0.9
    with pytest.raises(UsageError, match="are binary"):
        engram.Recommender(weights="binary", model="dae", **QUICK).fit(events(20)).predict_weights(events(3))


def test_similar_items_are_of_the_same_sort(fitted: engram.Recommender) -> None:
    found = fitted.similar_items("i03", 5)
    assert (found.item.str[1:].astype(int) < 12).mean() >= 0.8
    assert "i03" not in set(found.item)
    assert found.similarity.between(-1, 1).all()
    with pytest.raises(UsageError, match="i03"):
        fitted.similar_items("i3")


def test_histories_that_cannot_be_are_refused(fitted: engram.Recommender) -> None:
    with pytest.raises(UsageError, match="none of the 2 items"):
        fitted.recommend(["x", "y"])
    with pytest.raises(UsageError, match="not the text"):
        fitted.recommend("i01")
    with pytest.raises(DataError, match="from 0 on"):
        fitted.recommend({"i01": -1.0})
    with pytest.raises(UsageError, match="n"):
        fitted.recommend(["i01"], 0)


def test_all_users_get_a_list(fitted: engram.Recommender) -> None:
    found = fitted.recommendations(events(5), 3, reasons=True)
    assert list(found.columns) == ["user", "rank", "item", "score", "because"]
    assert list(found.user.unique()) == [f"u{i}" for i in range(5)]
    own = events(5).groupby("user").item.agg(set)
    assert not any(row.item in own[row.user] for row in found.itertuples())
    one = fitted.recommend(sorted(own["u2"]), 3)
    assert list(found[found.user == "u2"].item) == list(one.item)


@pytest.mark.parametrize(
    "raw",
    [
        np.array([[1.0]]),
        np.array([[1.0, 0, 0], [0, 0, 0]]),
        sparse.csr_array(np.eye(12)),
        made(user=[1, 1], item=["only", "only"], plays=[2, 3]),
    ],
    ids=["one cell", "an empty row", "one item each", "one item twice"],
)
def test_odd_histories_are_learned_from(raw: Any) -> None:
    model = engram.Recommender(**QUICK).fit(raw)
    scores = model.predict_scores(raw)
    assert np.isfinite(scores).all()
    assert len(model.recommend([])) >= 1


def test_a_second_fit_is_as_long_as_the_first() -> None:
    model = engram.Recommender(random_state=0, code_size=4)
    first = model.fit(events(20)).settings_
    assert model.fit(events(20)).settings_ == first


@pytest.mark.parametrize("held_out", [True, False])
def test_all_users_are_counted_once_and_learned_ones_are_no_judges(
    held_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engram.data.rows, "CHECKED_ROWS", (4, 4))  # as if there were many
    model = engram.Recommender(**QUICK | {"max_epochs": 1}, early_stopping=held_out).fit(events())
    counts = model.popular(N_ITEMS).set_index("item")["share"] * 80
    assert np.allclose(counts, events()["item"].value_counts()[counts.index])
    told = [finding.message for finding in model.findings_ if finding.kind == "blend"]
    assert ("no users were held out" in told[0]) is not held_out


def test_too_many_items_leave_the_linear_part_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommendation, "MOST_ITEMS", 10)
    model = engram.Recommender(**QUICK).fit(events(40))
    assert any(f.kind == "no-linear-part" and "24 items, more than 10" in f.message for f in model.findings_)
    assert len(model.recommend(["i01"], 4)) == 4


def test_what_sparsity_costs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_items, "KEPT", 2)
    model = engram.Recommender(**{**QUICK, "max_epochs": 1}).fit(events())
    assert any(" weights an item, for speed, " in f.message for f in model.findings_ if f.kind == "blend")
    assert model._linear is not None
    assert np.diff(model._linear.weights.tocsc().indptr).max() <= 2


@pytest.mark.parametrize("name", ["dae", "vae"])
def test_autoencoders_alone_can_be_asked_for(name: Any) -> None:
    model = engram.Recommender(model=name, **QUICK).fit(events(40))
    assert model._linear is None
    assert list(model.subjects()) == ["Recommender"]


def test_networks_of_ones_own_are_refused() -> None:
    with pytest.raises(UsageError, match="builds its networks itself"):
        engram.Recommender(hidden=(8,), **QUICK).fit(events(20))
    assert clone(engram.Recommender(**QUICK)).get_params()["code_size"] == 16


def test_a_refresh_moves_what_is_recommended() -> None:
    model = engram.Recommender(**QUICK).fit(events(40))
    before = {name: t.clone() for name, t in model.network_.state_dict().items()}
    model.partial_fit(events(30, seed=1))
    assert model.data_["rows"] == 70
    assert int(model._counts.sum()) == 70 * 6
    assert any(not torch.equal(before[name], t) for name, t in model.network_.state_dict().items())
    assert engram.Recommender(**QUICK).partial_fit(events(20)).data_["rows"] == 20
    with pytest.warns(DataWarning, match="not in the fit"):
        model.partial_fit(pd.concat([events(12), made(user=["n"], item=["new"], hours=[1.0], time=[1])]))


# --- run folders, reports, the command line ---


def test_a_run_folder_gives_the_same_scores_and_holds_no_user(fitted: engram.Recommender, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert np.array_equal(again.predict_scores(events()), fitted.predict_scores(events()))
    pd.testing.assert_frame_equal(again.recommend(["i01"]), fitted.recommend(["i01"]))
    text = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file())
    assert b"u17" not in text
    assert all(80 not in tensor.shape for tensor in read_tensors(tmp_path / "run").values())


def test_a_report_stands_beside_simple_methods_with_its_protocol(fitted: engram.Recommender) -> None:
    report = engram.evaluate(fitted, events(30, seed=3), train=events())
    assert set(report.subjects()) >= {"Recommender", "popularity", "item-knn", "ease", "bias model"}
    assert report.names() == [*MEASURES, "weights-rmse"]
    own, popular = (report.result("ndcg@100", name) for name in ("Recommender", "popularity"))
    assert own is not None
    assert popular is not None
    assert own.value > popular.value
    assert "a fifth of each user's items held back" in report.to_text()
    assert "recall divides by min(k, held back)" in report.to_text()
    assert "over users; of weights-rmse over held-back cells" in report.to_html()
    page = report.to_html()
    assert "Popular items" in page
    assert "because of" in page
    crossed = fitted.evaluate(events(30, seed=3), protocol="leave-one-out")
    assert "four fifths of these users" in crossed.to_text()
    assert "the last fifth" in fitted.evaluate(events(30, seed=3), protocol="time").to_text()


def test_a_saved_matrix_is_read_and_what_is_wrong_with_it_is_told(tmp_path: Path) -> None:
    matrix = sparse.csr_array(np.array([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]]))
    sparse.save_npz(tmp_path / "good.npz", matrix)
    assert Interactions().read(tmp_path / "good.npz").rows.matrix.toarray().tolist() == matrix.toarray().tolist()
    sparse.save_npz(tmp_path / "bad.npz", -matrix)
    with pytest.raises(DataError, match="negative or no number, the first in row 0, column 0"):
        Interactions().read(tmp_path / "bad.npz")
    whole = (tmp_path / "good.npz").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"PK\x03\x04", b"no archive"):
        (tmp_path / "damaged.npz").write_bytes(damaged)
        for kind in (Interactions(), Counts()):
            with pytest.raises(DataError, match="damaged"):
                kind.read(tmp_path / "damaged.npz")


def test_unknown_items_of_a_history_are_counted_and_what_is_no_history_is_told(fitted: engram.Recommender) -> None:
    with pytest.warns(DataWarning, match=r"not in the fit were left out \(2 items\)"):
        found = fitted.recommend(["i01", "new", "newer"], 3)
    pd.testing.assert_frame_equal(found, fitted.recommend(["i01"], 3))
    matrix = sparse.csr_array(np.ones((1, N_ITEMS)))
    many: list[Any] = [matrix, sparse.coo_matrix(matrix), np.ones((2, 3)), events(), [["i01"], ["i02"]], np.array(1)]
    for history in many:
        with pytest.raises(UsageError, match=r"a history is a list of items.*not an? .*recommendations\(X\)"):
            fitted.recommend(history)
    for history in (None, 7):
        with pytest.raises(UsageError, match="a history is a list of items"):
            fitted.recommend(history)
    for same in (("i01",), {"i01"}, np.array(["i01"]), pd.Series(["i01"]), iter(["i01"])):
        pd.testing.assert_frame_equal(fitted.recommend(same, 3), fitted.recommend(["i01"], 3))


def test_users_of_the_fit_are_noticed_and_users_of_one_item_cannot_be_judged(fitted: engram.Recommender) -> None:
    assert any(f.kind == "training-rows" for f in fitted.evaluate(events(), train=events()).findings)
    with pytest.raises(DataError, match="no user has two items"):
        fitted.evaluate(made(user=["a", "b"], item=["i01", "i02"], hours=[1.0, 2.0]))


def test_a_fit_to_users_of_one_item_says_what_was_taken_for_users_and_that_it_cannot_be_judged(tmp_path: Path) -> None:
    source = tmp_path / "odd.csv"
    pd.DataFrame({"body": [f"b{i}" for i in range(30)], "sort": ["x", "y", "z"] * 10}).to_csv(source, index=False)
    told = command("fit", "recommendation", source, "-o", tmp_path / "run", "--max-epochs", "2").stdout
    assert "not computed: no user has two items" in told
    assert "whose user is the column 'body', by its place alone" in told


def test_the_command_line_fits_applies_evaluates_and_inspects(tmp_path: Path) -> None:
    source, run, lists = tmp_path / "events.csv", tmp_path / "run", tmp_path / "lists.csv"
    events().rename(columns={"user": "player", "item": "title"}).to_csv(source, index=False)
    roles = ("--column", "player=user", "--column", "title=item")
    command("fit", "recommendation", source, "-o", run, *roles, "--max-epochs", "2", "--code-size", "8")
    command("apply", run, source, "-o", lists, "--get", "recommendations")
    found = pd.read_csv(lists)
    assert list(found.columns) == ["user", "rank", "item", "score", "because"]
    assert found.user.nunique() == 80
    assert "ease" in command("evaluate", run, source).stdout
    assert "recommendation" in command("inspect", run).stdout
    command("fit", "recommendation", source, "--dry-run", *roles)
    command("fit", "recommendation", source, "--dry-run", "--column", "player=use", code=2)


def test_what_is_told_of_a_recommender_is_in_words_and_short(fitted: engram.Recommender) -> None:
    told = next(f.message for f in fitted.findings_ if f.kind == "blend")
    assert "how well lists find what was hidden of held-out users" in told
    assert "kept weights" not in told
    with pytest.raises(UsageError, match=r"Known are: i00, i01, [^.]* more\.") as error:
        fitted.recommend(["zz zz zz zz"], 3)
    assert str(error.value).count("i") < 20
