"""Codes of unit variance from a start at principal components, with a decoder that undoes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.models.parts import Decoder
from engram.networks import Coder, linear_part

LEAST = 1e-3  # standard deviation, in standardised units, below which a code unit says nothing and is left as it is


@torch.no_grad()
def encoded(encoder: nn.Module, rows: Rows) -> Tensor:
    """Return what an encoder makes of rows, block by block; unlike `Codes.codes_of`, whatever the model makes of that."""
    return torch.cat([encoder(part.x) for part in rows.blocks(4096)])


@torch.no_grad()
def whiten(encoder: nn.Module, decoder: Decoder, rows: Rows) -> Tensor:
    """Divide each code unit of two linear paths by its standard deviation over rows; return the codes, (rows, code size).

    Reconstructions stay what they were. The networks are such as `start_at_components` has set.
    """
    codes = encoded(encoder, rows)
    spread = codes.std(0, unbiased=False)
    spread = torch.where(spread > LEAST, spread, 1.0)
    assert isinstance(encoder, Coder)
    into = linear_part(encoder)
    assert into is not None
    into[0].weight.div_(spread[:, None])
    into[1].bias.div_(spread)
    rescale(decoder, spread)
    return codes / spread


@torch.no_grad()
def rescale(decoder: Decoder, factor: Tensor) -> None:
    """Multiply what a linear path makes of each code unit by a factor, (code size,)."""
    assert isinstance(decoder.network, Coder)
    out = linear_part(decoder.network)
    assert out is not None
    out[0].weight.mul_(factor)
