"""What models with an encoder and a decoder can do: codes, reconstructions, scores, repaired rows, samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from engram.data.rows import Rows
from engram.data.stream import some
from engram.errors import DataError
from engram.models.blocks import over_blocks
from engram.models.parts import start_at_components
from engram.parameters import checked_value
from engram.training import Batch, Finding
from engram.training.nets import Nets
from engram.training.session import seed_from

if TYPE_CHECKING:
    from engram.models.model import Model

    Base = Model
else:
    Base = object

Array = np.ndarray[Any, np.dtype[Any]]


class Codes(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Base):
    """Encoding, decoding and scoring, the same for every row whatever rows stand beside it."""

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes (their means), (rows, code size)."""
        raise NotImplementedError

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at principal components where the networks have a linear path."""
        return start_at_components(nets.encoder, nets.decoder, rows, self.shapes_.code_size, probabilistic=False)

    def log_density(self, nets: Nets, batch: Batch) -> Tensor:
        """Log p(x | code) per row, with a scale per column that was estimated on held-out rows; nats of encoded units."""
        output = nets.decoder(self.encode(nets, batch))
        scores: Tensor = nets.decoder.likelihood.score_columns(output, batch.x, batch.mask).sum(1)
        return scores

    def finish(self, nets: Nets, rows: Rows, held_out: Rows) -> list[Finding]:
        """Estimate the scales that scores use, on rows that training has not seen."""
        parts = held_out.blocks(len(held_out))
        output = torch.cat([nets.decoder(self.encode(nets, Batch(part.x, part.mask))) for part in parts])
        nets.decoder.likelihood.calibrate(output, held_out.x, held_out.mask)
        return []

    @property
    def _n_features_out(self) -> int:
        return self.shapes_.code_size

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: Any) -> Array:
        """Return the codes of rows, (rows, code size) float32; for a VAE the means."""
        codes: Array = over_blocks(self, X, self.encode).numpy()
        return codes

    def inverse_transform(self, Z: Any, y: Any = None) -> Any:
        """Return rows from codes, (rows, code size), in the form the model was fitted on."""
        with self.fitted() as nets:
            codes = torch.as_tensor(np.asarray(Z, dtype=np.float32))
            if codes.dim() != 2 or codes.shape[1] != self.shapes_.code_size:
                raise DataError(
                    f"codes are of shape (rows, {self.shapes_.code_size}), these are of shape {tuple(codes.shape)}."
                )
            return self.kind_.decode(self._means(nets, codes))

    def _means(self, nets: Nets, codes: Tensor) -> Tensor:
        from engram.models.blocks import padded

        return torch.cat(
            [padded(lambda z: nets.decoder.likelihood.mean(nets.decoder(z)), z) for z in torch.split(codes, 4096)]
        )

    def reconstructed(self, X: Any) -> Tensor:
        """Return encoded rows as the model gives them back: means in encoded units, (rows, ...)."""
        return over_blocks(
            self, X, lambda nets, batch: nets.decoder.likelihood.mean(nets.decoder(self.encode(nets, batch)))
        )

    def reconstruct(self, X: Any) -> Any:
        """Return each row as it comes back from its code, in the form it was given (means; missing cells are filled)."""
        means = self.reconstructed(X)
        return self.kind_.decode(means)

    def denoise(self, X: Any) -> Any:
        """Return noisy rows cleaned: their reconstruction. Fit with ``corruption`` for models that are good at it."""
        return self.reconstruct(X)

    def impute(self, X: Any) -> Any:
        """Return the user's own rows with missing cells filled from the reconstruction; all other cells stay as they are."""
        return self.kind_.filled(self.kind_.opened(X), self.reconstructed(X))

    def encoded(self, X: Any) -> Rows:
        """Return rows as the networks see them."""
        check_is_fitted(self, "network_")
        rows = some(self.kind_.opened(X))  # what looks at all rows at once looks at the sample that a fit looks at
        return self.kind_.encode(self.kind_.conform(rows, reader=type(self).__name__))

    def densities(self, X: Any, function: Callable[[Nets, Batch], Tensor]) -> Array:
        """Return a log density per row, (rows,) in nats of the user's units: encoded units are brought back by their volume."""

        def in_user_units(nets: Nets, batch: Batch) -> Tensor:
            volume = self.kind_.log_volume
            observed = (volume[None] if batch.mask is None else batch.mask * volume).sum(
                1
            )  # summed the same way, to the bit
            return function(nets, batch) - observed

        scores: Array = over_blocks(self, X, in_user_units).numpy()
        return scores

    def score_samples(self, X: Any) -> Array:
        """Return a score per row, (rows,) in nats: higher is more normal. Autoencoder: log p(x | code); VAE: the ELBO at beta 1."""
        return self.densities(X, self.log_density)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`, so that parameter searches maximise it."""
        return float(self.score_samples(X).mean())

    def sample(self, n: int = 1, *, y: Any = None, random_state: Any = None) -> Any:
        """Draw new rows: codes from the prior, then rows from the likelihood given the codes.

        Parameters
        ----------
        n : int
            How many.
        y : ignored
            For conditional models.
        random_state : int, RandomState or None
            Seed of the draw.
        """
        n = checked_value("n", n, Annotated[int, Ge(1)])
        with self.fitted() as nets:
            generator = torch.Generator().manual_seed(seed_from(random_state))
            codes = self.draw_codes(n, generator)
            return self.kind_.decode(
                torch.cat(
                    [nets.decoder.likelihood.sample(nets.decoder(z), generator) for z in torch.split(codes, 4096)]
                )
            )

    def interpolate(self, a: Any, b: Any, *, n: int = 8) -> Any:
        """Return ``n`` rows on the straight way between the codes of one row ``a`` and one row ``b``, both ends included."""
        n = checked_value("n", n, Annotated[int, Ge(2)])
        ends = [self.transform(row) for row in (a, b)]
        if len(ends[0]) != 1 or len(ends[1]) != 1:
            raise DataError(
                f"interpolate needs one row at each end, got {len(ends[0])} and {len(ends[1])}. Give X[:1], say."
            )
        share = np.linspace(0, 1, n, dtype=np.float32)[:, None]
        return self.inverse_transform((1 - share) * ends[0] + share * ends[1])
