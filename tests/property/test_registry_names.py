"""Registries: found by file, closed, helpful about names; errors: each with its exit code."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram import errors
from engram.errors import UsageError, nearest
from engram.registry import Registry

ALPHA = '''
from shelf import THINGS

@THINGS.register("alpha-sparse", "A variant.", sparsity="l1")
@THINGS.register("alpha")
class Alpha:
    """The first thing.

    More of it.
    """
'''
BETA = 'from shelf import THINGS\n\n@THINGS.register("beta", "The second thing.")\ndef beta():\n    pass\n'


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    (tmp_path / "things").mkdir()
    (tmp_path / "shelf.py").write_text('from engram.registry import Registry\nTHINGS = Registry("thing", "things")\n')
    for name, text in (("__init__", ""), ("alpha", ALPHA), ("beta", BETA)):
        (tmp_path / "things" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("shelf", "things", "things.alpha", "things.beta"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import shelf

    return shelf.THINGS


def test_a_file_in_the_package_is_found_without_being_named(things: Registry[object]) -> None:
    assert things.names() == ["alpha", "alpha-sparse", "beta"]
    assert things["alpha"].summary == "The first thing."
    assert things["alpha-sparse"].parameters == {"sparsity": "l1"}
    assert things["beta"].summary == "The second thing."


def test_a_class_is_saved_under_its_plain_name(things: Registry[object]) -> None:
    assert things.name_of(things["alpha-sparse"].value) == "alpha"
    with pytest.raises(
        UsageError, match=r"^int is not a registered thing.*@engram\.registry\.THINGS\.register\('int'\)"
    ):
        things.name_of(int)


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all(things: Registry[object]) -> None:
    assert "alpa" not in things
    with pytest.raises(UsageError, match=r"unknown thing 'alpa'\. Did you mean 'alpha'"):
        things["alpa"]
    with pytest.raises(UsageError, match=r"Known are: alpha, alpha-sparse, beta\."):
        things["xyz"]


def test_a_name_cannot_be_taken_twice_but_its_file_can_be_imported_again(things: Registry[object]) -> None:
    assert "alpha" in things
    twin = type("Alpha", (), {"__module__": "things.alpha", "__qualname__": "Alpha"})
    assert things.register("alpha", "Again.")(twin) is twin
    assert things["alpha"].value is twin
    for other in (type("Alpha", (), {"__module__": "elsewhere"}), int):
        with pytest.raises(UsageError, match=r"'alpha' is taken by .*Alpha.*choose another"):
            things.register("alpha")(other)


def test_a_broken_file_is_an_error_every_time_and_never_half_a_table(things: Registry[object], tmp_path: Path) -> None:
    (tmp_path / "things" / "gamma.py").write_text("raise RuntimeError('broken')\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            things.names()


EXIT_CODES = {
    "EngramError": (1, Exception), "UsageError": (2, ValueError), "DataError": (3, ValueError),
    "DataTypeError": (3, TypeError), "RunError": (4, OSError), "MissingExtraError": (5, ImportError),
    "MemoryLimitError": (6, MemoryError), "DivergedError": (7, ArithmeticError),
    "StoppedError": (130, KeyboardInterrupt),
}  # fmt: skip


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_error_has_its_documented_exit_code_and_is_a_builtin_error_too(name: str) -> None:
    cls, (code, builtin) = getattr(errors, name), EXIT_CODES[name]
    assert cls.exit_code == code
    assert issubclass(cls, builtin)
    assert issubclass(cls, errors.EngramError)
    assert str(cls("what was seen")) == "what was seen"
    assert str(pickle.loads(pickle.dumps(cls("what was seen")))) == "what was seen"


def test_the_table_of_exit_codes_is_complete() -> None:
    found = {n for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.EngramError)}
    assert found == set(EXIT_CODES)
    assert all(name in (errors.__doc__ or "") for name in found)


@given(st.text(max_size=10), st.lists(st.text(max_size=10), max_size=5))
def test_nearest_always_answers_with_a_sentence(name: str, known: list[str]) -> None:
    found = nearest(name, known)
    assert found.startswith(("Did you mean ", "Known are: "))
    assert found[-1] in "?."
