"""What models are put together from: encoders and decoders of any family, or the user's own, and their start at principal components."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.errors import UsageError
from engram.likelihoods import Likelihood
from engram.maths.linear import principal_components, probabilistic_pca
from engram.maths.regression import regression
from engram.networks import NETWORKS, Body, Coder, Network, linear_part
from engram.networks.conditional import Conditional, joined_shape

LEAST_NOISE = 1e-4  # variance of the noise at a start, in standardised units
SMALL_NOISE = 0.02  # ... where the code is as large as the row, about e^-4


class Decoder(nn.Module):
    """A network from codes to outputs, and the distribution that these parametrise.

    Parameters
    ----------
    network : nn.Module
        (rows, code size) -> (rows, ...) in the shape of a row.
    likelihood : Likelihood
        The distribution of a row given the output.
    """

    def __init__(self, network: nn.Module, likelihood: Likelihood) -> None:
        super().__init__()
        self.network = network
        self.likelihood = likelihood

    def forward(self, z: Tensor, *given: Tensor) -> Tensor:
        return cast("Tensor", self.network(z, *given))


@dataclass
class Shapes:
    """All that decides the networks of a fit.

    Parameters
    ----------
    row : tuple of int
        Shape of an encoded row.
    code_size : int
        Dimensions of the code.
    widths : tuple of int
        Widths of the hidden layers.
    family : str
        Name of the family of networks.
    skip : bool
        Whether coders have a linear path beside them.
    dropout : float
        Share of hidden values dropped in training.
    likelihood : Likelihood
        A fresh distribution of rows.
    modules : dict
        The user's own networks by role.
    given : int
        Values of y that networks of a conditional model take beside their input: ``net(x, y)``.
    """

    row: tuple[int, ...]
    code_size: int
    widths: tuple[int, ...]
    family: str
    skip: bool
    dropout: float
    likelihood: Likelihood
    modules: dict[str, nn.Module] = field(default_factory=dict)
    given: int = 0

    def encoder(self, heads: int = 1, families: Mapping[str, Network] = NETWORKS) -> nn.Module:
        """Return a network from rows to ``heads`` numbers per code unit."""
        shape = (heads * self.code_size,)
        planes = self.family != "mlp" and "encoder" not in self.modules
        row = joined_shape(self.row, self.given, planes=planes) if self.given else self.row
        if "encoder" in self.modules:
            coder = self._own("encoder", torch.zeros(2, *row), shape)
        else:
            coder = Coder(families[self.family].encoder(row, self.widths, self.dropout), row, shape, skip=self.skip)
        return Conditional(coder, planes=planes) if self.given else coder

    def decoder(self, families: Mapping[str, Network] = NETWORKS) -> Decoder:
        """Return a network from codes to the likelihood's parameters."""
        if not (self.widths or self.modules):
            self.likelihood.unbound()
        size = self.code_size + self.given
        if "decoder" in self.modules:
            coder = self._own("decoder", torch.zeros(2, size), self.row)
        else:
            body = families[self.family].decoder(size, self.row, self.widths, self.dropout)
            coder = Coder(body, (size,), self.row, skip=self.skip)
        return Decoder(Conditional(coder) if self.given else coder, self.likelihood)

    def generator(self, families: Mapping[str, Network]) -> Decoder:
        """Return a network from noise to rows: a decoder whose likelihood has nothing to learn, since no row is compared with its own."""
        generator = self.decoder(families)
        generator.likelihood.unbound()  # a clamped pixel could go ever further off unseen; the discriminator keeps it in its range
        generator.likelihood.requires_grad_(False)
        return generator

    def _own(self, role: str, x: Tensor, shape: tuple[int, ...]) -> nn.Module:
        """Return a copy of the user's module, with a head where its output is not of the shape needed."""
        module = copy.deepcopy(self.modules[role])
        try:
            with torch.no_grad():
                y = module.eval()(x)
        except Exception as error:
            raise UsageError(f"{role}= cannot take a batch of shape {tuple(x.shape)}: {error}") from error
        if not isinstance(y, Tensor) or y.dim() < 2 or len(y) != len(x):
            raise UsageError(
                f"{role}= must turn (rows, ...) into one tensor (rows, ...); it gave {getattr(y, 'shape', type(y).__name__)}."
            )
        features = tuple(y.shape[1:])
        return module if features == shape else Coder(Body(module, features), tuple(x.shape[1:]), shape)


@torch.no_grad()
def start_at_components(
    encoder: nn.Module, decoder: Decoder, rows: Rows, code_size: int, *, probabilistic: bool
) -> bool:
    """Set linear paths so that training begins at principal components; return False where a network has no linear path.

    ``probabilistic`` sets the closed form of probabilistic PCA: codes of unit variance, exact posterior means and variances.
    """
    coders = [net.network if isinstance(net, Conditional) else net for net in (encoder, decoder.network)]
    if not (isinstance(coders[0], Coder) and isinstance(coders[1], Coder)):
        return False
    into, out = linear_part(coders[0]), linear_part(coders[1])
    if into is None or out is None:
        return False
    x = rows.x.flatten(1)
    k, d = code_size, x.shape[1]
    by_y, known = (x.new_zeros(0, d).double(), x.new_zeros(0).double()) if rows.y is None else regression(x, rows.y)
    found = principal_components(x if rows.y is None else x - ((rows.y - known) @ by_y).float(), min(k, d))
    base = found.mean - known @ by_y  # where y is zero
    link = decoder.likelihood.link(found.mean.float().view(decoder.likelihood.shape))
    slope, offset = link.slope.flatten(), link.output.flatten()
    if probabilistic:
        model = probabilistic_pca(found, floor=LEAST_NOISE if k < d else SMALL_NOISE)
        weight, inverse, spread = model.weight, model.encoder, model.noise
        log_var = model.posterior.clamp(min=1e-8).log()
    else:
        weight, inverse, spread = found.vectors.T, found.vectors, found.residual * max(d - k, 1) / d
        log_var = None
    for coder, (linear, last) in zip(coders, (into, out), strict=True):
        if coder.skip is not None:
            last.weight.zero_()
        linear.weight.zero_()
        last.bias.zero_()
    rank = len(inverse)
    into[0].weight[:rank] = torch.cat([inverse, -inverse @ by_y.T], 1).float()
    into[1].bias[:rank] = -(inverse @ base).float()
    if log_var is not None:
        into[1].bias[k : k + rank] = log_var.float()
    out[0].weight[:, :rank] = slope[:, None] * weight.float()
    out[0].weight[:, k:] = slope[:, None] * by_y.T.float()
    out[1].bias.copy_(offset - slope * (known @ by_y).float())
    decoder.likelihood.start(spread.float().sqrt())
    return True
