"""The scikit-learn estimator that every model is: parameters in, kind and rows found out, the loop run, a fitted model out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from engram.corruptions import THINNINGS, check_fits, corrupted, observed
from engram.data.given import Conditions
from engram.data.kind import Kind
from engram.data.rows import Rows, joined
from engram.errors import DivergedError, StoppedError, UsageError
from engram.likelihoods.encoded import from_counts, sees_logarithms, to_counts
from engram.models.diagnosis import diagnose, named
from engram.models.intake import Intake, pair_of, taken_in, with_y
from engram.models.options import Options
from engram.models.parts import Shapes
from engram.models.remembered import TRAINING, as_before_a_failure, check_goes_on, remember
from engram.models.resolve import checked_parameters, resolve_settings, resolve_shapes, settled
from engram.models.saving import run_files
from engram.models.sheets import Progress, listening
from engram.networks import NETWORKS, Network
from engram.registry import name_of
from engram.training import Batch, Finding, Turn, train
from engram.training.checkpoint import Checkpoints
from engram.training.divergence import NotFiniteError
from engram.training.nets import Nets
from engram.training.run import abandon, begin, claim, finish, write
from engram.training.session import seed_from, seeded, threads
from engram.training.settings import usable_device
from engram.version import VERSION

NOT_RESUMED = ("random_state", "verbose", "encoder", "decoder")  # parameters that may differ when a fit is resumed


@dataclass(eq=False, repr=False, kw_only=True)
class Model(Options, ABC):
    """What all models share: the parameters of `Options`, fitting, sampling, saving."""

    # --- what a model says ---

    own_networks = True  # whether encoder=, decoder= and network= can be chosen
    families: ClassVar[Mapping[str, Network]] = NETWORKS  # the networks that `network` names
    keeps_constants: ClassVar[bool] = False  # whether columns of a table that do not vary are learned as well
    # parameters that act whenever they are set, and are saved so
    at_use: ClassVar[tuple[str, ...]] = ("verbose", "warm_start")
    watches: ClassVar[bool] = True  # whether the terms of held-out rows say which weights are best

    @property
    def goes_on(self) -> bool:
        """Whether a fit would go on from the weights of the last one."""
        return self.warm_start and hasattr(self, "network_")

    def conditional_on(self, y: Any) -> bool:
        """Whether a fit to rows with this y, which may be None, is conditional."""
        return self.conditional if isinstance(self.conditional, bool) else y is not None

    @property
    def most_rows(self) -> int | None:
        """How many rows it learns from at most, where it does not take all of them."""
        return None

    @property
    def takes_y(self) -> bool:
        """Whether its networks are called as ``net(x, *batch.given)``, so that it can be conditional."""
        return False

    @abstractmethod
    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """Return the networks by role; called at fit."""

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """Return what "auto" stands for where this model differs from others, by parameter."""
        return {}

    def suited(self, rows: Rows) -> dict[str, Any]:
        """Return what "auto" stands for as a function of the rows, where a model has that; see `automatic`."""
        return {}

    def reasons(self) -> dict[str, str]:
        """Return why each value that `automatic` or `suited` chooses is what it is, in words for reports; of steps as ``max_epochs``."""
        return {}

    @property
    def unused(self) -> tuple[str, ...]:
        """Parameters that it does nothing with."""
        return ()

    def turns(self, step: int) -> Sequence[Turn]:
        """Return the turns of a step: here one, in which all roles learn."""
        return self._turns

    @abstractmethod
    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """Return the named terms whose sum the turn minimises, per row (rows,) or for the batch ()."""

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Set the networks before step 0; return whether anything was set."""
        return False

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Do what has no gradient after a step."""

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """After training: estimate what scores need on held-out rows, where there are any, and return what is worth knowing."""
        return []

    # --- fitting ---

    def fit(
        self, X: Any, y: Any = None, *, validation: Any = None, run: str | Path | None = None, resume: bool = False
    ) -> Self:
        """Learn from rows.

        Parameters
        ----------
        X : array, DataFrame, sparse matrix, tensor, path or Kind
            The rows. A 2-D array, a DataFrame, a CSV or Parquet file is a table; 3-D and 4-D arrays are pictures,
            as are a folder, a .zip or a list of picture files.
        y : array or DataFrame, optional
            Of a conditional model: labels, numbers (rows, columns) or both, one per row. Others ignore it.
        validation : like X, optional
            Held-out rows to use instead of a share of X; of a conditional model a pair (X, y).
        run : path, optional
            A folder to write: parameters, weights, log. It must not exist. None writes nothing.
        resume : bool
            Go on with the fit that was interrupted in the folder ``run``.

        Returns
        -------
        self

        Raises
        ------
        UsageError
            A parameter is wrong, a fit that goes on has parameters of other networks, or a model that is not registered is to be written to
            a run folder.
        DataError
            The rows cannot be used.
        RunError
            The folder ``run`` exists or cannot be written.
        DivergedError
            Terms are not finite any more, and half the learning rate did not help.
        MemoryLimitError
            A step does not fit into memory, in no number of parts.
        StoppedError
            A fit into the folder ``run`` was interrupted, and can be resumed.
        """
        if resume and run is None:
            raise UsageError(
                "resume=True goes on with a fit that was interrupted in a run folder. Give run=, the folder."
            )
        values = checked_parameters(self)
        values["conditional"] = self.conditional_on(y)
        continued = self.goes_on
        if continued:
            check_goes_on(self, values)
        if run is not None:
            name_of(type(self))  # one that is not registered could not be saved at the end
        folder = None if run is None else claim(run, resume=resume)
        held_out, held_out_y = pair_of(validation, self) if values["conditional"] else (validation, None)
        fitted, reader = self.kind_ if continued else None, type(self).__name__
        given = taken_in(X, held_out, values, reader=reader, fitted=fitted, constants=self.keeps_constants)
        if values["conditional"]:
            given = with_y(given, y, held_out_y, self.given_ if continued else None)
        seed = seed_from(self.random_state)
        if folder is None:
            with as_before_a_failure(self):
                self._learn(given, values, seed, continued=continued)
            return self
        seed = begin(folder, self._note(given, seed), resume=resume)["seed"]
        try:
            with as_before_a_failure(self):
                self._learn(given, values, seed, continued=continued, checkpoints=Checkpoints(folder))
            finish(folder, run_files(self))  # what was learned is there, also where this fails
        except BaseException as error:
            abandon(folder, hopeless=isinstance(error, DivergedError) and not resume)
            raise
        if self.history_.signal is not None:
            raise StoppedError(f"stopped when the fit was over; it is whole in {str(folder)!r}.", self.history_.signal)
        return self

    def _learn(
        self,
        given: Intake,
        values: dict[str, Any],
        seed: int,
        *,
        continued: bool,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Hold rows out, train, and set what a fitted model has."""
        given, findings = given.divided(values, seed)
        self.kind_: Kind = given.kind
        self.given_: Conditions | None = given.conditions
        self.findings_: list[Finding] = [*(Finding("data", text) for text in given.kind.findings()), *findings]
        self.data_: dict[str, Any] = {
            "rows": given.n_rows,
            "trained_on": given.trained_on(),
            "fingerprint": given.digest,
        }
        self._train(given, values, seed, continued=continued, checkpoints=checkpoints)
        self.set_feature_attributes()

    def _note(self, given: Intake, seed: int) -> dict[str, Any]:
        """Return what a resumed fit must have in common with this one."""
        own = {name: repr(value) for name, value in self.get_params(deep=False).items() if name not in NOT_RESUMED}
        return {
            "engram": VERSION,
            "model": type(self).__name__,
            "parameters": own,
            **given.digests(),
            "seed": seed,
        }

    def prepare(self, values: dict[str, Any], *, continued: bool = False) -> None:
        """Set what networks and terms must know of the rows, by their kind; networks that go on learning keep their shapes."""
        if not continued:
            n_given = 0 if self.given_ is None else self.given_.size
            self.shapes_ = resolve_shapes(self.kind_, values, self.families, n_given)
        likelihood = self.kind_.likelihood()
        is_counted = self.corruption in THINNINGS and sees_logarithms(likelihood)
        self._counted = likelihood if is_counted else None  # what counts are taken back by in steps

    def check_rows(self, rows: Rows) -> None:
        """Raise `UsageError` where the corruption does not fit these rows."""
        x = rows.x if self._counted is None else to_counts(self._counted, rows.x)
        check_fits(self.corruption, x)

    def _train(
        self, given: Intake, values: dict[str, Any], seed: int, *, continued: bool, checkpoints: Checkpoints | None
    ) -> None:
        """Build the networks, let them learn, look at the result, and keep it."""
        rows, held_out = given.rows, given.held_out
        device = usable_device(self.device)
        values = settled(values, self.automatic(self.kind_) | self.suited(rows))
        self.prepare(values, continued=continued)
        self.check_rows(rows)
        with seeded(seed, device):
            nets = copy.deepcopy(self.network_) if continued else Nets(self.roles(self.shapes_))
            self._turns = (Turn(type(self).__name__.lower(), tuple(nets)),)
            began = not continued and self.start(nets, rows)
            self.settings_ = resolve_settings(nets, given.trained_on(), values, seed, str(device), began=began)
            with threads(self.settings_.threads), listening(self, nets, rows.y, checkpoints) as progress:
                self._run(nets, given, device, progress, checkpoints)
                if began and self.history_.best_step == 0:
                    self._keep_start(nets, rows, held_out)
                with torch.no_grad():
                    self.findings_ += self.finish(nets, rows, held_out)
                self.findings_ += diagnose(self, nets, rows, held_out, given.trained_on())
        self.network_: Nets = nets
        remember(self)
        self.findings_ += [Finding("scale", text) for text in self.likelihood_findings()]
        self.loss_curve_ = self.history_.losses
        self.n_iter_ = max(1, round(self.history_.reports[-1]["epoch"])) if self.history_.reports else 1

    def _run(
        self,
        nets: Nets,
        given: Intake,
        device: torch.device,
        progress: Progress | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        """Run the loop, on the device that was asked for."""
        rows, held_out = given.rows, given.held_out
        nets.to(device)
        watched = held_out.to(device) if held_out is not None and self.watches else None
        source = given.batches(self.settings_.batch_size, self.settings_.seed, device) or rows.to(device)
        try:
            self.history_ = train(self, nets, source, watched, self.settings_, progress, checkpoints)
        except NotFiniteError as error:
            raise named(error, None if given.stream else rows.index, self.kind_) from None
        self.findings_ += self.history_.findings()
        nets.to("cpu")

    def _keep_start(self, nets: Nets, rows: Rows, held_out: Rows | None) -> None:
        """Training did not beat the closed form: take the closed form of all rows, the held-out ones included."""
        self.start(nets, rows if held_out is None else joined(rows, held_out))
        told = "training did not beat the start at principal components on held-out rows, so the start was kept"
        self.findings_.append(Finding("kept-start", told, "These rows look linear: PCA does as well"))

    def set_feature_attributes(self) -> None:
        """Set scikit-learn's attributes about the columns seen at fit."""
        self.n_features_in_ = self.kind_.n_features
        names = self.kind_.feature_names()
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def described(self) -> dict[str, Any]:
        """Return the parameters that JSON has otherwise, as it has them."""
        return {}

    def may_change(self) -> set[str]:
        """Return the parameters that may be others when a fit goes on: those that only decide how networks learn."""
        return {*TRAINING, *self.at_use}

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return what a fit found besides weights, to be saved."""
        return {}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `fitted_tensors` gave."""

    def likelihood_findings(self) -> list[str]:
        """What the fitted distribution has to say."""
        likelihood = getattr(getattr(self.network_, "decoder", None), "likelihood", None)
        return [] if likelihood is None else list(likelihood.findings())

    def corrupted(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the input of a step: corrupted while learning, clean otherwise."""
        if self.corruption is None or not nets.training:
            return batch.x
        return self.corrupt(batch.x, batch)

    def corrupt(self, x: Tensor, batch: Batch) -> Tensor:
        """Return rows corrupted; where counts are taken away, also of columns that networks see as logarithms."""
        groups = self.kind_.groups
        rest = (self.corruption_level, groups, batch.generator, batch.mask)
        assert self.corruption is not None
        if self._counted is None:
            return corrupted(self.corruption, x, *rest)
        seen = observed(x, batch.mask, groups)
        likelihood = self._counted.to(x.device)
        counts = to_counts(likelihood, x)
        found = from_counts(likelihood, corrupted(self.corruption, torch.where(seen, counts, 0.0), *rest))
        return torch.where(seen, found, 0.0).to(x.dtype)

    # --- using ---

    @contextmanager
    def fitted(self) -> Iterator[Nets]:
        """Give the fitted networks for inference: without gradients, on the threads that the fit used."""
        check_is_fitted(self, "network_")
        with threads(self.settings_.threads), torch.no_grad():
            yield self.network_.eval()

    def given_y(self, y: Any, n_rows: int, *, one_for_all: bool = False) -> Tensor | None:
        """Return y as networks of a conditional model take it, (rows, values), or None for other models, which ignore it."""
        check_is_fitted(self, "network_")
        if self.given_ is None:
            return None
        if y is None:
            raise UsageError(f"this {type(self).__name__} is conditional: give y= (on the command line --label).")
        return self.given_.repeated(y, n_rows) if one_for_all else self.given_.encode(y, n_rows)

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes to sample from."""
        raise UsageError(
            f"{type(self).__name__} cannot sample: it knows no distribution of codes. Fit a VAE (`engram fit vae`) to generate rows."
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the fitted model as a run folder, at once or not at all; an existing run folder is replaced only with ``force``.

        Saved are the parameters of the fit: those set afterwards take effect at the next one (``alert_rate``, ``verbose`` and
        ``warm_start`` at once).
        """
        check_is_fitted(self, "network_")
        write(Path(path), run_files(self), force=force)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
