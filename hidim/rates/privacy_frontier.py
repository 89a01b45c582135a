"""How much privacy at which loss? Every rate, noise and length on a grid, and the lower envelope.

Each point is a run of noisy SGD: its expected risk, and the epsilon that one accountant gives it.
The accountants with a guarantee clip every sample's gradient at `clip`; for "poisson" the batches
are predicted at their mean size.
Source: arXiv 2510.16687; derived for this project, docs/theory/private.md. Limits: constant rates,
Gaussian rows; a grid, so the envelope is as fine as that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.changed import clipped, noisy
from hidim.algorithms.momentum import Momentum, sgd
from hidim.engines.solve import solve
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.rates.accountants import gdp_epsilon, rdp_epsilon
from hidim.rates.pair_diffusion import FORMULAS
from hidim.rates.pairs import pair_divergence, typical_note
from hidim.support import checks
from hidim.support.json import plain
from hidim.support.results import Saved

ACCOUNTANTS = ("poisson", "one-pass", "pair", "pair-injected")
ADJACENCY = {"replace": 2.0, "add-remove": 1.0}
_MANY = 2000  # points of a grid
_Array = np.ndarray


@dataclass(frozen=True, eq=False)
class PrivacyFrontier(Saved, format="hidim-privacy-frontier/1"):
    """Loss against privacy, point by point.

    Attributes:
        accountant: its name, one of `hidim.privacy.ACCOUNTANTS`.
        guarantee: whether epsilon, with delta, is an (epsilon, delta) guarantee.
        note: what the accountant assumes, or what its number is not.
        caution: where the risks are not to be relied upon, and why; empty if nowhere.
        gamma_2, std, steps, risk, epsilon: (n,) the points; epsilon is a Renyi divergence of the
            order `order` where there is no guarantee.
        loss: what `risk` is, "risk P" or "excess risk" where the labels' noise has no variance.
        best: (m,) which of them nothing beats in both, by rising epsilon.
        without_number: (n,) of typical pairs, the share of drawn ones whose divergence is
            infinite, 0 by formula="mean"; None where there is a guarantee.
        delta, order, clip, samples, batch_size, l2: as given; None where they do not matter.
    """

    accountant: str
    guarantee: bool
    note: str
    caution: str
    gamma_2: _Array
    std: _Array
    steps: _Array
    risk: _Array
    epsilon: _Array
    loss: str
    best: _Array
    delta: float | None
    order: float | None
    clip: float | None
    samples: float | None
    batch_size: float
    l2: float
    without_number: _Array | None = None

    @property
    def unit(self) -> str:
        """What epsilon is, in words."""
        if self.guarantee:
            return f"epsilon at delta {self.delta:g}"
        return f"Renyi divergence of order {self.order:g}, typical pair"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers for strict JSON; infinities become None."""
        names = [
            "accountant",
            "guarantee",
            "note",
            "caution",
            "gamma_2",
            "std",
            "steps",
            "risk",
            "best",
        ]
        names += ["delta", "order", "clip", "samples", "batch_size", "l2"]
        # Whoever reads `epsilon` takes it for a guarantee.
        what = "epsilon" if self.guarantee else "pair_divergence"
        names += [] if self.guarantee else ["without_number"]
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        table: dict[str, Any] = plain(found | {what: self.epsilon})
        return table


