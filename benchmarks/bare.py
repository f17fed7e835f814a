"""Bare PyTorch loops with the same arithmetic as Engram's fits: what the loop is measured against."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor, nn

LOG_2_PI = math.log(2 * math.pi)


def mlp(sizes: list[int]) -> nn.Sequential:
    """Return Linear layers with ELU between them and none at the end."""
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers += [nn.Linear(sizes[i], sizes[i + 1])] + ([nn.ELU()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*layers)


def negative_log_normal(x: Tensor, output: Tensor, log_scale: Tensor) -> Tensor:
    """- log N(x; output, exp(log_scale)^2), summed over columns, per row."""
    squared = (x - output).square().sum(1)
    return squared * (0.5 * (-2 * log_scale).exp()) + x.shape[1] * (log_scale + 0.5 * LOG_2_PI)


class BareAutoencoder(nn.Module):
    """Encoder, decoder and a learned scale."""

    def __init__(self, sizes: list[int], *, variational: bool = False) -> None:
        super().__init__()
        self.encoder = mlp([*sizes[:-1], sizes[-1] * (2 if variational else 1)])
        self.decoder = mlp(sizes[::-1])
        self.log_scale = nn.Parameter(torch.tensor(-2.0))
        self.variational = variational

    def loss(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        kl: Tensor | float = 0.0
        if self.variational:
            mean, log_var = code.chunk(2, 1)
            kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)
            code = torch.addcmul(mean, (0.5 * log_var).exp(), torch.randn_like(mean))
        return (negative_log_normal(x, self.decoder(code), self.log_scale) + kl).mean()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x)[:, : self.decoder[0].in_features])


def train(net: BareAutoencoder, x: Tensor, *, batch_size: int, epochs: int, learning_rate: float = 1e-3) -> float:
    """Train by fused Adam on shuffled index batches and return the CPU seconds of the loop."""
    optimiser = torch.optim.Adam(net.parameters(), lr=learning_rate, fused=True)
    begin = time.process_time()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for at in range(0, len(x), batch_size):
            loss = net.loss(x[order[at : at + batch_size]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return time.process_time() - begin
