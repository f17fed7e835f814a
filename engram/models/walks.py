"""Putting codes to use: ways between rows, single code units, directions from labels, nearest rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from sklearn.utils.validation import check_is_fitted

from engram.errors import DataError, UsageError, nearest
from engram.maths.interpolation import on_arc, on_line
from engram.models.near import nearest_codes
from engram.models.scores import Array
from engram.parameters import checked_value

if TYPE_CHECKING:
    from engram.models.model import Model

    Base = Model
else:
    Base = object

Codes = Any  # codes as a caller gives them: an array, (rows, code size)


class Walks(Base):
    """What codes are good for beside being stored."""

    if TYPE_CHECKING:

        def transform(self, X: Any, *, y: Any = None) -> Array:
            """Return the codes of rows."""

        def inverse_transform(self, Z: Any, y: Any = None) -> Any:
            """Return rows from codes."""

    def interpolate(self, a: Any, b: Any, *, n: int = 8, how: str = "linear", y: Any = None) -> Any:
        """Return ``n`` rows on the way between the codes of one row ``a`` and one row ``b``, both ends included.

        Parameters
        ----------
        a, b : like one row of the data of `fit`
            The ends: X[:1], say.
        n : int
            How many rows, at least 2.
        how : str
            "linear": the straight way. "spherical": the arc around the origin, for codes with a normal prior, whose middle the origin is
            (White 2016, arXiv:1609.04468).
        y : label, vector or dict
            Of a conditional model: what all rows are given.

        Raises
        ------
        DataError
            There is not one row at each end, or the codes lie opposite each other, so that no arc is nearer than another.
        UsageError
            ``how="spherical"`` for codes without a normal prior.
        """
        n = checked_value("n", n, Annotated[int, Ge(2)])
        how = checked_value("how", how, Literal["linear", "spherical"])
        if how == "spherical" and getattr(self, "prior", None) != "normal":
            raise UsageError(
                f"how='spherical' goes around the origin, which is the middle of codes with a normal prior alone; "
                f"those of this {type(self).__name__} have none. Use how='linear'."
            )
        ends = [torch.from_numpy(self._one_code(row, y)) for row in (a, b)]
        share = torch.linspace(0, 1, n, dtype=torch.float64)[:, None]
        try:
            way = (on_arc if how == "spherical" else on_line)(ends[0].double(), ends[1].double(), share)
        except ValueError:
            raise DataError(
                "these two codes lie opposite each other, so there is no nearest arc. Use how='linear'."
            ) from None
        codes = way.float().numpy()
        codes[0], codes[-1] = ends[0].numpy(), ends[1].numpy()
        return self.inverse_transform(codes, y)

    def traverse(self, a: Any, unit: int, values: Sequence[float] | Array, *, y: Any = None) -> Any:
        """Return one row as it would be with other values of one code unit: one row per value.

        Parameters
        ----------
        a : like one row of the data of `fit`
            The row to start from: X[:1], say.
        unit : int
            The number of the code unit, from 0.
        values : sequence of float
            Its values: ``numpy.linspace(-3, 3, 7)`` for a code with a normal prior; else look at its range in `transform`.
        y : label, vector or dict
            Of a conditional model: what the row is given.
        """
        code = self._one_code(a, y)
        unit = checked_value("unit", unit, Annotated[int, Ge(0)])
        if unit >= len(code):
            raise UsageError(f"unit={unit}: this code has {len(code)} units, counted from 0.")
        there = np.asarray(values, dtype=np.float32)
        if there.ndim != 1 or not len(there) or not np.isfinite(there).all():
            raise UsageError(f"values= takes a list of finite numbers, got {values!r}.")
        codes = np.repeat(code[None], len(there), 0)
        codes[:, unit] = there
        return self.inverse_transform(codes, y)

    def direction(self, X: Any, labels: Any, *, towards: Any = None, how: str = "means", y: Any = None) -> Array:
        """Return the direction in the space of codes from rows without a label to rows with it, (code size,) float32.

        One step along it leads from the one group's mean code as far as the other's: ``model.move(X, direction)``.

        Parameters
        ----------
        X : like the data of `fit`
            Rows.
        labels : array
            One label per row; the model need not have seen them.
        towards : label
            The label that the direction leads to, away from all other rows; may be left out where labels are 0 and 1, or False and True.
        how : str
            "means": the difference of the mean codes (Larsen et al. 2016, arXiv:1512.09300, section 4.2). "logistic": the normal of a
            logistic regression's plane, which heeds that units hang together; as long as that difference is along it.
        y : array or DataFrame
            Of a conditional model: what the rows are given.

        Raises
        ------
        DataError
            There is not one label per row, or one of the groups is empty.
        UsageError
            ``towards`` is missing, or no label.
        """
        how = checked_value("how", how, Literal["means", "logistic"])
        codes = self.transform(X, **({} if y is None else {"y": y})).astype(np.float64)
        there = _with_label(labels, towards, len(codes))
        difference: Array = codes[there].mean(0) - codes[~there].mean(0)
        if how == "logistic":
            normal = _normal(codes, there)
            difference = normal * (difference @ normal)
        return difference.astype(np.float32)

    def move(self, X: Any, direction: Any, *, by: Any = 1.0, y: Any = None) -> Any:
        """Return rows moved along a direction in the space of codes, in the form the model was fitted on.

        Parameters
        ----------
        X : like the data of `fit`
            Rows.
        direction : array
            A vector, (code size,): that of `direction`, or one's own.
        by : float or array
            How many steps, one number for all rows or one per row; 0 gives the reconstruction, negative numbers go the other way.
        y : array or DataFrame
            Of a conditional model: what the rows are given.
        """
        codes = self.transform(X, **({} if y is None else {"y": y}))
        way, steps = (np.asarray(v, dtype=np.float32) for v in (direction, by))
        if way.shape != codes.shape[1:]:
            raise UsageError(f"direction= is of shape {way.shape}; a code of this model has {codes.shape[1]} units.")
        if steps.shape not in ((), (len(codes),)):
            raise UsageError(f"by= takes one number, or one for each of {len(codes)} rows, got shape {steps.shape}.")
        return self.inverse_transform(codes + np.broadcast_to(steps, len(codes))[:, None] * way, y)

    def nearest(self, X: Any, pool: Any, *, n: int = 5, y: Any = None, pool_y: Any = None) -> tuple[Array, Array]:
        """Return for each row the nearest rows of a pool, by the Euclidean distance between codes.

        The model keeps no rows: the pool is given each time.

        Parameters
        ----------
        X, pool : like the data of `fit`
            Rows, and the rows to choose from. A row of X that is in the pool is its own nearest.
        n : int
            How many for each row; at most all of the pool.
        y, pool_y : array or DataFrame
            Of a conditional model: what the rows and the pool are given.

        Returns
        -------
        numbers : array of int
            Numbers of rows of the pool, (rows, n), the nearest first; of equally near ones the lower number.
        distances : array of float
            Their distances, (rows, n).
        """
        n = checked_value("n", n, Annotated[int, Ge(1)])
        codes = self.transform(X, **({} if y is None else {"y": y})).astype(np.float64)
        known = self.transform(pool, **({} if pool_y is None else {"y": pool_y})).astype(np.float64)
        return nearest_codes(codes, known, n)

    def _one_code(self, row: Any, y: Any) -> Array:
        check_is_fitted(self, "network_")
        if y is not None and self.given_ is not None:
            single = self.given_.of_one_row(y)
            y = y if single is None else single
        codes = self.transform(row, **({} if y is None else {"y": y}))
        if len(codes) != 1:
            raise DataError(f"this takes one row at a time, got {len(codes)}. Give X[:1], say.")
        code: Array = codes[0]
        return code


def _with_label(labels: Any, towards: Any, n_rows: int) -> Array:
    """Return which rows have the label, (rows,) bool; some have, and some have not."""
    given = np.asarray(labels)
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if given.shape != (n_rows,):
        raise DataError(f"labels must be one per row: there are {n_rows} rows, and labels of shape {given.shape}.")
    values = list(dict.fromkeys(given.tolist()))
    if towards is None:
        if not set(values) <= {0, 1}:
            shown = ", ".join(repr(v) for v in values[:5])
            raise UsageError(f"towards= must say which label the direction leads to; there are {shown}.")
        towards = 1
    there: Array = given == towards
    if not np.any(there):
        told = nearest(str(towards), [str(v) for v in values])
        raise UsageError(f"no row has the label {towards!r}. {told}")
    if np.all(there):
        raise DataError(f"all rows have the label {towards!r}, so no direction leads there. Give rows without it too.")
    return there


def _normal(codes: Array, there: Array) -> Array:
    """Return the unit normal of the plane that a logistic regression puts between two groups of codes, (code size,)."""
    from sklearn.linear_model import LogisticRegression

    scale = codes.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    found = LogisticRegression(max_iter=1000).fit((codes - codes.mean(0)) / scale, there).coef_[0] / scale
    length = float(np.linalg.norm(found))
    unit: Array = found / length if length > 0 else found
    return unit