def frontier(
    problem: Any,
    *,
    rates: Iterable[float],
    stds: Iterable[float],
    steps: Iterable[float],
    accountant: str,
    batch_size: float = 1,
    l2: float = 0.0,
    clip: float | None = None,
    samples: float | None = None,
    delta: float = 1e-5,
    order: float = 2.0,
    adjacency: str = "replace",
    formula: str | None = None,
    seed: int | None = None,
) -> PrivacyFrontier:
    """Risk and privacy of noisy SGD over a grid, by the accountant that is named.

    Args:
        problem: a PLRF, another problem or a Spectrum.
        rates: constant gamma_2 to try.
        stds: of the noise on each coordinate of the mean gradient.
        steps: lengths of runs.
        accountant: "poisson" (needs `clip`, `samples`), "one-pass" (needs `clip`; every sample is
            used once), "pair" or "pair-injected" (no clipping; no guarantee).
        batch_size: samples per step, the mean number for "poisson".
        l2: of the penalty.
        clip: bound on the norm of every sample's gradient.
        samples: how many there are.
        delta: of the guarantee.
        order: of the Renyi divergence of pairs, above 1.
        adjacency: "replace" or "add-remove", what a neighbour is for "one-pass"; "poisson" is
            add-remove.
        formula: of typical pairs alone, as of `hidim.privacy.pair_divergence`, whose default it
            has.
        seed: of the W that is drawn.

    Raises:
        ValueError: an argument out of range, or one that the accountant needs or cannot use.

    >>> import hidim
    >>> spectrum = hidim.Spectrum(np.full(50, 1 / 50), np.full(50, 0.02), 0.05)
    >>> found = frontier(spectrum, rates=[0.1, 0.5], stds=[0.2, 1.0], steps=[100], clip=1.0,
    ...                  accountant="one-pass")
    >>> found.guarantee, found.note
    (True, 'a Gaussian mechanism: every sample is used once and clipped at norm 1, replace')
    >>> [round(x, 2) for x in found.epsilon[found.best].tolist()]
    [10.0, 91.82]
    """
    checks.choice("accountant", accountant, ACCOUNTANTS)
    checks.choice("adjacency", adjacency, ADJACENCY)
    bounded = accountant in ("poisson", "one-pass")
    if formula is not None and bounded:
        raise ValueError(
            f"`formula` does not go with accountant={accountant!r}, which follows no pairs: leave "
            "it out, or take 'pair' or 'pair-injected'."
        )
    formula = checks.choice("formula", FORMULAS[0] if formula is None else formula, FORMULAS)
    batch_size = checks.whole("batch_size", batch_size, minimum=1)
    grid = (_positive("rates", rates), _positive("stds", stds), _lengths(steps))
    if math.prod(map(len, grid)) > _MANY:
        raise ValueError(f"the grid has more than {_MANY} points: give fewer rates, stds or steps.")
    clip, samples = _bounds(accountant, clip, samples, batch_size, max(grid[2]))
    l2 = checks.non_negative("l2", l2)
    spectrum = as_spectrum(problem, checks.seed("seed", seed))
    rows, caution = [], ""
    endless = math.isinf(spectrum.law.noise_risk)
    for gamma in grid[0]:
        for std in grid[1]:
            algorithm = _algorithm(gamma, std, l2, clip)
            curve = solve(spectrum, algorithm, at=grid[2], batch_size=batch_size)
            caution = caution or str(curve.provenance.get("caution", ""))
            left = curve.excess if endless else curve.risk
            for at, one in zip(grid[2], left.tolist(), strict=True):
                spent = _Spent(
                    accountant, clip, samples, batch_size, delta, order, adjacency, formula
                )
                rows.append((gamma, std, at, one, *spent.told(spectrum, algorithm, std, at)))
    gammas, noises, lengths, risks, epsilons, lost = np.array(rows, dtype=float).T
    best = _envelope(epsilons, risks)
    return PrivacyFrontier(
        accountant=accountant,
        guarantee=bounded,
        note=_note(accountant, clip, samples, batch_size, adjacency, lost[best]),
        caution=caution,
        gamma_2=gammas,
        std=noises,
        steps=lengths,
        risk=risks,
        epsilon=epsilons,
        loss="excess risk" if endless else "risk P",
        best=best,
        delta=delta if bounded else None,
        order=None if bounded else float(order),
        clip=clip,
        samples=samples,
        batch_size=float(batch_size),
        l2=l2,
        without_number=None if bounded else lost,
    )


