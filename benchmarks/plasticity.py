"""Does plain training lose the ability to learn when the task keeps changing, and projection not?

    python benchmarks/plasticity.py FOLDER

A perceptron memorises random labels of 512 handwritten digits; every 150 updates all labels are
drawn anew. Four ways, five seeds: Adam; Adam with normalised layers; the same with weight decay;
the same with `NormalizeAndProject`. The rate of each is the best of three on other seeds, by the
accuracy over all tasks. One JSON per run in FOLDER; those there are not run again. Prints the
tables of docs/benchmarks/plasticity.md.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from hidim.torch import NormalizeAndProject

TASKS, UPDATES, BATCH, ROWS, WIDTH = 60, 150, 64, 512, 64
METHODS = ("adam", "normalised", "decay", "projected")
RATES = (1e-3, 3e-3, 1e-2)
SWEEP, SEEDS = (100,), range(5)


def network(normalised: bool) -> nn.Sequential:
    """64-WIDTH-WIDTH-10; normalised layers have neither offset nor gain."""
    layers: list[nn.Module] = []
    for inside in (64, WIDTH):
        layers.append(nn.Linear(inside, WIDTH, bias=not normalised))
        if normalised:
            layers.append(nn.LayerNorm(WIDTH, elementwise_affine=False))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def run(method: str, lr: float, seed: int) -> dict[str, Any]:
    """Accuracy at the end of each task, the size of the hidden weights and the dead units."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(1797)[:ROWS]
    x = torch.tensor(load_digits().data[rows] / 8 - 1).float()
    model = network(method != "adam")
    hidden = [layer.weight for layer in model if isinstance(layer, nn.Linear)][:2]
    optimizer: Any = torch.optim.AdamW(
        model.parameters(), lr=lr, weight_decay=0.1 if method == "decay" else 0.0, fused=True
    )
    if method == "projected":
        optimizer = NormalizeAndProject(optimizer)
    accuracy, norms = [], []
    for _ in range(TASKS):
        y = torch.from_numpy(rng.integers(0, 10, ROWS))
        for _ in range(UPDATES):
            some = torch.from_numpy(rng.integers(0, ROWS, BATCH))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[some]), y[some]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy.append(float((model(x).argmax(1) == y).float().mean()))
        norms.append(float(sum(w.detach().pow(2).sum() for w in hidden) ** 0.5))
    return {"accuracy": accuracy, "norms": norms}


def kept(folder: Path, method: str, lr: float, seed: int) -> dict[str, Any]:
    path = folder / f"{method}-{lr:g}-{seed}.json"
    if not path.exists():
        start = time.process_time()
        found = run(method, lr, seed)
        path.write_text(json.dumps({**found, "cpu_s": time.process_time() - start}))
    return json.loads(path.read_text())


def interval(values: list[float]) -> str:
    """Mean and half-width of the 95 % interval of five."""
    return f"{np.mean(values):.3f} ± {2.776 * np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    best = {}
    for method in METHODS:
        means = {
            lr: np.mean([np.mean(kept(folder, method, lr, s)["accuracy"]) for s in SWEEP])
            for lr in RATES
        }
        best[method] = max(means, key=means.__getitem__)
        print(method, {lr: round(float(mean), 3) for lr, mean in means.items()})
    early, late = slice(0, 10), slice(TASKS - 10, TASKS)
    print("\n| | rate | tasks 1–10 | tasks 51–60 | change | norm, last to first |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method in METHODS:
        runs = [kept(folder, method, best[method], seed) for seed in SEEDS]
        first = [float(np.mean(r["accuracy"][early])) for r in runs]
        last = [float(np.mean(r["accuracy"][late])) for r in runs]
        change = [b - a for a, b in zip(first, last, strict=True)]
        growth = [r["norms"][-1] / r["norms"][0] for r in runs]
        cells = (interval(first), interval(last), interval(change), f"{np.mean(growth):.2f}")
        print(f"| {method} | {best[method]:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
