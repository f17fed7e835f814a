"""Parameters: help from the docstring, values by the declared type, texts as people type them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.errors import UsageError
from engram.parameters import changed, check_names, checked, checked_value, from_text, parameters_of, plain, to_json


@dataclass(eq=False, repr=False, kw_only=True)
class Parent:
    """A parent.

    Parameters
    ----------
    code_size : int or "auto"
        How many numbers
        a code has.

        A second paragraph, for those who read on.
    left, right : float
        Two in one entry.

    Notes
    -----
    hidden : is not described here
    """

    code_size: int | Literal["auto"] = "auto"
    left: float = 0.5
    right: float = 0.5


@dataclass(eq=False, repr=False, kw_only=True)
class Child(Parent):
    """A child.

    Parameters
    ----------
    hidden : tuple of int or "auto"
        Widths.
    left : float
        The left one, said anew.
    """

    hidden: tuple[int, ...] | Literal["auto"] = "auto"
    level: float | tuple[float, float] = 0.2
    sparsity: Literal["l1", "topk"] | None = None
    flag: bool | Literal["auto"] = "auto"
    device: str = "auto"
    columns: dict[str, str] | None = None
    network: object = None


def test_help_comes_from_the_first_paragraph_of_the_nearest_docstring() -> None:
    found = {name: p.help for name, p in parameters_of(Child).items()}
    assert found["code_size"] == "How many numbers a code has."
    assert found["left"] == "The left one, said anew."
    assert found["right"] == "Two in one entry."
    assert found["hidden"] == "Widths."
    assert found["device"] == ""


def test_parameters_keep_the_order_of_the_constructor_their_defaults_and_flags() -> None:
    found = parameters_of(Child)
    assert list(found)[:4] == ["code_size", "left", "right", "hidden"]
    assert found["code_size"].flag == "--code-size"
    assert found["level"].default == 0.2


def test_only_what_a_text_can_stand_for_is_simple() -> None:
    assert [name for name, p in parameters_of(Child).items() if not p.is_simple] == ["network"]


TEXTS = [
    ("code_size", "3", 3), ("code_size", "auto", "auto"),
    ("hidden", "64,32", (64, 32)), ("hidden", "64, 32", (64, 32)), ("hidden", "(64, 32)", (64, 32)),
    ("hidden", "64,", (64,)), ("hidden", "(64,)", (64,)), ("hidden", "[64, 32]", (64, 32)),
    ("hidden", "()", ()), ("hidden", "[]", ()), ("hidden", "auto", "auto"),
    ("left", ".5", 0.5), ("left", "-.5", -0.5), ("left", "1e-3", 0.001), ("left", "2", 2.0), ("left", "5.", 5.0),
    ("level", "0.3", 0.3), ("level", ".1,.5", (0.1, 0.5)), ("level", "0.1,1e-1", (0.1, 0.1)),
    ("sparsity", "l1", "l1"), ("sparsity", "none", None), ("sparsity", "None", None), ("sparsity", "null", None),
    ("flag", "true", True), ("flag", "False", False), ("flag", "auto", "auto"),
    ("device", "cuda:0", "cuda:0"), ("device", "e", "e"), ("device", "-", "-"), ("device", "1,a", "1,a"),
    ("columns", '{"zip": "category"}', {"zip": "category"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), TEXTS)
def test_a_text_is_read_as_the_declared_type_has_it(name: str, text: str, value: Any) -> None:
    found = from_text(Child, name, text)
    assert found == value
    assert type(found) is type(value)


WRONG = [("code_size", "many"), ("code_size", "2.5"), ("hidden", "64,wide"), ("level", "0.1,0.2,0.3"),
         ("sparsity", "l7"), ("flag", "perhaps"), ("left", "none"), ("left", "1e"), ("columns", "zip")]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_text_is_a_usage_error_that_names_the_parameter_and_the_value(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}=.* is not valid for Child") as caught:
        from_text(Child, name, text)
    shown = str(caught.value).lower().replace(", ", ",")
    assert text in shown


@given(st.text(max_size=12))
def test_any_text_gives_a_value_or_a_usage_error(text: str) -> None:
    for name in parameters_of(Child):
        try:
            from_text(Child, name, text)
        except UsageError as error:
            assert name in str(error)  # noqa: PT017


@given(st.lists(st.integers(-5, 999), max_size=4).map(tuple))
def test_tuples_survive_json_and_the_command_line(value: tuple[int, ...]) -> None:
    stored = json.loads(json.dumps(to_json({"hidden": value})))
    assert checked(Child, "hidden", stored["hidden"]) == value
    assert from_text(Child, "hidden", str(value)) == value


@pytest.mark.parametrize("value", [np.int64(3), np.float32(3.0), np.array(3)])
def test_numpy_scalars_become_pythons_own(value: Any) -> None:
    assert type(checked(Child, "code_size", value)) is int
    assert type(to_json({"n": value})["n"]) is type(value.item())
    assert plain([1]) == [1]


def test_an_unknown_parameter_is_answered_with_the_nearest() -> None:
    check_names(Child, ["hidden", "level"])
    with pytest.raises(UsageError, match=r"Child has no parameter 'code_sise'\. Did you mean 'code_size'"):
        check_names(Child, ["code_sise"])


def test_a_value_is_checked_without_being_changed() -> None:
    given_by_caller = {"zip": "category"}
    checked(Child, "columns", given_by_caller)
    assert given_by_caller == {"zip": "category"}


def test_an_argument_of_a_method_is_checked_in_the_same_way() -> None:
    assert checked_value("n", np.int64(3), int) == 3
    with pytest.raises(UsageError, match=r"^n='many' is not valid: "):
        checked_value("n", "many", int)


def test_changed_parameters_are_those_that_are_not_the_defaults_as_python_and_json_have_them() -> None:
    values = asdict(Child(hidden=(64, 32), left=4))
    assert changed(Child, values) == {"hidden": (64, 32), "left": 4}
    assert changed(Child, to_json(values)) == {"hidden": [64, 32], "left": 4}
    assert changed(Child, values, {"left": 4.0, "hidden": [64, 32]}) == {}
    assert changed(Parent, {"left": True, "right": np.float64(0.5), "other": None}) == {"left": True, "other": None}
