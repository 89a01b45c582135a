"""Do activations move by the same amount at every width, so that one rate holds for all?

A model of each size takes a few steps on the same windows at the same rate. At every site x, the
size is rms(x) over entries on fixed held-out windows, the change rms(x_t - x_0); the slope is that
of log change against log width (or layers), one per seed, with Student's 95 % interval. Where one
rate holds over sizes every change has slope zero, and a wrong parametrization is off by a half or
a whole power: within a quarter of zero is called flat, and a slope that is not while its interval
reaches there, unclear.
Source: the coordinate check of arXiv 2203.03466, appendix D.1.
Limits: a few steps say nothing of what builds up over a run, and a small model is not a wide one:
slopes of four sizes are known to about a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from hidim.lab.text.batches import Batches, validation_windows
from hidim.lab.text.tokens import Tokens
from hidim.lab.training.entry import load_tokens
from hidim.lab.training.models import build, next_token_loss
from hidim.lab.training.optimizers import make_optimizer
from hidim.lab.training.rates import check_rates, rate_groups
from hidim.lab.training.settings import Settings
from hidim.support.checks import choice, whole
from hidim.support.results import Saved

TOLERANCE = 0.25
_PROBE = 16  # windows on which activations are looked at


@dataclass(frozen=True, eq=False)
class Coordinates(Saved, format="hidim-lab-coordinates/1"):
    """Sizes of activations over widths or depths.

    Attributes:
        over: "width" or "layers"; `values` are the ones tried, ascending.
        sites: where it was looked.
        steps: after how many steps, the first being 0.
        sizes: rms of the activations, shape (sites, values, seeds, steps).
        changes: rms of what training changed, of the same shape.
        slopes: exponent of the change in the size after the last step, a mean over seeds, (sites,).
        errors: half-widths of their 95 % intervals over seeds, (sites,); NaN of one seed.
    """

    over: str
    values: tuple[int, ...]
    sites: tuple[str, ...]
    steps: tuple[int, ...]
    sizes: np.ndarray
    changes: np.ndarray
    slopes: np.ndarray
    errors: np.ndarray

    def verdict(self, site: int) -> str:
        """Whether the change at a site is "flat", "grows", "shrinks" or "unclear"; "lost" if no
        number."""
        slope = self.slopes[site]
        if not np.isfinite(slope):
            return "lost"
        if abs(slope) < TOLERANCE:
            return "flat"
        if abs(slope) - self.errors[site] < TOLERANCE:
            return "unclear"
        return "grows" if slope > 0 else "shrinks"

    @property
    def holds(self) -> bool:
        """Whether it is flat everywhere."""
        return all(self.verdict(site) == "flat" for site in range(len(self.sites)))


def coordinates(
    settings: Settings,
    *,
    over: str = "width",
    values: Sequence[int] = (32, 64, 128, 256),
    seeds: int = 4,
    tokens: Tokens | None = None,
) -> Coordinates:
    """Sizes of activations over widths or depths, after `settings.steps` steps of training.

    Args:
        settings: of all models; over widths the heads keep their size, width / heads.
        over: "width" or "layers".
        values: at least two sizes.
        seeds: of the weights and of the order, from `settings.seed` on.
        tokens: the text already read.

    Raises:
        ValueError: no such size, or an optimizer whose rates are not known.
    """
    choice("over", over, ("width", "layers"))
    count = int(whole("seeds", seeds, minimum=1))
    sizes = sorted({int(whole(over, value, minimum=1)) for value in values})
    if len(sizes) < 2:
        raise ValueError(f"`over` needs two different values of {over} at least, got {sizes}.")
    check_rates(settings.parametrization, settings.optimizer)
    runs = [_sized(settings, over, size) for size in sizes]
    text = tokens or load_tokens(settings)
    found: list[list[dict[str, np.ndarray]]] = [
        [_one(run.replace(seed=run.seed + seed), text) for seed in range(count)] for run in runs
    ]
    # One block of many has less to say the more there are.
    sites = tuple(s for s in found[0][0] if over == "width" or s != "first block")
    both = np.array([[[one[site] for one in row] for row in found] for site in sites])
    slopes = np.array([_slopes(sizes, each[:, :, -1, 1]) for each in both])  # (sites, seeds)
    spread = slopes.std(axis=1, ddof=1) if count > 1 else np.full(len(sites), np.nan)
    return Coordinates(
        over=over,
        values=tuple(sizes),
        sites=sites,
        steps=tuple(_marks(settings.steps)),
        sizes=both[..., 0],
        changes=both[..., 1],
        slopes=slopes.mean(axis=1),
        errors=spread * stats.t.ppf(0.975, max(count - 1, 1)) / count**0.5,
    )


def _sized(settings: Settings, over: str, size: int) -> Settings:
    if over == "layers":
        return settings.replace(layers=size)
    each = settings.width // settings.heads
    sized = settings.replace(width=size, heads=max(size // each, 1))
    sized.shape(256)  # refuses what does not divide
    return sized


def _marks(steps: int) -> list[int]:
    """0, 1, 2, 4, 8, ... and the last."""
    return sorted({0, steps, *(2**k for k in range(steps.bit_length()) if 2**k <= steps)})


def _one(settings: Settings, text: Tokens) -> dict[str, np.ndarray]:
    """Sizes and changes at every site of one model, (marks, 2) each."""
    s = settings
    shape = s.shape(text.vocabulary.size)
    model = build(shape, seed=s.seed)
    groups = rate_groups(model, shape, s.optimizer)
    parameters = [{"params": own, "lr": s.lr * factor} for factor, own in groups]
    optimizer = make_optimizer(s.optimizer, parameters, lr=s.lr, options=s.options)
    batches = Batches(text.train, context=s.context, seed=s.seed)
    held_out = validation_windows(text.validation, context=s.context, limit=_PROBE * s.context)
    probe, marks = torch.from_numpy(held_out)[:, :-1], set(_marks(s.steps))
    first = _activations(model, probe)
    rows: dict[str, list[tuple[float, float]]] = {site: [] for site in first}
    for step in range(s.steps + 1):
        if step in marks:
            now = first if step == 0 else _activations(model, probe)
            for site, x in now.items():
                rows[site].append((_rms(x), _rms(x - first[site])))
        if step < s.steps:
            windows = batches.windows(step * s.batch_size, s.batch_size)
            optimizer.zero_grad(set_to_none=True)
            next_token_loss(model, torch.from_numpy(windows)).backward()
            if s.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), s.clip)
            optimizer.step()
    return {site: np.array(row) for site, row in rows.items()}


def _rms(x: torch.Tensor) -> float:
    return float(x.double().square().mean().sqrt())


@torch.no_grad()
def _activations(model: nn.Module, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """What leaves each site for these tokens."""
    seen: dict[str, torch.Tensor] = {}

    def keep(site: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            seen[site] = (output[0] if isinstance(output, tuple) else output).clone()

        return hook

    hooks = [module.register_forward_hook(keep(site)) for site, module in _sites(model).items()]
    try:
        model(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _sites(model: Any) -> dict[str, nn.Module]:
    """Where the networks of the lab are looked at; the blocks that every depth has."""
    found: dict[str, nn.Module] = {"embedding": model.embedding}
    if hasattr(model, "lstm"):
        found["lstm"] = model.lstm
    else:
        last = model.blocks[-1]
        attention = last.attention if hasattr(last, "attention") else last.merge
        found |= {"first block": model.blocks[0], "last attention": attention}
        found |= {"last mlp": last.mlp, "last block": last}
    return {**found, "logits": model.output}


def _slopes(sizes: Sequence[int], changes: np.ndarray) -> np.ndarray:
    """Least-squares slopes of log change against log size, (values, seeds) to (seeds,)."""
    x = np.log(np.array(sizes, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(changes)
    x = x - x.mean()
    return np.asarray(x @ y / (x @ x))
