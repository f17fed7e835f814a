"""Layers of an encoder and its decoder in pairs: sharing their weights, or learned one pair after the other before the whole.

Bengio, Lamblin, Popovici & Larochelle, Greedy Layer-Wise Training of Deep Networks, 2006; with corruption Vincent et al., Stacked Denoising
Autoencoders, JMLR 11, 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engram.corruptions import Level, corrupted
from engram.data.rows import Rows
from engram.errors import UsageError
from engram.likelihoods import Normal
from engram.models.parts import Decoder, Shapes
from engram.networks import Coder, linear_part
from engram.networks.linear import Transposed
from engram.training import Batch, Settings, Turn, train
from engram.training.nets import Nets
from engram.training.session import threads

SHARE = (
    0.25  # of the epochs (and the time) of a fit that go to each pair of layers, over the number of pairs for the time
)


def check_pairs(shapes: Shapes, parameter: str) -> None:
    """Raise `UsageError` where encoder and decoder are not made of pairs of fully connected layers."""
    if shapes.family != "mlp" or shapes.modules:
        own = "networks of your own" if shapes.modules else f"network={shapes.family!r}"
        raise UsageError(
            f"{parameter}=True needs fully connected layers in pairs, which {own} cannot promise. "
            "Use network='mlp' without encoder= and decoder=."
        )


def tie(encoder: Coder, decoder: Coder) -> None:
    """Replace each linear layer of the decoder by the transpose of its partner in the encoder; biases stay its own."""
    partners = [layer for _, _, layer in [*_linear(encoder.body), *_linear(encoder, "head")]]
    places = [*_linear(decoder.body), *_linear(decoder, "head")]
    for (parent, name, _), layer in zip(places, reversed(partners), strict=True):
        setattr(parent, name, Transposed(layer))
    if encoder.skip is not None:
        decoder.skip = Transposed(encoder.skip, bias=False)


def _linear(root: nn.Module, name: str = "") -> list[tuple[nn.Module, str, nn.Linear]]:
    """Return (parent, name, layer) of the linear layers below a module, in order, or of one child of it."""
    if name and isinstance(getattr(root, name), nn.Linear):
        return [(root, name, getattr(root, name))]
    parents = (getattr(root, name) if name else root).modules()
    return [(p, n, m) for p in parents for n, m in p.named_children() if isinstance(m, nn.Linear)]


@torch.no_grad()
def start_tied(nets: Nets, rows: Rows, begin: Callable[[Nets, Rows], bool]) -> bool:
    """Begin at principal components by ``begin``, which sets heads to zero: the decoder's is the encoder's first layer, and comes back."""
    link = nets.decoder.likelihood.link(rows.x.mean(0))
    if not bool((link.slope == 1).all()):  # the decoder's components would not be the encoder's
        return False
    first = next(m for m in nets.encoder.modules() if isinstance(m, nn.Linear))
    kept = first.weight.clone()
    if not begin(nets, rows) or nets.encoder.skip is None:
        return nets.encoder.skip is None and layer_of(nets.encoder) is not None
    network, zero = nets.decoder.network.eval(), torch.zeros(1, nets.decoder.network.skip.in_features)
    before = network(zero)
    first.weight.copy_(kept)
    last = next(m for m in network.head.modules() if isinstance(m, nn.Linear))
    last.bias.add_((before - network(zero)).flatten())
    network.train()
    return True


def layer_of(encoder: nn.Module) -> nn.Linear | None:
    """Return the only layer of an encoder that is one linear layer, else None."""
    found = linear_part(encoder) if isinstance(encoder, Coder) and encoder.skip is None else None
    return None if found is None else found[0]


def corrupted_hidden(name: str | None, x: Tensor, level: Level) -> Tensor:
    """Return hidden values corrupted as rows are, where that makes sense for them: they are neither pictures nor counts."""
    return corrupted(name, x, level) if name in ("gaussian", "masking", "salt-and-pepper", "swap") else x


@dataclass
class Pair:
    """A player that learns one layer of the encoder and its partner in the decoder as an autoencoder of their own.

    Parameters
    ----------
    corrupt : callable
        From a batch to its corrupted rows.
    """

    corrupt: Callable[[Batch], Tensor]

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn of both."""
        return (Turn("pair", ("encoder", "decoder")),)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- log p(h | decoder layer(encoder layer(corrupt(h)))) per row."""
        output = nets.decoder(nets.encoder(self.corrupt(batch)))
        return {"reconstruction": -nets.decoder.likelihood.log_prob(output, batch.x, batch.mask)}

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Nothing is left to do."""


def learn_in_pairs(
    nets: Nets,
    rows: Rows,
    settings: Callable[[Nets], Settings],
    corrupt: Callable[[Batch], Tensor],
    corrupt_hidden: Callable[[Batch], Tensor],
) -> None:
    """Learn the outermost pair of layers on rows, the next on the codes of that, and so on; all stay where they are in ``nets``."""
    down, up = (
        _pieces([*network.body.layers.children(), network.head]) for network in (nets.encoder, nets.decoder.network)
    )
    for depth, (into, out) in enumerate(zip(down, reversed(up), strict=True)):
        likelihood = nets.decoder.likelihood if depth == 0 else Normal(tuple(rows.x.shape[1:]))
        pair = Nets({"encoder": nn.Sequential(*into), "decoder": Decoder(nn.Sequential(*out), likelihood)})
        given = settings(pair)
        share = replace(
            given,
            max_epochs=max(1, round(SHARE * given.max_epochs)),
            max_time=None if given.max_time is None else SHARE * given.max_time / len(down),
        )
        device = torch.device(share.device)
        with threads(share.threads):
            train(Pair(corrupt if depth == 0 else corrupt_hidden), pair.to(device), rows.to(device), None, share)
            rows = _codes(pair.to("cpu"), rows)


def _pieces(layers: Sequence[nn.Module]) -> list[list[nn.Module]]:
    """Cut layers before each linear one but the first: [flatten, linear, activation], [linear, activation], ..."""
    found: list[list[nn.Module]] = [[]]
    for module in layers:
        if _is_linear(module) and any(map(_is_linear, found[-1])):
            found.append([])
        found[-1].append(module)
    return found


def _is_linear(module: nn.Module) -> bool:
    """Whether there is a linear layer in a layer or a head."""
    return any(isinstance(m, nn.Linear) for m in module.modules())


@torch.no_grad()
def _codes(pair: Nets, rows: Rows) -> Rows:
    return Rows(torch.cat([pair.encoder(part.x) for part in rows.blocks(4096)]))
