"""Synthetic tables: rows that look like those of a table, obey rules, and are none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from engram.data.cells import Array
from engram.data.coding import Coding, as_frame
from engram.data.columns import MARKED
from engram.data.constraints import describe
from engram.data.decoding import decoded
from engram.data.kind import as_kind
from engram.data.known_cells import Given, known_cells
from engram.data.matrix import matrix
from engram.evaluation.table_learners import detection
from engram.models.bin_gan import BinGAN, ByGAN
from engram.models.drawing import ByVAE, Picker, draw_cells
from engram.models.gan import GAN
from engram.models.masked_vae import CellShapes, MaskedVAE
from engram.parameters import checked, checked_value, parameters_of
from engram.training import Finding
from engram.training.session import seed_from
from engram.training.settings import seconds

FEWEST_FOR_A_GAN = 1000  # rows, below which "auto" does not try a GAN: its discriminator would learn them by heart
JUDGED = 2000  # held-out rows, at most, that "auto" compares models on
VAE_SHARE = 0.5  # of max_time, where there is a GAN to fit too


@dataclass(eq=False, repr=False, kw_only=True)
class Synthesizer(BaseEstimator):
    """Generate rows that look like those of a table.

    Columns are cut into bins (quantiles of numbers, spikes such as zeros, categories, missing), and a masked VAE learns any of them given
    any others (arXiv:1806.02382), so that rows can be drawn for given cells without waiting for them to come up. What is kept are weights,
    bounds, quantiles and categories of at least ``min_count`` rows: no row, no key, no rare text. That is no proof of anonymity: read
    what `evaluate` says of privacy, and remember that distances prove nothing.

    Parameters
    ----------
    model : str
        "vae", "gan", or "auto": both, and the one whose rows are harder to tell from held-out ones. Given cells always take the VAE.
    columns : dict or None
        Types of columns that correct what is found out, e.g. {"zip": "category", "id": "drop"}.
    constraints : tuple of str
        Rules that every generated row obeys: "start <= end", "price >= 0", "0 <= share <= 1", "city & country" (combinations seen only).
    min_count : int
        Rows that a category must have to be kept; rarer texts come out as "other".
    max_epochs : int or "auto"
        Most passes over the rows.
    max_time : str, float or None
        Longest time to train: "20s", "5m", "1h" or seconds.
    device : str
        "auto", "cpu", "cuda".
    random_state : int, RandomState or None
        Seed: the same seed gives the same rows.
    """

    model: Literal["auto", "vae", "gan"] = "auto"
    columns: dict[str | int, str] | None = None
    constraints: tuple[str, ...] = ()
    min_count: Annotated[int, Ge(1)] = 5
    max_epochs: Annotated[int, Ge(1)] | Literal["auto"] = "auto"
    max_time: str | float | None = None
    device: str = "auto"
    random_state: Any = None

    # --- fitting ---

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows.

        Parameters
        ----------
        X : DataFrame, array or path
            The rows. Types, holes, dates, rounding and bounds are found out.
        y : ignored
            For pipelines; a label that is to be generated is a column of X.

        Raises
        ------
        UsageError
            A parameter or a constraint cannot be.
        DataError
            The rows cannot be used, or break a constraint.
        """
        values = {name: checked(type(self), name, getattr(self, name)) for name in parameters_of(type(self))}
        frame = opened(X)
        seed = seed_from(self.random_state)
        coding = Coding(values["columns"], values["constraints"], values["min_count"])
        cells = coding.fit(frame)
        self.coding_, self.seed_ = coding, seed
        self.findings_ = self._told(frame)
        held = np.random.default_rng(seed).permutation(len(cells))[: min(len(cells) // 10, JUDGED)]
        rest = np.setdiff1d(np.arange(len(cells)), held)
        learned = rest if self._with_gan(values["model"], len(cells)) else np.arange(len(cells))
        self._fit_vae(cells[learned], seed)
        self.gan_: BinGAN | None = None
        self.scores_: dict[str, float] = {}
        if self._with_gan(values["model"], len(cells)):
            self._fit_gan(cells[learned], seed)
            self._choose(values["model"], frame.iloc[held])
        self.n_features_in_ = len(coding.fields)
        return self

    def _with_gan(self, model: str, n_rows: int) -> bool:
        return bool(self.coding_.coded) and (model == "gan" or (model == "auto" and n_rows >= FEWEST_FOR_A_GAN))

    def _time(self, *, with_gan: bool, of_vae: bool) -> float | None:
        limit = seconds(self.max_time)
        if limit is None or not with_gan:
            return limit
        return limit * (VAE_SHARE if of_vae else 1 - VAE_SHARE)

    def _fit_vae(self, cells: Array, seed: int) -> None:
        self.vae_: MaskedVAE | None = None
        if not self.coding_.coded:
            return
        ordered = [len(place.bins.knots) for place in self.coding_.coded]
        vae = MaskedVAE(CellShapes.auto(self.coding_.sizes, ordered, len(cells)))
        limit = self._time(with_gan=self._with_gan(self.model, len(cells)), of_vae=True)
        epochs = None if self.max_epochs == "auto" else self.max_epochs
        self.vae_ = vae.fit(torch.from_numpy(cells), seed=seed, max_epochs=epochs, max_time=limit, device=self.device)
        self.findings_ += vae.findings

    def _fit_gan(self, cells: Array, seed: int) -> None:
        limit = self._time(with_gan=True, of_vae=False)
        gan = GAN(max_epochs=self.max_epochs, max_time=limit, device=self.device, random_state=seed)
        self.gan_ = BinGAN(self.coding_, gan).fit(cells, seed)

    def _choose(self, model: str, held: pd.DataFrame) -> None:
        """Take the model whose rows are harder to tell from held-out ones."""
        real = matrix(self.coding_, held)
        for name in ("vae", "gan"):
            drawn = matrix(self.coding_, self._rows(name, len(held), self.seed_, Given()))
            self.scores_[name] = detection(real, drawn, self.seed_)
        better = min(self.scores_, key=lambda name: abs(self.scores_[name] - 0.5))
        told = ", ".join(f"{name} {score:.3f}" for name, score in self.scores_.items())
        message = f"boosted trees tell generated from held-out rows with an area under the curve of: {told} (.5 is best)"
        if model == "gan":
            self.findings_.append(Finding("model", message, "model='auto' takes the better one" if better == "vae" else ""))
            return
        if better == "vae":
            self.gan_ = None
        self.findings_.append(Finding("model", f"{message}; the {better} is used"))

    @property
    def chosen_(self) -> str:
        """The model that rows are drawn from where no cells are given: "vae" or "gan"."""
        check_is_fitted(self, "coding_")
        return "vae" if self.gan_ is None else "gan"

    def _told(self, frame: pd.DataFrame) -> list[Finding]:
        """Say what was found of the columns that a user should know."""
        coding = self.coding_
        found = [Finding("data", f"{note} ({count})") for note, count in coding.notes.items() if note != MARKED]
        new = [f"{c.name!r}" for c in coding.fields if c.type in ("key", "text")]
        if new:
            found.append(Finding("new-cells", f"cells of {', '.join(new[:8])} are made up anew: keys and free texts are not learned"))
        for place in coding.places:
            if place.bins.pooled:
                rare = place.bins.counts[place.bins.present - 1]
                message = f"{rare} of {len(frame)} rows have a value of {place.name!r} that fewer than {coding.min_count} have; none is kept"
                found.append(Finding("rare-values", message, "A smaller min_count keeps more of them, and gives more away"))
        if coding.rules:
            found.append(Finding("constraints", f"every generated row obeys: {'; '.join(describe(coding.constraints))}"))
        return found

    # --- using ---

    def sample(self, n: int = 1, *, given: Any = None, random_state: Any = None) -> pd.DataFrame:
        """Draw new rows.

        Parameters
        ----------
        n : int
            How many.
        given : dict or DataFrame, optional
            Cells that the rows are to have: {"country": "NL"}, or one cell for each row, {"age": [30, 40]}. None asks for a missing cell.
            Rows are drawn from the distribution given these cells by the masked VAE, also where a GAN was chosen.
        random_state : int, RandomState or None
            Seed of the draw.

        Raises
        ------
        UsageError
            A given column is unknown, or a cell cannot be: a category that was not kept, a number outside of the rows at fit.
        """
        check_is_fitted(self, "coding_")
        n = checked_value("n", n, Annotated[int, Ge(1)])
        if isinstance(given, Mapping | pd.DataFrame | None):
            known = known_cells(self.coding_, given, n)
        else:
            known = known_cells(self.coding_, dict(given), n)
        asked = bool(known.bins or known.numbers or known.allowed)
        return self._rows("vae" if asked else self.chosen_, n, seed_from(random_state), known)

    def _rows(self, name: str, n: int, seed: int, known: Given) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        picker: Picker
        if name == "gan" and self.gan_ is not None:
            picker = ByGAN(self.gan_.drawn(n, seed))
        else:
            picker = ByVAE(self.vae_)
        bins, numbers = draw_cells(picker, self.coding_, n, random, known)
        rows = decoded(self.coding_, bins, numbers, random)
        for column, cells in known.cells.items():
            name_of = self.coding_.field(column).name
            rows[name_of] = pd.Series(cells, dtype=rows[name_of].dtype if not pd.isna(cells).any() else None)
        return rows

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coding_")


def opened(raw: Any) -> pd.DataFrame:
    """Return rows, or those of a file, as a DataFrame."""
    kind, bare = as_kind(raw, "table")
    return as_frame(kind.opened(bare))
