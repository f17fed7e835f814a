"""Dates and times: how they are written, and as numbers: a place on the time line and phases of day, week and year."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, seconds
from engram.data.texts import NEARLY, some

DAY = 86_400.0
PERIODS = {"year": 365.25 * DAY, "week": 7 * DAY, "day": DAY}  # from the longest: a shorter one corrects a longer one
STEPS = (DAY, 3600.0, 60.0, 1.0, 1e-3)  # resolutions in seconds; finer ones are not rounded to
CERTAIN = 0.5  # length of a mean phase below which it says nothing
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0  # years 1 to 9999
NANOSECONDS = 9.2e9  # seconds around 1970 that a date in nanoseconds can hold

LOOKS = re.compile(r"\d{1,4}[-/. ].*\d.*|[A-Za-z]{3,9}\.? \d.*\d{4}.*")
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    "%Y-%m",
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
FORMATS = (*DATES, *(date + between + clock for date in DATES for between in " T" for clock in CLOCKS))
ASKED = "%Y%m%d"  # numbers as well as dates: only where a user says that they are dates
ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")
OFFSET = re.compile(r"(?<=\d)\s?(Z|UTC|[+-]\d\d:?\d\d)$")
# a text of any format that says its offset: one of digits only after a clock, for 31-12-2021 ends like one
HAS_OFFSET = re.compile(r"(\d\s?(Z|UTC|GMT)|[:T]\d\d+([.,]\d+)?(\s?[AP]M)?\s?[+-]\d\d(:?\d\d)?)$", re.IGNORECASE)


@dataclass
class DateForm:
    """How the dates of a column are written and what is known of them.

    Parameters
    ----------
    format : str
        Format of texts; empty where cells are dates already.
    suffix : str
        Offset from UTC that all texts end with, e.g. "Z".
    unpadded : bool
        Whether days and months are written without leading zeros.
    sort : str
        What cells that are Python objects are: "date", "datetime" or "".
    zone : str
        Time zone of the column, in which its days begin; empty for none.
    cycles : list of str
        The phases that are encoded: "year", "week", "day".
    step, at : float
        All times of day are ``at`` plus a multiple of ``step`` seconds (0: no resolution seen).
    months : bool
        Whether all dates are first days of months.
    ambiguous : int
        How many cells could be day/month or month/day.
    """

    format: str = ""
    suffix: str = ""
    unpadded: bool = False
    sort: str = ""
    zone: str = ""
    cycles: list[str] = field(default_factory=list)
    step: float = 0.0
    at: float = 0.0
    months: bool = False
    ambiguous: int = 0

    def wrong(self) -> str:
        """Return what no column can have been found to be, in words; nothing where all is well."""
        known = {
            "format": self.format in ("", ASKED, *FORMATS),
            "suffix": not self.suffix or OFFSET.fullmatch(f"0{self.suffix}", 1) is not None,
            "sort": self.sort in ("", "date", "datetime"),
            "zone": _is_zone(self.zone),
            "cycles": self.cycles == [name for name in PERIODS if name in self.cycles],
            "step": self.step in (0, *STEPS),
            "at": 0 <= self.at <= DAY,
        }
        return next(
            (f"{name} {str(getattr(self, name))[:40]!r} cannot be" for name, fine in known.items() if not fine), ""
        )

    # --- cells to seconds since 1970 ---

    def read(self, series: pd.Series[Any]) -> Array:
        """Return cells as seconds since 1970 in UTC (wall time where there is no zone), NaN where they are no dates."""
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            return seconds(self._universal(series))
        if isinstance(series.dtype, pd.PeriodDtype):
            return seconds(series.dt.to_timestamp())
        cells = series.astype(object).where(series.notna(), None).reset_index(drop=True)
        if not self.format:
            return seconds(self._of_objects(cells))
        texts = cells.map(lambda c: c.strip() if isinstance(c, str) else None if c is None else str(c))
        return seconds(_parsed(_without_offset(texts, self.suffix), self.format))

    def _universal(self, series: pd.Series[Any]) -> pd.Series[Any]:
        """Return dates as those of a zone where the column has one, else as what its own clocks show."""
        if series.dt.tz is None:
            return self._localised(series) if self.zone else series
        if self.zone:
            return series
        if self.sort == "datetime":  # those with several offsets were read as moments
            return pd.Series(series.dt.tz_convert(None))
        own = series.dt.tz_convert(pd.Timestamp(f"2000-01-01 00:00{self.suffix}").tz) if self.suffix else series
        return pd.Series(own.dt.tz_localize(None))

    def _of_objects(self, cells: pd.Series[Any]) -> pd.Series[Any]:
        """Return texts and objects as dates in UTC: those without an offset are wall time of the column's zone, as dates are."""
        if not self.zone:
            return pd.Series(_universal_dates(cells))
        naive = cells.map(_says_no_offset).astype(bool)
        found = _universal_dates(cells.mask(naive, None))
        found.loc[naive] = self._localised(_universal_dates(cells[naive]).dt.tz_localize(None)).dt.tz_convert("UTC")
        return pd.Series(found)

    def _localised(self, wall: pd.Series[Any]) -> pd.Series[Any]:
        """Return what clocks of the zone show as dates; what they showed twice is missing, what they skipped is moved on."""
        return pd.Series(wall.dt.tz_localize(self.zone, ambiguous="NaT", nonexistent="shift_forward"))

    def wall(self, moments: Array) -> Array:
        """Return seconds as clocks on the wall of the column's zone show them."""
        if not self.zone:
            return moments
        inner = np.clip(moments, EARLIEST + 2 * DAY, LATEST - 2 * DAY)  # no zone has a clock for the first and last day
        return np.asarray(seconds(_dates(inner, self.zone).dt.tz_localize(None)) + moments - inner)

    # --- phases ---

    def look_at(self, moments: Array) -> None:
        """Find out resolution and cycles from all the moments that are there."""
        wall = self.wall(moments)
        clock = np.round(np.mod(wall, DAY), 6)
        self.step, self.at = (DAY, float(clock[0])) if np.ptp(clock) == 0 else (0.0, 0.0)
        if not self.step:
            self.step = next((s for s in STEPS[1:] if np.allclose(np.round(clock / s) * s, clock, 0, 1e-6)), 0.0)
        calendar = _dates(wall).dt
        self.months = bool(self.step == DAY and (calendar.day == 1).all() and calendar.month.nunique() > 1)
        span = float(np.ptp(wall))
        phases = self.phases(wall)
        varies = {
            "day": self.step != DAY,
            "week": calendar.day_of_week.nunique() > 1,
            "year": np.ptp(phases["year"]) > 0,
        }
        self.cycles = [name for name in PERIODS if varies[name] and span > PERIODS[name]]

    @staticmethod
    def phases(wall: Array) -> dict[str, Array]:
        """Return the shares of a year, a week and a day that have passed."""
        dates = _dates(wall).dt
        day = np.mod(wall, DAY) / DAY
        length = np.where(dates.is_leap_year, 366, 365)
        year = (dates.day_of_year.to_numpy() - 1 + day) / length
        return {"year": year, "week": (dates.day_of_week.to_numpy() + day) / 7, "day": day}

    def circles(self, moments: Array) -> Array:
        """Return sine and cosine of each phase, (rows, 2 x cycles)."""
        if not self.cycles:
            return np.zeros((len(moments), 0))
        phases = self.phases(self.wall(moments))
        angles = 2 * np.pi * np.column_stack([phases[name] for name in self.cycles])
        return np.stack([np.sin(angles), np.cos(angles)], 2).reshape(len(moments), 2 * len(self.cycles))

    def moments(self, line: Array, circles: Array) -> Array:
        """Return the moments nearest to ``line`` (seconds) that have the phases of ``circles``, in the resolution seen."""
        now = np.clip(line, EARLIEST, LATEST)
        for i, name in enumerate(self.cycles):
            sine, cosine = circles[:, 2 * i], circles[:, 2 * i + 1]
            wanted = np.arctan2(sine, cosine) / (2 * np.pi)
            off = np.mod(wanted - self.phases(self.wall(now))[name] + 0.5, 1) - 0.5
            certain = np.hypot(sine, cosine) > CERTAIN
            now = np.clip(now + np.where(certain, off, 0.0) * PERIODS[name], EARLIEST, LATEST)
        for _ in range(2 if self.zone else 1):  # twice, for a clock that was changed in between
            wall = self.wall(now)
            now = now + self._rounded(wall) - wall
        return np.clip(np.round(now, 3) if self.step else now, EARLIEST, LATEST)  # without the last bits of sums

    def nearest(self, moments: Array) -> Array:
        """Return the nearest moments in the resolution seen, whatever their phases."""
        return replace(self, cycles=[]).moments(moments, np.zeros((len(moments), 0)))

    def _rounded(self, wall: Array) -> Array:
        if self.months:
            middle = _dates(np.round((wall - self.at) / DAY) * DAY + 15 * DAY).to_numpy()
            return np.asarray(middle.astype("datetime64[M]").astype("datetime64[s]").astype(np.float64) + self.at)
        return np.asarray(np.round((wall - self.at) / self.step) * self.step + self.at) if self.step else wall

    # --- seconds to cells ---

    def written(self, moments: Array, dtype: str) -> pd.Series[Any]:
        """Return seconds as cells like those that were read."""
        if not self.format:
            if "[ns" in dtype:
                moments = np.clip(moments, -NANOSECONDS, NANOSECONDS)
            elif "," in dtype:
                moments = np.clip(moments, EARLIEST + 2 * DAY, LATEST - 2 * DAY)
            dates = _dates(moments, "UTC" if "," in dtype else "")  # a comma: with a time zone
            if self.sort == "date":
                return pd.Series(dates.dt.date, dtype=object)
            return dates.astype(object) if self.sort else dates.astype(dtype)  # type: ignore[call-overload]
        texts = _dates(moments).dt.strftime(self.format)
        if self.format.endswith("%f") and self.step >= 1e-3:
            texts = texts.str.slice(stop=-3)  # thousandths, not millionths
        if self.unpadded:
            texts = texts.str.replace(r"\b0(?=\d[/.\- ])", "", regex=True)
        return pd.Series(texts + self.suffix, dtype=object)


