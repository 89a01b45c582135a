"""Which compute-optimal exponents does every point of a plane show, beside theory's?

By `hidim.frontier` in the window that it chooses, as a ladder's, with its intervals.
Limits: five sizes at least. Where a size diverges, nothing is measured.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from hidim.curve import DIVERGENCE_FACTOR
from hidim.measure import frontier
from hidim.studies.recipes import Recipe
from hidim.support.checks import positive, shown
from hidim.support.extras import require
from hidim.support.progress import track

if TYPE_CHECKING:
    import xarray

_MEASURED = tuple(f"{name}{end}" for name in ("eta", "xi") for end in ("", "_low", "_high"))
_NAMES = (*_MEASURED, "eta_theory", "xi_theory")


def plane_exponents(
    plane: xarray.Dataset,
    *,
    last_decades: float | None = None,
    per_decade: int | None = None,
    progress: bool | None = None,
) -> xarray.Dataset:
    """Measured and theoretical eta and xi at every point of a plane.

    Args:
        plane: from `run_plane`, with at least five sizes.
        last_decades: decades of flops that the powers are fitted over; by default the window that
            `hidim.frontier` chooses.
        per_decade: of version 0.1, when budgets could be denser; without effect.
        progress: show a bar with the time left; None when standard error is a terminal.

    Returns:
        A Dataset (alpha, beta, recipe) with eta, xi, the ends eta_low, eta_high, xi_low, xi_high of
        their 95 % intervals, eta_theory and xi_theory; NaN where the ladder shows none. And
        `diverged`, how many sizes diverge there.

    Raises:
        ValueError: no plane of `run_plane`.
        MissingExtra: xarray is not installed.
    """
    xarray = require("xarray", "studies")
    if not isinstance(plane, xarray.Dataset) or "recipes" not in plane.attrs:
        raise ValueError(f"`plane` must be a plane of run_plane or load_plane, got {shown(plane)}.")
    if last_decades is not None:
        last_decades = positive("last_decades", last_decades)
    recipes = [Recipe(**row) for row in json.loads(plane.attrs["recipes"])]
    shape = (plane.sizes["alpha"], plane.sizes["beta"], plane.sizes["recipe"])
    found = {name: np.full(shape, np.nan) for name in _NAMES}
    risks, steps = plane["risk"].values, plane["steps"].values
    cost = plane["d"].values * plane.attrs["batch_size"]
    first = risks[..., :1]  # (alpha, beta, recipe, d, 1)
    diverged = np.any(risks > DIVERGENCE_FACTOR * first, axis=-1).sum(axis=-1)
    for place in track(list(np.ndindex(shape)), "exponents", enabled=progress):
        i, j, r = place
        if not np.isfinite(risks[place]).any():
            continue
        law = recipes[r].law(float(plane["alpha"][i]), float(plane["beta"][j]))
        found["eta_theory"][place], found["xi_theory"][place] = law.eta, law.xi
        if diverged[place]:
            continue
        runs = [
            (d, t[known] * price, p[known])
            for d, price, t, p in zip(
                plane["d"].values, cost, steps[i, r], risks[place], strict=True
            )
            if (known := np.isfinite(t)).any()
        ]
        try:
            one = frontier(runs, last_decades=last_decades)
        except ValueError:  # no size is best inside the ladder, or too few are near
            continue
        for name in ("eta", "xi"):
            power = getattr(one, name)
            values = (power.value, power.low, power.high)
            for end, value in zip(("", "_low", "_high"), values, strict=True):
                found[f"{name}{end}"][place] = value
    coords = {key: plane[key] for key in ("alpha", "beta", "recipe")}
    dims = ("alpha", "beta", "recipe")
    data = {name: (dims, values) for name, values in found.items()}
    return xarray.Dataset({**data, "diverged": (dims, diverged)}, coords=coords)
