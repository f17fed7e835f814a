"""Spectral normalisation: layers that stretch nothing (Miyato et al. 2018, arXiv:1802.05957)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


def limit(network: nn.Module) -> None:
    """Let no layer stretch anything: divide weights by their largest singular value (arXiv:1802.05957, equation 11)."""
    for module in list(network.modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
            if not module.weight.is_meta and not bool(module.weight.any()):  # of no direction in particular
                nn.init.normal_(module.weight)
            _normalise(module)


def _normalise(layer: nn.Module) -> None:
    """Normalise a layer's weight; torch refuses to pickle such a layer, whose class is made for it alone, so we say how."""
    nn.utils.parametrizations.spectral_norm(layer)
    setattr(type(layer), "__reduce_ex__", _reduced)  # noqa: B010


def _reduced(layer: Any, protocol: Any) -> tuple[Any, ...]:
    """Return what a normalised layer is pickled as: the layer without its norm, and the directions that the norm goes by."""
    norm = layer.parametrizations["weight"]
    state = layer.__dict__ | {
        "_modules": {name: module for name, module in layer._modules.items() if name != "parametrizations"},
        "_parameters": layer._parameters | {"weight": norm.original},
    }
    return _restored, (parametrize.type_before_parametrizations(layer), state, dict(norm[0].named_buffers()))


def _restored(cls: type[nn.Module], state: dict[str, Any], directions: dict[str, Tensor]) -> nn.Module:
    """Return a normalised layer from what `_reduced` gave; the global random state stays as it is."""
    layer: Any = cls.__new__(cls)
    layer.__setstate__(state)
    with torch.random.fork_rng(devices=[]):
        _normalise(layer)
    layer.parametrizations["weight"][0].load_state_dict(directions)
    found: nn.Module = layer.train(layer.training)
    return found