def _dates(moments: Array, zone: str = "") -> pd.Series[Any]:
    """Return seconds since 1970 as dates; with a zone, as its dates."""
    counted = np.round(np.clip(moments, EARLIEST, LATEST) * 1e6).astype(np.int64)
    dates = pd.Series(counted.view("datetime64[us]"))
    return dates.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else dates


def _is_zone(zone: str) -> bool:
    try:
        _dates(np.zeros(1), zone)
    except (LookupError, ValueError, TypeError, OSError):  # a name that is unknown, or that is a path
        return False
    return True


def _says_no_offset(cell: Any) -> bool:
    if isinstance(cell, str):
        return HAS_OFFSET.search(cell.strip()) is None
    return isinstance(cell, datetime.date | np.datetime64) and getattr(cell, "tzinfo", None) is None


def _universal_dates(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return texts and objects as dates in UTC, missing where they are none; texts are read in the format of the first, or as ISO."""
    found = pd.to_datetime(cells, errors="coerce", utc=True).astype("datetime64[us, UTC]")
    left = found.isna() & cells.map(lambda cell: isinstance(cell, str)).astype(bool)
    if left.any():
        found.loc[left] = pd.to_datetime(cells[left], format="ISO8601", errors="coerce", utc=True)
    return pd.Series(found)


def _parsed(texts: pd.Series[Any], form: str) -> pd.Series[Any]:
    return pd.to_datetime(texts, format=form, errors="coerce").astype("datetime64[us]")


def iso_dates(cells: pd.Series[Any]) -> Array:
    """Return cells that are dates as ISO 8601 writes them, or dates already, as seconds since 1970 by their own clock, NaN for others."""
    texts = cells.astype(object).where(cells.notna(), "").map(lambda cell: str(cell).strip())
    texts = texts.where(texts.map(lambda text: ISO.fullmatch(text) is not None).astype(bool), None)
    return seconds(_parsed(texts, "ISO8601"))


def _without_offset(texts: pd.Series[Any], suffix: str) -> pd.Series[Any]:
    """Take the offset off the texts; those with another one, or none, are no dates of this column."""
    if not suffix:
        return texts
    return texts.map(lambda t: t.removesuffix(suffix) if isinstance(t, str) and t.endswith(suffix) else None)


def date_form(texts: pd.Series[Any], *, asked: bool) -> DateForm | None:
    """Return how nearly all of these stripped texts are dates, or None; with day and month in doubt, day first."""
    looked_at = some(texts)
    if not asked and sum(bool(LOOKS.fullmatch(t)) for t in looked_at if len(t) < 40) < 0.9 * len(looked_at):
        return None
    ends = [found.group(0) if (found := OFFSET.search(text)) and ":" in text else "" for text in looked_at]
    suffix = max(set(ends), key=ends.count)
    texts = _without_offset(texts, suffix)
    sample = _without_offset(pd.Series(looked_at, dtype=object), suffix).dropna()
    known = [*FORMATS, ASKED] if asked else FORMATS
    possible = [form for form in known if any(_reads(form, text) for text in sample[:5])]
    fits = {form: float(_parsed(sample, form).notna().mean()) for form in possible}
    fits = {form: float(_parsed(texts, form).notna().mean()) for form, share in fits.items() if share >= 2 * NEARLY - 1}
    fits = {form: share for form, share in fits.items() if share >= NEARLY}
    if not fits:
        return None
    best = [form for form, share in fits.items() if share == max(fits.values())]
    form = DateForm(best[0], suffix)
    if len(best) > 1 and not _agree(texts, best):
        form.ambiguous = int(texts.notna().sum())
    form.unpadded = any(bool(re.match(r"\d[/.\- ]|\d+[/.\-]\d[/.\-]", t)) for t in sample)
    return form


def _agree(texts: pd.Series[Any], forms: list[str]) -> bool:
    first = _parsed(texts, forms[0])
    return all(_parsed(texts, form).equals(first) for form in forms[1:])


def _reads(form: str, text: str) -> bool:
    try:
        datetime.datetime.strptime(text, form)
    except ValueError:
        return False
    return True
