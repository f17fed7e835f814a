"""Engram: learn traces from data that nobody labelled, and put them to work.

The public names are imported on first use, so that ``import engram`` loads neither torch nor scikit-learn nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engram.version import VERSION

__version__ = VERSION

_HOME = {
    "AnomalyDetector": "engram.apps.anomaly",
    "GAN": "engram.models.gan",
    "VAE": "engram.models.vae",
    "Autoencoder": "engram.models.autoencoder",
    "Recommender": "engram.apps.recommendation",
    "Synthesizer": "engram.apps.synthesis",
    "TopicModel": "engram.apps.topics",
    "compare": "engram.evaluation",
    "create": "engram.loading",
    "data": "engram.data",
    "errors": "engram.errors",
    "evaluate": "engram.evaluation",
    "load": "engram.loading",
    "metrics": "engram.metrics",
}
__all__ = [
    "GAN",
    "VAE",
    "AnomalyDetector",
    "Autoencoder",
    "Recommender",
    "Synthesizer",
    "TopicModel",
    "compare",
    "create",
    "data",
    "errors",
    "evaluate",
    "load",
    "metrics",
]

if TYPE_CHECKING:
    from engram import data, errors, metrics
    from engram.apps.anomaly import AnomalyDetector
    from engram.apps.recommendation import Recommender
    from engram.apps.synthesis import Synthesizer
    from engram.apps.topics import TopicModel
    from engram.evaluation import compare, evaluate
    from engram.loading import create, load
    from engram.models.autoencoder import Autoencoder
    from engram.models.gan import GAN
    from engram.models.vae import VAE


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'engram' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(_HOME[name])
    value = module if _HOME[name] == f"engram.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
