"""Names to models, metrics, baselines and applications: closed, and filled by the files of one package each.

A file in ``engram/models`` that calls ``MODELS.register`` is found here without being named anywhere else: the registry
imports the modules of its package when it is first asked. A class is only ever reached through such a name, never
through a dotted path that stands in a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from engram.errors import UsageError, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One row of a registry: a known name, what it stands for and the parameters that make the variant."""

    name: str
    value: T
    summary: str
    parameters: dict[str, Any] = field(default_factory=dict)


def _origin(value: object) -> tuple[object, object]:
    """Where an object was defined: the same again when its file is imported anew, another for another object."""
    return getattr(value, "__module__", None), getattr(value, "__qualname__", None)


class Registry(Generic[T]):
    """A closed table of names for one sort of thing, e.g. ``Registry("model", "engram.models")``."""

    def __init__(self, what: str, package: str) -> None:
        self.what = what
        self._package = package
        self._entries: dict[str, Entry[T]] = {}
        self._discovered = False

    def register(self, name: str, summary: str = "", **parameters: Any) -> Callable[[T], T]:
        """Return a decorator that enters its object under ``name``; ``parameters`` are the differences of a variant."""

        def enter(value: T) -> T:
            known = self._entries.get(name)
            if known is not None and _origin(known.value) != _origin(value):
                raise UsageError(f"the {self.what} name {name!r} is taken by {known.value!r}; choose another")
            text = summary or (value.__doc__ or "").strip().partition("\n")[0]
            self._entries[name] = Entry(name, value, text, parameters)
            return value

        return enter

    def __getitem__(self, name: str) -> Entry[T]:
        self._discover()
        if name not in self._entries:
            raise UsageError(f"unknown {self.what} {name!r}. {nearest(name, self._entries)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __iter__(self) -> Iterator[Entry[T]]:
        self._discover()
        return iter([self._entries[name] for name in sorted(self._entries)])

    def names(self) -> list[str]:
        """All names, sorted."""
        return [entry.name for entry in self]

    def name_of(self, value: T) -> str:
        """Return the plain name of ``value``: the first one registered without parameters."""
        for entry in self:
            if entry.value is value and not entry.parameters:
                return entry.name
        name = getattr(value, "__name__", repr(value))
        decorator = f"@engram.registry.{self.what.upper()}S.register({name.lower()!r})"
        raise UsageError(
            f"{name} is not a registered {self.what}, so a run folder of it could not be loaded again. "
            f"Put {decorator} above its definition, or write no run folder."
        )

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True  # before the imports, so that a module may ask while it is imported
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
        except BaseException:
            self._discovered = False  # half a table would answer "unknown" for what is there
            raise


MODELS: Registry[type] = Registry("model", "engram.models")
METRICS: Registry[Callable[..., float]] = Registry("metric", "engram.metrics")
BASELINES: Registry[type] = Registry("baseline", "engram.evaluation.baselines")
APPS: Registry[type] = Registry("application", "engram.apps")


def fittable() -> list[Entry[type]]:
    """All that can be fitted by a name: models, then applications."""
    return [*MODELS, *APPS]


def fitting(name: str) -> Entry[type]:
    """Return the model or application of this name; raise `UsageError` with the nearest ones."""
    if name in APPS:
        return APPS[name]
    if name in MODELS:
        return MODELS[name]
    raise UsageError(f"unknown model {name!r}. {nearest(name, [entry.name for entry in fittable()])}")


def name_of(cls: type) -> str:
    """Return the plain name of a model or application."""
    return APPS.name_of(cls) if any(entry.value is cls for entry in APPS) else MODELS.name_of(cls)
