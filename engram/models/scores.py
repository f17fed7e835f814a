"""Scores of rows: what every model that knows a density can do, whether it has codes or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from engram.data.rows import Rows
from engram.data.stream import some
from engram.models.blocks import over_blocks
from engram.training import Batch
from engram.training.nets import Nets

if TYPE_CHECKING:
    from engram.models.model import Model

    Base = Model
else:
    Base = object

Array = np.ndarray[Any, np.dtype[Any]]


class Scores(Base):
    """Log densities of rows in the user's units, the same for every row whatever rows stand beside it."""

    def log_density(self, nets: Nets, batch: Batch) -> Tensor:
        """Return a log density per row, (rows,) in nats of encoded units."""
        raise NotImplementedError

    def encoded(self, X: Any, y: Any = None) -> Rows:
        """Return rows as the networks see them; of a conditional model with ``y``, where it is given."""
        check_is_fitted(self, "network_")
        rows = some(self.kind_.opened(X))  # what looks at all rows at once looks at the sample that a fit looks at
        found = self.kind_.encode(self.kind_.conform(rows, reader=type(self).__name__))
        return found if y is None else replace(found, y=self.given_y(y, len(found)))

    def densities(self, X: Any, function: Callable[[Nets, Batch], Tensor], y: Any = None) -> Array:
        """Return a log density per row, (rows,) in nats of the user's units: encoded units are brought back by their volume."""

        def in_user_units(nets: Nets, batch: Batch) -> Tensor:
            volume = self.kind_.log_volume
            observed = (volume[None] if batch.mask is None else batch.mask * volume).sum(
                1
            )  # summed the same way, to the bit
            return function(nets, batch) - observed

        scores: Array = over_blocks(self, X, in_user_units, y).numpy()
        return scores

    def score_samples(self, X: Any, *, y: Any = None) -> Array:
        """Return a score per row, (rows,) in nats: higher is more normal. Autoencoder: log p(x | code); VAE: the ELBO at beta 1."""
        return self.densities(X, self.log_density, y)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`, so that parameter searches maximise it."""
        return float(self.score_samples(X, **({"y": y} if self.given_ is not None else {})).mean())
