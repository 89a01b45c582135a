"""Least squares on power-law random features with several outputs and label noise.

x = W^T (j^-alpha z_j),  y = B^T (j^-alpha z_j) + noise,  z Gaussian in v dimensions, W (v, d), and
B (v, m) of independent columns with coefficients falling as j^-beta: PLRF (arXiv 2405.15074), with
m outputs, so that the unknown is a matrix. The value is the population risk above its floor, by the
covariance and not by sampling, over that at the start: it has no noise of its own.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from hidim.contest.entries import Task

ALPHA, BETA = 1.0, 0.7
HIDDEN, FEATURES, OUTPUTS = 512, 128, 32
SCALE = 4.0  # of the features: brings the best rates near the usual defaults
NOISE = 0.1  # of every output; its signal has variance 1
BATCH = 32


class PowerLaw:
    """The random matrices, the same for every run."""

    tokens = BATCH

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(20_240_515)
        j = torch.arange(1, HIDDEN + 1, dtype=torch.float64)
        normal = torch.randn(HIDDEN, FEATURES, generator=generator, dtype=torch.float64)
        signs = torch.randn(HIDDEN, OUTPUTS, generator=generator, dtype=torch.float64)
        data, target = j[:, None] ** -ALPHA, j[:, None] ** -BETA
        features = SCALE * data * normal / FEATURES**0.5  # (v, d)
        wanted = data * target * signs
        wanted /= wanted.square().sum(0).sqrt()  # (v, m), variance 1
        self._features, self._wanted = features.float(), wanted.float()
        covariance = features.T @ features
        self._best = torch.linalg.solve(covariance, features.T @ wanted)  # (d, m)
        self._root = torch.linalg.cholesky(covariance).T
        self._start = (self._root @ self._best).square().mean().item()
        digest = hashlib.sha256(self._features.numpy().tobytes() + self._wanted.numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:12]

    def model(self) -> nn.Module:
        """A linear map that starts at zero."""
        linear = nn.Linear(FEATURES, OUTPUTS, bias=False)
        nn.init.zeros_(linear.weight)
        return linear

    def loss(self, model: Any, generator: Any) -> Tensor:
        """Half the mean squared residual of fresh samples."""
        z = torch.randn(BATCH, HIDDEN, generator=generator)
        noise = NOISE**0.5 * torch.randn(BATCH, OUTPUTS, generator=generator)
        residual = model(z @ self._features) - z @ self._wanted - noise
        return 0.5 * residual.square().sum(1).mean()

    def value(self, model: Any) -> float:
        """Excess of the population risk over the start's."""
        error = model.weight.double().T - self._best
        return (self._root @ error).square().mean().item() / self._start


TASK = Task(
    "least-squares",
    "matrix least squares on power-law random features (PLRF) with label noise",
    steps=2000,
    seconds=1.9,
    load=PowerLaw,
)
