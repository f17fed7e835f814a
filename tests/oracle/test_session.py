"""Threads and signals of the process: several fits and transforms at once leave them as they were."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from engram.evaluation import features
from engram.training.interrupts import caught
from engram.training.session import threads


@pytest.fixture
def four() -> Iterator[None]:
    """A process that computes on four threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def apart(function: Callable[[], Any]) -> Any:
    """Call a function in a Python thread of its own, to which torch gives the number that is new threads' at that moment."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("counts", [(1, 1), (1, 2), (2, 1), (4, 1), (1, 4), (3, 4)])
@pytest.mark.parametrize("first_in_first_out", [True, False])
def test_python_threads_that_overlap_leave_the_number_of_threads_as_it_was(
    counts: tuple[int, int], first_in_first_out: bool
) -> None:
    began, over, ended = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def other() -> None:
        with threads(counts[1]):
            seen.append(torch.get_num_threads())
            began.set()
            assert over.wait(10)
        seen.append(torch.get_num_threads())
        ended.set()

    thread = threading.Thread(target=other)
    with threads(counts[0]):
        thread.start()
        assert began.wait(10)
        assert torch.get_num_threads() == counts[0]
        if not first_in_first_out:
            over.set()
            assert ended.wait(10)
    over.set()
    thread.join()
    assert seen == [counts[1], 4]
    assert (torch.get_num_threads(), apart(torch.get_num_threads)) == (4, 4)


@pytest.mark.usefixtures("four")
def test_a_number_within_another_gives_way_to_it_also_on_an_error() -> None:
    with threads(2):
        with pytest.raises(KeyError), threads(1):
            raise KeyError
        assert torch.get_num_threads() == 2
        with threads(3):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 4


def test_what_several_threads_ask_for_is_learned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[int] = []
    both = threading.Barrier(2, timeout=0.2)

    def learn(x: torch.Tensor, *, random_state: int) -> object:
        learned.append(random_state)
        with pytest.raises(threading.BrokenBarrierError):  # nobody else learns meanwhile
            both.wait()
        return object()

    monkeypatch.setattr(features, "CodeFeatures", learn)
    monkeypatch.setattr(features, "_MAKERS", type(features._MAKERS)())
    x = torch.zeros(3, 1, 2, 2)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: features.features_for("codes", x), range(2)))
    assert learned == [0]
    assert found[0] is found[1]


def test_a_signal_whose_handler_is_not_from_python_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: None}
    before = dict(handlers)

    def put(number: int, handler: Any) -> Any:
        if handler is None:
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        old, handlers[number] = handlers[number], handler
        return old

    monkeypatch.setattr(signal, "signal", put)
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    with caught() as flag:
        assert handlers == {signal.SIGINT: flag, signal.SIGTERM: None}
    assert handlers == before
