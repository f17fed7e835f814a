"""Cells that are written as texts: marks for missing, flags in words, numbers with signs, units and thousands."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array
from engram.errors import DataError

SURE_MARKS = frozenset({"?", "??", "n/a", "#n/a", "n.a.", "nan", "null", "<na>"})  # missing in any column
MARKS = SURE_MARKS | {"", "-", "--", ".", "..", "*", "na", "nil", "none", "unknown", "missing", "not available"}
WORDS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))  # of flags
NEARLY = 0.95  # of the cells that are there must be of one sort for a column to be of it
MOST_PLACES = 9  # decimals beyond which numbers are written with as many digits as they need
LOOKED_AT = 300  # different texts that a sort is guessed from
CURRENCIES = r"US\$|R\$|[$€£¥₹₩₽₺]|USD|EUR|GBP|CHF|JPY|CAD|AUD|INR|CNY|SEK|NOK|DKK|PLN|CZK|kr\.?|zł|Fr\."
POINTS = (("", "."), (",", "."), (".", ","), ("'", "."), ("’", "."), (" ", ","), (" ", "."), ("\u00a0", ","))
CODES = re.compile(r"0\d+|\d{16,}")  # "04051" is a name, and so are numbers that no float holds


@dataclass
class NumberStyle:
    """How the numbers of a column are written.

    Parameters
    ----------
    group, point : str
        Signs between thousands and before decimals.
    prefix, suffix : str
        What stands before and after: a currency, a percent sign, with their space.
    places : int or None
        Most decimals seen; None where numbers are written with exponents.
    fixed : bool
        Whether all numbers have that many decimals.
    grouped : bool
        Whether thousands are parted.
    minus : str
        Where the minus stands: "first", "inside" (after the prefix) or "brackets".
    """

    group: str = ""
    point: str = "."
    prefix: str = ""
    suffix: str = ""
    places: int | None = None
    fixed: bool = False
    grouped: bool = False
    minus: str = "first"

    def wrong(self) -> str:
        """Return what no column can have been found to be, in words; nothing where all is well."""
        known = {
            "point": (self.group, self.point) in POINTS,
            "places": self.places is None or 0 <= self.places <= MOST_PLACES,
            "minus": self.minus in ("first", "inside", "brackets"),
        }
        return next(
            (f"{name} {str(getattr(self, name))[:40]!r} cannot be" for name, fine in known.items() if not fine), ""
        )

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a text of this style looks like."""
        group, point = re.escape(self.group), re.escape(self.point)
        whole = rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+|\d+" if group else r"\d+"
        digits = rf"(?P<whole>(?:{whole})?)(?:{point}(?P<part>\d*))?(?P<power>[eE][+-]?\d+)?"
        before = rf"(?P<open>\()?(?P<first>[+\-−])?(?P<prefix>(?:{CURRENCIES})\s*)?(?P<inside>[+\-−])?"
        return re.compile(rf"{before}(?=\S?\d){digits}(?P<suffix>\s*(?:[%‰]|{CURRENCIES}))?(?P<close>\))?")

    def value(self, text: str) -> float:
        """Return the number that a text stands for, NaN where it is none."""
        found = self.pattern.fullmatch(text)
        if found is None or bool(found["open"]) != bool(found["close"]):
            return np.nan
        whole = found["whole"].replace(self.group, "") if self.group else found["whole"]
        if not whole and not found["part"]:
            return np.nan
        size = float(f"{whole or 0}.{found['part'] or 0}{found['power'] or ''}")
        return -size if found["open"] or (found["first"] or found["inside"] or "+") in "-−" else size

    def written(self, value: float) -> str:
        """Return a number in this style."""
        size = abs(value)
        text = f"{size:.7g}" if self.places is None else f"{size:{',' * self.grouped}.{self.places}f}"
        if not self.fixed and self.places:
            text = text.rstrip("0").rstrip(".")
        negative = value < 0 and text.strip("0.,") != ""
        text = text.translate({ord(","): self.group, ord("."): self.point})
        if negative and self.minus == "brackets":
            return f"({self.prefix}{text}{self.suffix})"
        minus = "-" * negative
        if self.minus == "inside":
            return f"{self.prefix}{minus}{text}{self.suffix}"
        return f"{minus}{self.prefix}{text}{self.suffix}"


def stripped(present: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells as texts without space around them."""
    try:
        return pd.Series([str(cell).strip() for cell in present], present.index, name=present.name, dtype=object)
    except UnicodeDecodeError:
        raise DataError(
            f"column {present.name!r} holds bytes that are no text in UTF-8. Mend the file, or drop the column."
        ) from None


def is_mark(texts: pd.Series[Any], marks: frozenset[str]) -> Array:
    """Return where a stripped text is a mark for missing."""
    return np.array([len(text) < 16 and text.lower() in marks for text in texts], dtype=bool)


def some(texts: pd.Series[Any]) -> list[str]:
    """Return at most `LOOKED_AT` different texts, taken evenly."""
    different = list(dict.fromkeys(texts))
    return different[:: max(1, len(different) // LOOKED_AT)][:LOOKED_AT]


def number_style(texts: pd.Series[Any]) -> NumberStyle | None:
    """Return the style in which nearly all of these stripped texts are numbers, or None."""
    looked_at = some(texts)
    if sum(map(bool, map(CODES.fullmatch, looked_at))) > 0.01 * len(looked_at):
        return None
    styles = [NumberStyle(group, point) for group, point in POINTS]
    fits = [sum(bool(style.pattern.fullmatch(text)) for text in looked_at) for style in styles]
    if max(fits) < (2 * NEARLY - 1) * len(looked_at):  # strays weigh more among different texts than among all
        return None
    style = styles[int(np.argmax(fits))]
    return _completed(style, texts) if np.isfinite(values(texts, style)).mean() >= NEARLY else None


def _completed(style: NumberStyle, texts: pd.Series[Any]) -> NumberStyle:
    """Add what only the texts themselves tell: signs, decimals, whether thousands are parted."""
    found = [m for m in map(style.pattern.fullmatch, dict.fromkeys(texts)) if m]
    style.prefix = Counter(m["prefix"] or "" for m in found).most_common(1)[0][0]
    style.suffix = Counter(m["suffix"] or "" for m in found).most_common(1)[0][0]
    places = {len(m["part"] or "") for m in found}
    style.places = None if any(m["power"] for m in found) or max(places) > MOST_PLACES else max(places)
    style.fixed = len(places) == 1 and style.places is not None
    style.grouped = bool(style.group) and any(style.group in m["whole"] for m in found)
    if any(m["open"] for m in found):
        style.minus = "brackets"
    elif any(m["inside"] and m["prefix"] for m in found):
        style.minus = "inside"
    return style


def values(texts: pd.Series[Any], style: NumberStyle) -> Array:
    """Return the numbers that stripped texts stand for, NaN where they are none."""
    codes, different = pd.factorize(texts)
    numbers = np.array([style.value(text) for text in different], dtype=np.float64)
    return numbers[codes] if len(numbers) else np.zeros(0)


def flag_words(texts: pd.Series[Any]) -> list[str] | None:
    """Return [word for no, word for yes] where these are the only two words, each in one spelling."""
    different = list(dict.fromkeys(texts))[:3]
    by_word = {text.lower(): text for text in different}
    for no, yes in WORDS:
        if len(different) == 2 and by_word.keys() == {no, yes}:
            return [by_word[no], by_word[yes]]
    return None
