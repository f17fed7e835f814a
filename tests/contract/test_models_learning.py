"""What a model does in one step: its turn's roles move, nothing else does, and the log shows the terms as they were summed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import engram
from engram.data.rows import Rows
from engram.errors import DivergedError, UsageError
from engram.training import Batches, Settings, Turn, train
from engram.training.averaging import averaged
from engram.training.nets import Nets
from engram.training.optimiser import Adam
from engram.training.session import seeded
from engram.training.settings import rate


@dataclass
class OneTurn:
    """A player that takes only one of a model's turns."""

    model: Any
    turn: Turn

    def turns(self, step: int) -> list[Turn]:
        return [self.turn]

    def terms(self, turn: Turn, nets: Nets, batch: Any) -> dict[str, torch.Tensor]:
        return self.model.terms(turn, nets, batch)

    def after_step(self, turn: Turn, nets: Nets, batch: Any) -> None:
        self.model.after_step(turn, nets, batch)


def begun(model: Any, rows: Rows) -> Nets:
    """Fresh networks of a fitted model as they were before its first step."""
    nets = Nets(model.roles(dataclasses.replace(model.shapes_, likelihood=model.kind_.likelihood())))
    model.start(nets, rows)
    return nets


def encoded(model: Any, X: Any) -> Rows:
    return model.kind_.encode(model.kind_.conform(model.kind_.opened(X)))


def taken(case: Any, steps: int, **parameters: Any) -> Iterator[tuple[Turn, Nets, dict[str, torch.Tensor]]]:
    """Each turn of a model alone, some steps of it: the turn, the networks after and the state before."""
    model = case.create(**parameters).fit(case.X)
    rows = encoded(model, case.X)
    for turn in model.turns(0):
        with seeded(0):
            nets = begun(model, rows)
            before = {name: value.clone() for name, value in nets.state_dict().items()}
            settings = Settings(batch_size=len(rows), max_epochs=steps, learning_rate=1e-3, schedule="constant")
            train(OneTurn(model, turn), nets, rows, None, settings)
        yield turn, nets, before


def moved(nets: Nets, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in nets.state_dict().items() if not torch.equal(value, before[name])}


def check_movement(turn: Turn, nets: Nets, before: dict[str, torch.Tensor]) -> None:
    parameters = ((name, weight) for name, weight in nets.named_parameters() if weight.requires_grad)
    learners = {name for name, _ in parameters if name.partition(".")[0] in turn.roles}
    changed = moved(nets, before)
    assert learners <= changed, f"turn {turn.name!r} leaves {sorted(learners - changed)} as they were"
    others = {name for name in before if name.partition(".")[0] not in turn.roles}
    assert not others & changed, f"turn {turn.name!r} moves {sorted(others & changed)} of other roles"


def hides(before: dict[str, torch.Tensor], turn: Turn) -> bool:
    """Whether a layer of the turn's roles begins at zero, so that the first step cannot reach what lies before it."""
    kernels = (w for name, w in before.items() if w.dim() > 1 and name.partition(".")[0] in turn.roles)
    return any(not w.any() for w in kernels)


def test_one_step_moves_all_of_the_turns_roles_and_nothing_else(case: Any) -> None:
    for turn, nets, before in taken(case, 1, hidden=(6, 5)):
        if not hides(before, turn):
            check_movement(turn, nets, before)


def test_three_steps_from_the_automatic_start_move_everything(case: Any) -> None:
    """A head that starts at zero hides the layers before it for one step."""
    for turn, nets, before in taken(case, 3):
        check_movement(turn, nets, before)