@dataclass(frozen=True)
class _Spent:
    """What an accountant needs to know."""

    accountant: str
    clip: float | None
    samples: float | None
    batch_size: float
    delta: float
    order: float
    adjacency: str
    formula: str

    def told(
        self, spectrum: Spectrum, algorithm: Momentum, std: float, steps: float
    ) -> tuple[float, float]:
        """epsilon of one run, and the share of drawn pairs that have none."""
        if self.accountant == "poisson":
            assert self.clip is not None  # checked, as the next
            assert self.samples is not None
            sigma = self.batch_size * std / self.clip
            return rdp_epsilon(self.batch_size / self.samples, sigma, steps, self.delta), 0.0
        if self.accountant == "one-pass":
            assert self.clip is not None  # checked
            mu = ADJACENCY[self.adjacency] * self.clip / (self.batch_size * std)
            return gdp_epsilon(mu, self.delta), 0.0
        sampling = self.accountant == "pair"
        found = pair_divergence(
            spectrum,
            algorithm,
            steps,
            self.batch_size,
            order=self.order,
            at=[steps],
            sampling_noise=sampling,
            formula=self.formula,
        )
        lost = 0.0 if found.without_number is None else float(found.without_number[-1])
        return float(found.divergence[-1]), lost


def _algorithm(gamma: float, std: float, l2: float, clip: float | None) -> Momentum:
    plain = sgd(gamma)
    return noisy(plain if clip is None else clipped(plain, clip, kind="norm"), std, l2)


def _bounds(
    accountant: str, clip: float | None, samples: float | None, batch: float, last: float
) -> tuple[float | None, float | None]:
    """`clip` and `samples`, where the accountant needs them and nowhere else."""
    if accountant.startswith("pair"):
        for name, value in (("clip", clip), ("samples", samples)):
            if value is not None:
                raise ValueError(
                    f"`{name}` does not go with accountant={accountant!r}, which follows one pass "
                    "without clipping: leave it out, or take 'poisson' or 'one-pass'."
                )
        return None, None
    if clip is None:
        raise ValueError(
            f"`clip` is missing: accountant={accountant!r} needs every sample's gradient bounded."
        )
    if samples is not None:
        samples = checks.whole("samples", samples, minimum=1)
        if batch > samples:
            raise ValueError(f"`batch_size` is {batch:g}, more than `samples`={samples:g}.")
        if accountant == "one-pass" and batch * last > samples:
            raise ValueError(
                f"`steps` of {last:g} at batch {batch:g} use more than `samples`={samples:g}, and "
                "accountant='one-pass' uses each once: give fewer steps, or take 'poisson'."
            )
    elif accountant == "poisson":
        raise ValueError("`samples` is missing: accountant='poisson' draws from so many.")
    return checks.positive("clip", clip), samples


def _note(
    accountant: str,
    clip: float | None,
    samples: float | None,
    batch: float,
    adjacency: str,
    lost: _Array,
) -> str:
    if accountant == "poisson":
        assert clip is not None
        assert samples is not None
        return (
            f"Renyi divergences of orders 2 to 63: Poisson sampling at the rate {batch / samples:g}"
            f", clipped at norm {clip:g}, add-remove"
        )
    if accountant == "one-pass":
        assert clip is not None
        return (
            "a Gaussian mechanism: every sample is used once and clipped at norm "
            f"{clip:g}, {adjacency}"
        )
    hidden = "" if accountant == "pair" else ", hidden by the injected noise alone"
    return f"one pass, last iterate{hidden}, {typical_note(lost)}"


def _positive(name: str, values: Iterable[float]) -> list[float]:
    found = [
        checks.positive(name, value) for value in np.atleast_1d(np.asarray(values, float)).tolist()
    ]
    if not found:
        raise ValueError(f"`{name}` is empty: give at least one.")
    return found


def _lengths(steps: Iterable[float]) -> list[float]:
    found = [
        checks.whole("steps", one, minimum=1) for one in np.atleast_1d(np.asarray(steps)).tolist()
    ]
    if not found:
        raise ValueError("`steps` is empty: give at least one length.")
    return sorted(set(found))


def _envelope(epsilon: _Array, risk: _Array) -> _Array:
    """Points that no other beats in both, by rising epsilon."""
    kept, least = [], math.inf
    for index in np.lexsort((risk, epsilon)).tolist():
        if risk[index] < least and math.isfinite(epsilon[index]):
            kept.append(index)
            least = float(risk[index])
    return np.array(kept, dtype=np.int64)
