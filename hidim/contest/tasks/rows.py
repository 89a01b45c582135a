"""Rows of numbers: a pixel of a photograph from the pixels before it, by an MLP.

The photograph comes with scikit-learn (china.jpg). A row is 24 numbers, the colours of the eight
nearest pixels above and to the left, and three targets, all standardised. One block of 20 x 20
pixels in eight is held out, with every row that sees into one left out of training. The value is
the mean squared error over about 30,000 held-out rows, in units of the targets' variance.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hidim.contest.entries import Task
from hidim.support.extras import require

BATCH, WIDTH, BLOCK, EVERY = 64, 64, 20, 8
# The pixels before one, in rows and columns from it.
BEFORE = ((0, -1), (0, -2), (-1, -2), (-1, -1), (-1, 0), (-1, 1), (-2, -1), (-2, 0))


class Pixels:
    """Rows and targets, trained on and held out."""

    tokens = BATCH

    def __init__(self) -> None:
        datasets: Any = require("sklearn.datasets", "contest")
        require("PIL", "contest")
        photo = np.asarray(datasets.load_sample_image("china.jpg"), dtype=np.float64) / 255
        photo = (photo - photo.mean((0, 1))) / photo.std((0, 1))
        height, width, _ = photo.shape
        blocks = np.arange(-(-height // BLOCK))[:, None] * 7 + np.arange(-(-width // BLOCK)) * 3
        chosen = np.kron(blocks % EVERY == 0, np.ones((BLOCK, BLOCK), bool))[:height, :width]
        rows, columns = (part.ravel() for part in np.mgrid[2:height, 2 : width - 1])
        seen = np.stack([photo[rows + r, columns + c] for r, c in BEFORE], 1)
        touches = [chosen[rows + r, columns + c] for r, c in BEFORE]
        held = chosen[rows, columns]
        clean = ~(held | np.any(touches, axis=0))
        inputs = torch.from_numpy(seen.reshape(len(rows), -1)).float()  # (n, 24)
        targets = torch.from_numpy(photo[rows, columns]).float()  # (n, 3)
        self._train = inputs[clean], targets[clean]
        self._held_out = inputs[held], targets[held]
        digest = hashlib.sha256()
        for part in (*self._train, *self._held_out):
            digest.update(part.numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:12]

    def model(self) -> nn.Module:
        """Two hidden layers."""
        return nn.Sequential(
            nn.Linear(3 * len(BEFORE), WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, 3),
        )

    def loss(self, model: Any, generator: Any) -> Tensor:
        """Mean squared error of rows from anywhere."""
        inputs, targets = self._train
        chosen = torch.randint(len(inputs), (BATCH,), generator=generator)
        return (model(inputs[chosen]) - targets[chosen]).square().mean()

    def value(self, model: Any) -> float:
        """Mean squared error of the held-out rows."""
        inputs, targets = self._held_out
        return float((model(inputs) - targets).square().mean())


TASK = Task(
    "rows-mlp",
    "a pixel of a photograph from 24 numbers before it, three-layer MLP",
    steps=2000,
    seconds=2.2,
    load=Pixels,
    output=("4.weight",),
)
