"""Images: handwritten digits, moved, scaled in brightness and noised, by a CNN.

The 1,797 digits of 8 x 8 pixels come with scikit-learn. Every batch changes its images at random:
moved by up to one pixel, brightness by .7 to 1.3, noise of standard deviation .25. One digit in
four is held out, each changed in sixteen fixed ways: the value is the cross-entropy over 7,200.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hidim.contest.entries import Task
from hidim.support.extras import require

BATCH, WAYS, NOISE = 32, 16, 0.25


def changed(images: Tensor, generator: Any) -> Tensor:
    """Images (n, 1, 8, 8), each moved, scaled and noised at random."""
    n = len(images)
    moved = torch.randint(3, (n, 2), generator=generator)
    wide = nn.functional.pad(images, (1, 1, 1, 1))
    rows = moved[:, :1] + torch.arange(8)  # (n, 8)
    columns = moved[:, 1:] + torch.arange(8)
    cut = wide[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]]
    bright = 0.7 + 0.6 * torch.rand(n, 1, 1, generator=generator)
    noised = cut * bright + NOISE * torch.randn(n, 8, 8, generator=generator)
    return noised[:, None]


class Digits:
    """Images and labels, trained on and held out."""

    tokens = BATCH

    def __init__(self) -> None:
        datasets: Any = require("sklearn.datasets", "contest")
        found = datasets.load_digits()
        images = torch.from_numpy(np.asarray(found.images)).float()[:, None] / 16
        labels = torch.from_numpy(np.asarray(found.target)).long()
        held = torch.arange(len(labels)) % 4 == 0
        self._train = images[~held], labels[~held]
        ways = torch.Generator().manual_seed(8)
        self._held_out = (
            torch.cat([changed(images[held], ways) for _ in range(WAYS)]),
            labels[held].repeat(WAYS),
        )
        digest = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:12]

    def model(self) -> nn.Module:
        """Two convolutions and a linear layer."""
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128, 10),
        )

    def loss(self, model: Any, generator: Any) -> Tensor:
        """Cross-entropy of changed images."""
        images, labels = self._train
        chosen = torch.randint(len(images), (BATCH,), generator=generator)
        return nn.functional.cross_entropy(
            model(changed(images[chosen], generator)), labels[chosen]
        )

    def value(self, model: Any) -> float:
        """Cross-entropy of the held-out images in all their ways."""
        images, labels = self._held_out
        return float(nn.functional.cross_entropy(model(images), labels))


TASK = Task(
    "images-cnn",
    "digits of 8 x 8 pixels, moved and noised, four-layer CNN",
    steps=1200,
    seconds=3.4,
    load=Digits,
    output=("7.weight",),
)