def test_the_log_holds_the_terms_whose_sum_was_minimised(case: Any) -> None:
    """One step on all rows, computed once more by hand: same networks, same order, same noise; the turns before are taken too."""
    X = case.X
    model = case.create(hidden=(6,), batch_size=len(X), max_epochs=1, early_stopping=False).fit(X)
    rows = encoded(model, X)
    with seeded(0):
        nets, terms = begun(model, rows).train(), {}
        batch = next(Batches(rows, len(X), 0).epoch(0))
        batch.progress = 0.0
        for turn in model.turns(0):
            others = [b for role, net in nets.items() if role not in turn.roles for b in net.buffers()]
            before = [buffer.clone() for buffer in others]
            found = model.terms(turn, nets, batch)
            learners = [p for role in turn.roles for p in nets[role].parameters() if p.requires_grad]
            optimiser = Adam(learners, model.settings_.learning_rate, turn.betas)
            averaged(found, None).backward(inputs=optimiser.parameters)
            optimiser.step(rate(model.settings_.schedule, 0.0))
            model.after_step(turn, nets, batch)
            for buffer, value in zip(others, before, strict=True):
                buffer.copy_(value)
            terms |= {name: value.detach() for name, value in found.items()}
        first = model.terms(model.turns(0)[0], nets, batch)
    (report,) = model.history_.reports
    assert report["terms"].keys() == terms.keys()
    for name, value in terms.items():
        # Adam's first step turns rounding of a gradient near zero into a whole step
        near = 1e-6 if name in first else 1e-4
        assert report["terms"][name] == pytest.approx(float(averaged({name: value}, None)), rel=near, abs=near)
    assert model.loss_curve_ == [
        pytest.approx(float(averaged(terms, None)), rel=1e-6 if len(first) == len(terms) else 1e-4)
    ]


def test_terms_are_sums_over_columns_and_one_value_per_row_or_one_in_all(case: Any) -> None:
    model = case.fitted
    batch = next(Batches(encoded(model, case.X), 20, 0).epoch(0))
    with seeded(0):
        for turn in model.turns(0):
            for name, value in model.terms(turn, model.network_, batch).items():
                assert value.shape in ((len(batch),), ()), name


def test_training_makes_the_terms_smaller(case: Any) -> None:
    """Of games no term need become smaller; what they generate is looked at elsewhere."""
    if not case.cls.watches:
        return
    model = case.create(hidden=(6,), max_epochs=20, batch_size=16, early_stopping=False).fit(case.X)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_the_callers_own_networks_are_copied_not_trained(each_class: Any) -> None:
    if not each_class.cls.own_networks:
        pytest.skip("this model builds its networks itself")
    own = torch.nn.Linear(5, 4)
    before = own.weight.clone()
    model = each_class.create(encoder=own, early_stopping=False).fit(each_class.X)
    assert torch.equal(own.weight, before)
    assert not torch.equal(next(model.network_.encoder.parameters()), before)


