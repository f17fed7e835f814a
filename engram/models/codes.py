"""What models with an encoder and a decoder can do: codes, reconstructions, scores, repaired rows, samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from annotated_types import Ge
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from engram.data.rows import Rows, rows_to_check
from engram.errors import DataError, UsageError
from engram.maths.mixture import Mixture, checked_mixture, draw, fit_mixture
from engram.models.blocks import over_blocks, padded
from engram.models.parts import start_at_components
from engram.models.sampling import sampled
from engram.models.scores import Array, Scores
from engram.models.walks import Walks
from engram.parameters import checked_value
from engram.training import Batch, Finding
from engram.training.nets import Nets

if TYPE_CHECKING:
    from engram.models.model import Model

    Base = Model
else:
    Base = object

ROWS = 4096  # most rows whose codes a density is fitted to
COMPONENTS = 10  # of the density of codes that a fit ends with
WIDE = 64  # dimensions of a code, above which that density has a single component


class Codes(Walks, Scores, ClassNamePrefixFeaturesOutMixin, TransformerMixin, Base):
    """Encoding, decoding and scoring, the same for every row whatever rows stand beside it."""

    _density: Mixture | None = None
    _components = 0

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes (their means), (rows, code size)."""
        raise NotImplementedError

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at principal components where the networks have a linear path."""
        return start_at_components(nets.encoder, nets.decoder, rows, self.shapes_.code_size, probabilistic=False)

    def log_density(self, nets: Nets, batch: Batch) -> Tensor:
        """Log p(x | code) per row, with a scale per column that was estimated on held-out rows; nats of encoded units."""
        output = nets.decoder(self.encode(nets, batch), *batch.given)
        scores: Tensor = nets.decoder.likelihood.score_columns(output, batch.x, batch.mask).sum(1)
        return scores

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Estimate the scales of scores and draws, on rows that training has not seen, and the density that codes are drawn from."""
        looked_at = rows_to_check(rows, held_out)
        parts = (Batch(part.x, part.mask, part.y) for part in looked_at.blocks(len(looked_at)))
        output = torch.cat([nets.decoder(self.encode(nets, batch), *batch.given) for batch in parts])
        nets.decoder.likelihood.calibrate(output, looked_at.x, looked_at.mask)
        self.keep_codes(nets, rows, fit=type(self).draw_codes is Codes.draw_codes)
        return []

    def keep_codes(self, nets: Nets, rows: Rows, *, fit: bool) -> None:
        """Remember codes of rows that were learned from, in memory alone, for a density of codes, which ``fit`` asks for."""
        self._codes = self.codes_of(nets, rows.spread(ROWS))
        self._density: Mixture | None = None
        self._components = 0 if not fit else COMPONENTS if self.shapes_.code_size <= WIDE else 1

    @property
    def density_(self) -> Mixture | None:
        """The density that codes are drawn from, None where the model has a prior; fitted when it is first needed."""
        if self._density is None and self._components:
            self._density = fit_mixture(self._codes, self._components)
        return self._density

    def codes_of(self, nets: Nets, rows: Rows) -> Tensor:
        """Return the codes that a density is fitted to, (rows, code size): those of `encode`."""
        return torch.cat([self.encode(nets, Batch(part.x, part.mask, part.y)) for part in rows.blocks(len(rows))])

    def settled(self, code: Tensor) -> Tensor:
        """Return codes that the decoder knows, of such as a density gave, (rows, code size): all of them, here."""
        return code

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes from the density that was fitted to them, (n, code size)."""
        assert self.density_ is not None, "a model that draws otherwise says how"
        return draw(n, self.density_, generator)

    def fit_prior(self, prior: str = "gmm", *, n: int = 10, X: Any = None, y: Any = None) -> Self:
        """Fit a density to the codes of rows; `sample` draws from it from then on, and it is saved with the model.

        For autoencoders a mixture of ten normals is fitted when rows are first drawn or the model is saved (Ghosh et al., From
        Variational to Deterministic Autoencoders, 2020, arXiv:1903.12436, section 4); this replaces it, or
        the prior of a VAE. Scores stay as they are.

        Parameters
        ----------
        prior : str
            "normal", or "gmm": a mixture of normals with full covariances.
        n : int
            Most components of the mixture; each stands for at least 10 rows, and for twice as many as the code has dimensions.
        X : like the data of `fit`
            Rows whose codes it is fitted to; not needed in the process that fitted the model.
        y : array or DataFrame
            Of a conditional model: what the rows are given.
        """
        prior = checked_value("prior", prior, Literal["normal", "gmm"])
        n = checked_value("n", n, Annotated[int, Ge(1)])
        check_is_fitted(self, "network_")
        if X is not None:
            rows = self.encoded(X)
            rows = replace(rows, y=self.given_y(y, len(rows))).spread(ROWS)
            with self.fitted() as nets:
                self._codes = self.codes_of(nets, rows)
        elif not hasattr(self, "_codes"):
            raise UsageError("a loaded model does not have the rows it was fitted on: give fit_prior(..., X=rows).")
        self._density = fit_mixture(self._codes, 1 if prior == "normal" else n)
        return self

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return the density of codes, where there is one."""
        density = self.density_
        return {} if density is None else {f"density.{name}": t for name, t in density._asdict().items()}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take the density of codes back; raise `ValueError` where it is none."""
        found = {name: tensors[f"density.{name}"] for name in Mixture._fields if f"density.{name}" in tensors}
        if found:
            self._density = checked_mixture(Mixture(**found), self.shapes_.code_size)

    @property
    def _n_features_out(self) -> int:
        return self.shapes_.code_size

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: Any, *, y: Any = None) -> Array:
        """Return the codes of rows, (rows, code size) float32; for a VAE the means. ``y`` is for conditional models."""
        codes: Array = over_blocks(self, X, self.encode, y).numpy()
        return codes

    def fit_transform(self, X: Any, y: Any = None, **parameters: Any) -> Any:
        """Fit, and return the codes of the same rows."""
        if self.conditional:
            return self.fit(X, y, **parameters).transform(X, y=y)
        return super().fit_transform(X, y, **parameters)

    def inverse_transform(self, Z: Any, y: Any = None) -> Any:
        """Return rows from codes, (rows, code size), in the form the model was fitted on; conditional models take ``y``, or one for all."""
        with self.fitted() as nets:
            codes = torch.as_tensor(np.asarray(Z, dtype=np.float32))
            if codes.dim() != 2 or codes.shape[1] != self.shapes_.code_size:
                raise DataError(
                    f"codes are of shape (rows, {self.shapes_.code_size}), these are of shape {tuple(codes.shape)}."
                )
            check_codes(codes)
            return self.kind_.decode(self._means(nets, codes, self.given_y(y, len(codes), one_for_all=True)))

    def _means(self, nets: Nets, codes: Tensor, given: Tensor | None) -> Tensor:
        size, pieces = codes.shape[1], codes if given is None else torch.cat([codes, given], 1)

        def means(z: Tensor) -> Tensor:
            found: Tensor = nets.decoder.likelihood.mean(
                nets.decoder(z[:, :size], *([] if given is None else [z[:, size:]]))
            )
            return found

        return torch.cat([padded(means, z) for z in torch.split(pieces, 4096)])

    def reconstructed(self, X: Any, y: Any = None) -> Tensor:
        """Return encoded rows as the model gives them back: means in encoded units, (rows, ...)."""

        def means(nets: Nets, batch: Batch) -> Tensor:
            found: Tensor = nets.decoder.likelihood.mean(nets.decoder(self.encode(nets, batch), *batch.given))
            return found

        return over_blocks(self, X, means, y)

    def reconstruct(self, X: Any, *, y: Any = None) -> Any:
        """Return each row as it comes back from its code, in the form it was given (means; missing cells are filled)."""
        means = self.reconstructed(X, y)
        return self.kind_.decode(means)

    def denoise(self, X: Any, *, y: Any = None) -> Any:
        """Return noisy rows cleaned: their reconstruction. Fit with ``corruption`` for models that are good at it."""
        return self.reconstruct(X, y=y)

    def impute(self, X: Any, *, y: Any = None) -> Any:
        """Return the user's own rows with missing cells filled from the reconstruction; all other cells stay as they are."""
        return self.kind_.filled(self.kind_.opened(X), self.reconstructed(X, y))

    def sample(self, n: int = 1, *, y: Any = None, random_state: Any = None) -> Any:
        """Draw new rows: codes from the prior or from their fitted density, then rows from the likelihood given the codes.

        Parameters
        ----------
        n : int
            How many.
        y : label, array or DataFrame
            Of a conditional model: what the rows are given, one for all or one per row. Others ignore it.
        random_state : int, RandomState or None
            Seed of the draw.
        """

        def codes(n: int, generator: torch.Generator) -> Tensor:
            density = self.density_
            return self.draw_codes(n, generator) if density is None else self.settled(draw(n, density, generator))

        def rows(nets: Nets, given: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
            return self.drawn(nets, nets.decoder(*given), generator)

        return sampled(self, n, y, random_state, codes=codes, rows=rows)

    def drawn(self, nets: Nets, output: Tensor, generator: torch.Generator) -> Tensor:
        """Return encoded rows for a decoder's output: draws from the likelihood."""
        rows: Tensor = nets.decoder.likelihood.sample(output, generator)
        return rows


def check_codes(codes: Tensor) -> None:
    """Raise `DataError` where a code, (rows, code size), has a hole, or a number that is too large."""
    bad = (~codes.isfinite()).nonzero()
    if len(bad):
        row, unit = bad[0].tolist()
        value = "missing" if codes[row, unit].isnan() else "infinite"
        raise DataError(
            f"the codes of row {row} (from 0) are no numbers: unit {unit} is {value}. Fill it, or leave the row out."
        )
