"""Random runs to judge the engines by: problems, algorithms, batches and steps from one seed.

Number i of a seed is the same however many are drawn. Every named algorithm and free members of
the family come in turn; the rest is drawn: data and target exponents in [.25, 2], equivalents and
draws of PLRF, covariances, repeated and zero eigenvalues, label noise, batches 1 to 64 and full
ones, learning-rate schedules with kinks and jumps, rates from a fiftieth of the edge of stability
to 1.3 times it, and momentum that rings.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import hidim
from hidim.algorithms.named import lookup, names
from hidim.systems.kernel_norm import kernel_norm
from tests.agreement.draws import ALGORITHMS, PROBLEMS, factor_of_time

ASKED = 60
_LONG = 1e7  # beyond, two per octave: what lies between them is not known
_JUMPS = 12  # of a schedule's breakpoints, those around which steps are asked for
_BATCHES = (1, 1, 1, 1, 2, 3, 4, 8, 16, 32, 64, math.inf)
_SHARES = (0.02, 0.1, 0.1, 0.3, 0.3, 0.6, 0.6, 0.9, 0.9, 0.97, 0.999, 1.001, 1.03, 1.3)
_NESTEROV_SHARES = (0.3, 1.0, 3.0)  # at finite batches it diverges at every one
_LENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 1.0, 1.0, 1.0)  # of a run, longest run at 1
_SHORTEST = 1000


_WEIGHTS = (0.2, 0.2, 0.2, 0.15, 0.15, 0.1)  # of PROBLEMS
_RECOMMENDED = {name for name in names() if not lookup(name).no_rates}


@dataclass(frozen=True, eq=False)
class Configuration:
    """One run: what `hidim.predict` is called with, and a name to find it by."""

    name: str
    problem: Any
    seed: int | None
    algorithm: hidim.Momentum
    batch_size: float
    readout: str
    steps: int

    @cached_property
    def spectrum(self) -> hidim.Spectrum:
        """The problem in its eigenbasis."""
        spectrum = self.problem.spectrum(self.seed)
        # The problem is the equivalent itself, not the few nodes that stand for it.
        for _ in range(2):
            spectrum = spectrum.finer or spectrum
        return spectrum

    @cached_property
    def at(self) -> np.ndarray:
        """Steps to ask for: log-spaced, and those around the jumps of schedules."""
        most = ASKED if self.steps < _LONG else int(2 * math.log2(self.steps))
        spaced = np.geomspace(1, self.steps, most).round()
        jumps = np.array(self.algorithm.breakpoints)[:_JUMPS]
        near = (np.floor(jumps)[:, None] + np.arange(-1, 3)).ravel()
        asked = np.concatenate([[0], spaced, near])
        return np.unique(asked[(asked >= 0) & (asked <= self.steps)]).astype(int)


def configurations(
    count: int, seed: int = 0, *, steps: float = 1e5, modes: int = 64
) -> list[Configuration]:
    """The first `count` configurations of a seed.

    Args:
        steps: the longest run; others are down to a hundredth of it.
        modes: most modes of spectra that are not equivalents of PLRF; beyond 50, one in fifteen
            has six times as many, enough to be interpolated.
    """
    return [_draw(i, seed, int(steps), modes) for i in range(count)]


def _draw(i: int, seed: int, longest: int, modes: int) -> Configuration:
    rng = np.random.default_rng([seed, i])
    kind = list(ALGORITHMS)[i % len(ALGORITHMS)]
    batch_size = _BATCHES[rng.integers(len(_BATCHES))]
    steps = max(min(_SHORTEST, longest), int(longest * rng.choice(_LENGTHS)))
    exponents = rng.uniform(0.25, 2.0, 2)
    what = str(rng.choice(list(PROBLEMS), p=_WEIGHTS))
    if modes > 50 and rng.random() < 1 / 15:
        what, modes = str(rng.choice(["power-law", "drawn"])), 6 * modes
    problem, number = PROBLEMS[what](rng, *exponents, modes)
    spectrum = problem.spectrum(number)
    noise = batch_size / spectrum.trace
    rate = 0.375 * min(2 / (1 + 1 / batch_size) / spectrum.eigenvalues[0], noise)
    algorithm = ALGORITHMS[kind](rng, rate, spectrum.dimension, steps)
    tags = []
    known = kind.removesuffix(" average")
    recommended = known in _RECOMMENDED and what in ("equivalent", "drawn")
    if recommended and rng.random() < 0.5:
        factor = rng.choice([0.25, 1.0, 1.0, 2.0])
        algorithm = hidim.recommend(problem, known, batch_size, seed=number, scale=factor)
        tags.append(f"{factor:g}xrecommended")
    if not kind.startswith(("free", "stochastic")) and rng.random() < 0.4:
        schedule, tag = factor_of_time(rng, steps)
        algorithm = algorithm.scheduled(schedule)
        tags.append(tag)
    if not tags or "recommended" not in tags[0]:
        share = rng.choice(_NESTEROV_SHARES if kind == "stochastic-nesterov" else _SHARES)
        algorithm = at_share_of_the_edge(algorithm, spectrum, batch_size, steps, share)
        tags.append(f"{share:g}xedge")
    readouts = ["gradient", "gradient", *(name for name, _ in algorithm.readouts)]
    readout = "average" if kind.endswith("average") else str(rng.choice(readouts))
    tags += [] if readout == "gradient" else [readout]
    shown = f"{what} B={batch_size:g} T={steps:g} {' '.join(tags)}"
    name = f"{seed}-{i:03d} {known} {shown}"
    return Configuration(name, problem, number, algorithm, batch_size, readout, steps)


def at_share_of_the_edge(
    algorithm: hidim.Momentum,
    spectrum: hidim.Spectrum,
    batch_size: float,
    steps: int,
    share: float,
) -> hidim.Momentum:
    """The rates times one factor, so that the largest kernel norm of the run is 1 at share 1."""
    t = np.unique(np.concatenate([np.geomspace(1, steps, 40), algorithm.breakpoints, [0.0]]))
    t = t[(t <= steps) & (algorithm.forgetting(t) < 1.9)]
    t = t if t.size else np.array([float(steps)])

    def holds(log_factor: float) -> bool:
        scaled = algorithm.scheduled(hidim.Constant(math.exp(log_factor)))
        return bool(np.all(kernel_norm(spectrum, scaled, batch_size, t) < 1))

    low, high = -30.0, 30.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return algorithm.scheduled(hidim.Constant(share * math.exp(low)))


def constant_configurations(count: int = 20, seed: int = 0) -> list[Configuration]:
    """Runs of 1e8 and 1e12 steps at constant rates, on few modes, some of them very slow."""
    return [_draw_constant(i, seed) for i in range(count)]


def _draw_constant(i: int, seed: int) -> Configuration:
    rng = np.random.default_rng([seed, i, 1])
    steps, kind = int((1e8, 1e12)[i % 2]), ("sgd", "momentum", "accelerated", "ringing")[i // 2 % 4]
    batch_size = rng.choice([1.0, 1.0, 4.0, 64.0, math.inf])
    lam = 10 ** np.sort(rng.uniform(-0.8 * math.log10(steps), 0, rng.integers(4, 13)))
    lam[rng.integers(len(lam))] *= rng.random() < 0.5
    floor = 0.5 * 10 ** rng.uniform(-5, 0) * (rng.random() < 0.6)
    error_sq = rng.exponential(size=len(lam)) / np.maximum(lam, 1e-9) ** rng.uniform(0, 1)
    spectrum = hidim.Spectrum(lam, error_sq * (lam > 0), floor, rng.integers(1, 4, len(lam)))
    rate, unit = 0.1 / spectrum.trace, rng.random()
    algorithm = {
        "sgd": hidim.sgd(rate),
        "momentum": hidim.sgd_momentum(rate, 0.1 * rate, 10 ** -(0.3 + 2.7 * unit)),
        "accelerated": hidim.accelerated_sgd(rate, 10 * rate, 0.99, 10 ** -(2 + 3 * unit)),
        "ringing": hidim.sgd_momentum(0.0, rate, 10 ** -(2 + 4 * unit)),
    }[kind]
    share = rng.choice([1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1 + 1e-6])
    algorithm = at_share_of_the_edge(algorithm, spectrum, batch_size, 1, share)
    tags = f"{len(lam)} modes B={batch_size:g} T={steps:g} {share:.7g}xedge"
    name = f"{seed}-{i:03d} {kind} {tags}"
    return Configuration(name, spectrum, None, algorithm, batch_size, "gradient", steps)
