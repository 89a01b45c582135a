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

import numpy as np

from hidim.lab.text.tokens import Tokens
from hidim.lab.training.settings import Settings
from hidim.support.checks import choice, whole
from hidim.support.results import Saved

TOLERANCE = 0.25


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
    from scipy import stats  # on use: a result is read without them

    from hidim.lab.training.entry import load_tokens
    from hidim.lab.training.probing import marks_of, probe
    from hidim.lab.training.rates import check_rates

    choice("over", over, ("width", "layers"))
    count = int(whole("seeds", seeds, minimum=1))
    sizes = sorted({int(whole(over, value, minimum=1)) for value in values})
    if len(sizes) < 2:
        raise ValueError(f"`over` needs two different values of {over} at least, got {sizes}.")
    check_rates(settings.parametrization, settings.optimizer)
    runs = [_sized(settings, over, size) for size in sizes]
    text = tokens or load_tokens(settings)
    found: list[list[dict[str, np.ndarray]]] = [
        [probe(run.replace(seed=run.seed + seed), text) for seed in range(count)] for run in runs
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
        steps=tuple(marks_of(settings.steps)),
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


def _slopes(sizes: Sequence[int], changes: np.ndarray) -> np.ndarray:
    """Least-squares slopes of log change against log size, (values, seeds) to (seeds,)."""
    x = np.log(np.array(sizes, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(changes)
    x = x - x.mean()
    return np.asarray(x @ y / (x @ x))