def test_a_second_fit_begins_anew_and_a_warm_start_goes_on(each_model: Any) -> None:
    first, again, warm = (each_model.create(max_epochs=1, hidden=(6,), warm_start=w) for w in (False, False, True))
    states = []
    for model, times in ((first, 1), (again, 2), (warm, 2)):
        for _ in range(times):
            model.fit(each_model.X)
        states.append(torch.cat([p.detach().flatten() for p in model.network_.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("warm", [False, True])
def test_a_fit_that_fails_leaves_the_last_one(each_class: Any, warm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = each_class.create(max_epochs=1, warm_start=warm).fit(each_class.X)
    drawn = model.sample(3, random_state=0)
    before, weights = dict(vars(model)), {name: value.clone() for name, value in model.network_.state_dict().items()}
    terms = type(model).terms

    def spoiled(*given: Any) -> dict[str, torch.Tensor]:
        return {name: value * torch.nan for name, value in terms(*given).items()}

    monkeypatch.setattr(type(model), "terms", spoiled)
    with pytest.raises(DivergedError):
        model.fit(each_class.X[:40])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert all(torch.equal(value, weights[name]) for name, value in model.network_.state_dict().items())
    monkeypatch.undo()
    assert np.array_equal(model.sample(3, random_state=0), drawn)
    assert not vars(each_class.create()).keys() - set(model.get_params())


# --- parameters that change after a fit ---


def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(100, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(100, 6))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("autoencoder", {"sparsity": "topk"}),
        ("autoencoder", {"tied": True}),
        ("autoencoder", {"dropout": 0.5}),
        ("autoencoder", {"hidden": (7,), "code_size": 3}),
        ("autoencoder", {"likelihood": "laplace"}),
        ("autoencoder", {"conditional": True}),
        ("vae", {"prior": "vamp"}),
        ("vq-vae", {"n_codes": 8}),
        ("gan", {"pack": 2}),
        ("anomaly", {"n_models": 2}),
    ],
)
def test_a_fit_that_goes_on_refuses_parameters_of_other_networks(name: str, changed: dict[str, Any]) -> None:
    model = engram.create(name, warm_start=True, max_epochs=1, random_state=0).fit(rows())
    before = {key: value.clone() for key, value in model.network_.state_dict().items()}
    model.set_params(**changed)
    y = np.arange(100) % 2 if "conditional" in changed else None
    with pytest.raises(UsageError, match=r"fitted with.*warm_start=False") as told:
        model.fit(rows(), y)
    assert all(f"{key}=" in str(told.value) for key in changed)
    assert all(before[key].equal(value) for key, value in model.network_.state_dict().items())
    assert model.set_params(warm_start=False).fit(rows(), y).network_ is not None


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("autoencoder", {"corruption": "masking", "corruption_level": 0.1, "learning_rate": 1e-3, "ema": 0.1}),
        ("autoencoder", {"batch_size": 8, "max_time": "5s", "tol": 0.1, "early_stopping": False, "random_state": 3}),
        ("vae", {"beta": 2.0, "importance": 2, "penalty": "tc"}),
        ("gan", {"max_epochs": 2, "loss": "hinge"}),
        ("anomaly", {"alert_rate": 0.2, "max_epochs": 2}),
    ],
)
def test_a_fit_that_goes_on_takes_other_parameters_of_the_training(
    name: str, changed: dict[str, Any], tmp_path: Path
) -> None:
    first = {} if "max_epochs" in changed else {"max_epochs": 1}
    given = {"max_time": 1, "random_state": 0} | first
    model = engram.create(name, warm_start=True, **given).fit(rows())
    model.save(tmp_path / "first")
    for one in (model, engram.load(tmp_path / "first")):  # one that was loaded goes on as well
        one.set_params(**changed).fit(rows())
        one.save(tmp_path / "second", force=True)
        again = engram.load(tmp_path / "second")
        assert {key: getattr(again, key) for key in changed} == changed
        assert all(value.equal(again.network_.state_dict()[key]) for key, value in one.network_.state_dict().items())
        if hasattr(one, "sample"):
            assert np.array_equal(again.sample(3, random_state=0), one.sample(3, random_state=0))


def test_a_bound_of_several_draws_is_refused_also_when_a_fit_goes_on() -> None:
    model = engram.VAE(warm_start=True, max_epochs=1, free_bits=0.1, random_state=0).fit(rows())
    with pytest.raises(UsageError, match="importance=2"):
        model.set_params(importance=2).fit(rows())


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("vae", {"dropout": 0.3}),
        ("vae", {"prior": "mixture", "hidden": (3,)}),
        ("autoencoder", {"conditional": True, "sparsity": "topk"}),
        ("gan", {"max_epochs": "auto"}),
        ("anomaly", {"n_models": 2, "clean": True}),
    ],
)
def test_saved_are_the_parameters_of_the_fit(name: str, changed: dict[str, Any], tmp_path: Path) -> None:
    model = engram.create(name, max_epochs=1, random_state=0).fit(rows())
    fitted = {key: getattr(model, key) for key in changed}
    model.set_params(**changed, verbose=1).save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert {key: getattr(again, key) for key in changed} == fitted
    assert again.verbose == 1
    assert all(value.equal(again.network_.state_dict()[key]) for key, value in model.network_.state_dict().items())
    assert f"{next(iter(changed))}={next(iter(changed.values()))!r}" not in (tmp_path / "run" / "README.md").read_text()
    again.save(tmp_path / "twice")
    assert engram.load(tmp_path / "twice").get_params() == again.get_params()


def test_the_rate_of_alerts_is_saved_as_it_is_now(tmp_path: Path) -> None:
    model = engram.AnomalyDetector(max_epochs=1, random_state=0).fit(rows()).set_params(alert_rate=0.3)
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert again.alert_rate == 0.3
    assert np.array_equal(again.predict(rows()), model.predict(rows()))
    with pytest.raises(UsageError, match="alert_rate"):
        model.set_params(alert_rate=7).save(tmp_path / "other")
