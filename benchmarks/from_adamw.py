"""Is ADANA by `from_adamw`, without a sweep, as good as the AdamW it came from?

    python benchmarks/from_adamw.py FOLDER

Three small tasks, five seeds, cosine after a warm-up of 5 %, gradients clipped at 1, AdamW at the
best rate of an earlier sweep with weight decay .1. One JSON per run in FOLDER; those there are
not run again. Prints the table of docs/benchmarks/from-adamw.md.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hidim.lab.text.sources import read_text
from hidim.torch import from_adamw

SEEDS = range(5)


def friedman(seed: int) -> tuple[nn.Module, Callable[[int], Any], Callable[[Any], Any]]:
    """Regression on Friedman's first function by a perceptron; validation mean squared error."""
    rng = np.random.default_rng(1000 + seed)

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = rng.random((n, 10))
        y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
        y = y + 10 * x[:, 3] + 5 * x[:, 4] + rng.standard_normal(n)
        return torch.tensor(x).float(), torch.tensor((y - 14.4) / 5).float()[:, None]

    model = nn.Sequential(
        nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    x, y = draw(2000)
    held = draw(2000)

    def loss(step: int) -> Any:
        rows = torch.from_numpy(rng.integers(0, len(x), 64))
        return (model(x[rows]) - y[rows]).pow(2).mean()

    return model, loss, lambda _: (model(held[0]) - held[1]).pow(2).mean()


def digits(seed: int) -> tuple[nn.Module, Callable[[int], Any], Callable[[Any], Any]]:
    """Classification of 8 x 8 digits by a small convolutional net; validation cross-entropy."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(2000 + seed)
    found = load_digits()
    order = rng.permutation(len(found.target))
    x = torch.tensor(found.images[order] / 16).float()[:, None]
    y = torch.tensor(found.target[order])
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip

    def loss(step: int) -> Any:
        rows = torch.from_numpy(rng.integers(0, 1300, 64))
        return nn.functional.cross_entropy(model(x[rows]), y[rows])

    return model, loss, lambda _: nn.functional.cross_entropy(model(x[1300:]), y[1300:])


class Characters(nn.Module):
    """One or two blocks of attention over bytes."""

    def __init__(self, width: int = 64, context: int = 64) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(256, width), nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(width, 256)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.place(torch.arange(tokens.shape[1]))
        return self.out(self.blocks(x, mask=self.mask, is_causal=True))


def characters(seed: int) -> tuple[nn.Module, Callable[[int], Any], Callable[[Any], Any]]:
    """Next byte of the standard library's text by a transformer; validation nats per byte."""
    text = read_text("stdlib", max_mb=2)
    train = np.frombuffer("".join(text.train).encode(), dtype=np.uint8)
    held = np.frombuffer("".join(text.validation).encode(), dtype=np.uint8)
    rng = np.random.default_rng(3000 + seed)
    model = Characters()

    def windows(data: np.ndarray, starts: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([data[i : i + 65] for i in starts]).astype(np.int64))

    fixed = windows(held, np.linspace(0, len(held) - 66, 128).astype(int))

    def cross(w: torch.Tensor) -> Any:
        return nn.functional.cross_entropy(model(w[:, :-1]).flatten(0, 1), w[:, 1:].flatten())

    def loss(step: int) -> Any:
        return cross(windows(train, rng.integers(0, len(train) - 65, 16)))

    return model, loss, lambda _: cross(fixed)


TASKS = {"friedman": (friedman, 1500, 3e-3), "digits": (digits, 600, 1e-2),
         "characters": (characters, 600, 3e-3)}  # fmt: skip


def run(task: str, method: str, seed: int) -> float:
    torch.manual_seed(seed)
    make, steps, lr = TASKS[task]
    model, loss, held = make(seed)
    if method == "adamw":
        optimizer: Any = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
    else:
        optimizer = from_adamw(model.parameters(), lr=lr, weight_decay=0.1, steps=steps)

    def factor(t: int) -> float:
        warm = steps // 20
        return min((t + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(t / steps, 1.0))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    best = math.inf
    for t in range(steps):
        optimizer.zero_grad()
        loss(t).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if t % 50 == 49:
            model.eval()
            with torch.no_grad():
                best = min(best, float(held(t)))
            model.train()
    return best


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        found: dict[str, list[float]] = {"adamw": [], "from_adamw": []}
        for seed in SEEDS:
            for method, losses in found.items():
                path = folder / f"{task}-{method}-{seed}.json"
                if not path.exists():
                    path.write_text(json.dumps(run(task, method, seed)))
                losses.append(json.loads(path.read_text()))
        pairs = np.array(found["from_adamw"]) - np.array(found["adamw"])
        half = 2.776 * pairs.std(ddof=1) / math.sqrt(len(pairs))  # t with 4 degrees of freedom
        means = {name: float(np.mean(x)) for name, x in found.items()}
        print(task, means, f"difference {pairs.mean():+.4f} +- {half:.4f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
