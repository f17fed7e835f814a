"""The parameters that all models share, each declared once, as a typed field with a line in the docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Interval
from sklearn.base import BaseEstimator
from torch import nn

from engram.errors import nearest

Auto = Literal["auto"]
Likelihoods = Literal[
    "auto", "best", "normal", "laplace", "lognormal", "exponential", "beta", "bernoulli", "binomial", "poisson", "geometric",
    "negative-binomial", "multinomial",
]  # fmt: skip
Level = Annotated[float, Ge(0)]
Corruption = Literal[
    "gaussian", "masking", "salt-and-pepper", "swap", "blur", "binomial-thinning", "hypergeometric-thinning"
]


@dataclass(eq=False, repr=False, kw_only=True)
class Options(BaseEstimator):
    """The parameters of every model; a model adds its own, or declares one of these anew where it differs.

    Parameters
    ----------
    code_size : int or "auto"
        Dimensions of the code, 1 or more.
    hidden : tuple of int or "auto"
        Widths of the hidden layers of the encoder, reversed in the decoder; () is linear. Given widths build exactly that network; with
        "auto" a linear path lies beside it, and training begins at principal components.
    network : str
        Family of networks: "auto", "mlp", "conv" or "conv-pool" (strided or max-pooled; widths are numbers of channels).
    likelihood : str
        Distribution of numbers or pixels: "auto" (normal), "best" (for each number column of a table the one that explains
        held-out cells best, as `engram inspect` shows; exponential and geometric only where no other number column says much of
        the cells), or a name of `engram list likelihoods`.
    kind : str
        Kind of data: "auto", "table", "images", or "counts" (documents, sparse matrices of counts), which is never found out.
    columns : dict or None
        Types of columns that correct what is found out, e.g. {"zip": "category", "id": "drop"}.
    corruption : str or None
        Corruption of the input while learning: "gaussian", "masking", "salt-and-pepper", "swap" (with another row), "blur"
        (pictures), "binomial-thinning" or "hypergeometric-thinning" (counts).
    corruption_level : float or tuple of two
        Standard deviation of the noise in encoded units (of tables a column's standard deviations, of pictures 1 from black to white),
        that of the blur in pixels, or share of cells or counts, from 0 to 1; two numbers are a range to draw from per row.
    conditional : bool
        Learn rows given y: one label a row, or numbers (2-D), or a DataFrame of both. Then all that rows go into takes ``y=`` too.
    batch_size : int or "auto"
        Most rows in a step.
    max_epochs : int or "auto"
        Most passes over the rows.
    max_time : str, float or None
        Longest time to train: "20s", "5m", "1h" or seconds.
    learning_rate : float or "auto"
        Step size of Adam, above 0.
    schedule : str
        How the learning rate falls: "auto" (cosine), "cosine", "linear" or "constant".
    weight_decay : float or "auto"
        Decoupled weight decay, from 0 on, of matrices and kernels; "auto" is .3 for autoencoders that begin at random, else 0.
    dropout : float
        Share of hidden values dropped while learning, from 0 to below 1.
    clip : float or None
        Largest norm of a gradient, above 0; None is any.
    ema : float
        Average the weights; after this share of training, from 0 to below 1, an old weight counts half. 0 is off.
    early_stopping : bool
        Hold out rows, keep the weights that are best on them, stop when nothing improves.
    validation_fraction : float
        Share of rows held out, above 0 and below 1.
    n_iter_no_change : int
        Reports without improvement before training stops.
    tol : float
        Relative improvement of the held-out loss that counts, from 0 on.
    threads : int or "auto"
        Threads to compute with; "auto" is one for small networks.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda", or one of several GPUs: "cuda:1".
    precision : str
        "auto" (float32), "float32", or "bfloat16" for mixed precision while learning.
    random_state : int, RandomState or None
        Seed: the same seed gives the same weights.
    verbose : int
        1 shows progress on a terminal.
    warm_start : bool
        Go on from the weights of the last fit; only parameters of the training may have changed since.
    encoder, decoder : torch.nn.Module or None
        Your own networks: (rows, ...) to features, codes to features or rows.
    """

    code_size: Annotated[int, Ge(1)] | Auto = "auto"
    hidden: tuple[Annotated[int, Ge(1)], ...] | Auto = "auto"
    network: Literal["auto", "mlp", "conv", "conv-pool"] = "auto"
    likelihood: Likelihoods = "auto"
    kind: Literal["auto", "table", "images", "counts"] = "auto"
    columns: dict[Any, str] | None = None
    corruption: Corruption | None = None
    corruption_level: Level | tuple[Level, Level] = 0.2
    conditional: bool = False
    batch_size: Annotated[int, Ge(1)] | Auto = "auto"
    max_epochs: Annotated[int, Ge(1)] | Auto = "auto"
    max_time: str | float | None = None
    learning_rate: Annotated[float, Gt(0)] | Auto = "auto"
    schedule: Literal["auto", "cosine", "linear", "constant"] = "auto"
    weight_decay: Annotated[float, Ge(0)] | Auto = "auto"
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    clip: Annotated[float, Gt(0)] | None = None
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    early_stopping: bool = True
    validation_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.1
    n_iter_no_change: Annotated[int, Ge(1)] = 20
    tol: Annotated[float, Ge(0)] = 1e-4
    threads: Annotated[int, Ge(1)] | Auto = "auto"
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    random_state: Any = None
    verbose: int = 0
    warm_start: bool = False
    encoder: nn.Module | None = None
    decoder: nn.Module | None = None

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Tell a parameter that there is not with the nearest ones, by Python's own kind of error."""
        unknown = [name for name in given if name not in cls.__dataclass_fields__]
        accepted = inspect.signature(cls.__init__).parameters if unknown else {}
        for name in unknown:
            if name not in accepted and all(p.kind != p.VAR_KEYWORD for p in accepted.values()):
                raise TypeError(f"{cls.__name__} has no parameter {name!r}. {nearest(name, cls.__dataclass_fields__)}")
        made: Self = super().__new__(cls)
        return made

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Fits inside go on from the weights of the last one, whatever `warm_start` says."""
        before = self.warm_start
        self.warm_start = True
        try:
            yield
        finally:
            self.warm_start = before
