"""How pythae is run here: its training pipeline with its defaults, and networks of ours in the classes it asks for."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from typing import Any

import numpy as np
import pythae.pipelines
import torch
from bare import mlp
from pythae.models import (
    AE,
    IWAE,
    VAE,
    VQVAE,
    AEConfig,
    BetaTCVAE,
    BetaTCVAEConfig,
    IWAEConfig,
    VAEConfig,
    VQVAEConfig,
)
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainerConfig
from torch import Tensor

logging.disable(logging.INFO)  # its messages; its progress bars stay, and are thrown away


class TwoHeads(BaseEncoder):
    """An encoder of linear layers and ELU that gives mean and log variance."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.latent_dim = sizes[-1]
        self.layers = mlp([*sizes[:-1], 2 * sizes[-1]])

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_var = self.layers(x).chunk(2, 1)
        return ModelOutput(embedding=mean, log_covariance=log_var)


class OneHead(BaseEncoder):
    """An encoder of linear layers and ELU that gives a code."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.latent_dim = sizes[-1]
        self.layers = mlp(sizes)

    def forward(self, x: Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.layers(x))


class Linear(BaseDecoder):
    """A decoder of linear layers and ELU, without a sigmoid at the end."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.layers = mlp(sizes[::-1])

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def vae(sizes: list[int] | None, columns: int, code_size: int) -> VAE:
    """A VAE with pythae's own network, or with layers of these sizes."""
    config = VAEConfig(input_dim=(columns,), latent_dim=code_size)
    return VAE(config) if sizes is None else VAE(config, encoder=TwoHeads(sizes), decoder=Linear(sizes))


def variant(name: str, sizes: list[int], **given: Any) -> Any:
    """One of `VARIANTS` with layers of these sizes."""
    model, config, encoder = VARIANTS[name]
    made = config(input_dim=(sizes[0],), latent_dim=sizes[-1], **given)
    return model(made, encoder=encoder(sizes), decoder=Linear(sizes))


VARIANTS: dict[str, tuple[Any, Any, Any]] = {
    "beta-tc-vae": (BetaTCVAE, BetaTCVAEConfig, TwoHeads),
    "iwae": (IWAE, IWAEConfig, TwoHeads),
    "vq-vae": (VQVAE, VQVAEConfig, OneHead),
}


def train(model: Any, x: np.ndarray, held_out: np.ndarray | None = None, **settings: Any) -> None:
    """Train by pythae's pipeline; its files go to a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        config = BaseTrainerConfig(output_dir=folder, **settings)
        pythae.pipelines.TrainingPipeline(model=model, training_config=config)(x, held_out)


def default_autoencoder_r2(train_rows: np.ndarray, test_rows: np.ndarray, code_size: int, **settings: Any) -> float:
    """R2 on test rows of pythae's AE with its default network and training."""
    model = AE(AEConfig(input_dim=(train_rows.shape[1],), latent_dim=code_size))
    train(model, train_rows.astype(np.float32), **settings)
    with torch.no_grad():
        back = model.eval()({"data": torch.as_tensor(test_rows, dtype=torch.float32)}).recon_x.numpy()
    return float(1 - np.square(test_rows - back).sum() / np.square(test_rows - test_rows.mean(0)).sum())
