"""Which theories does every engine have to get right, and how far may each engine be off?

A row is a problem, an algorithm and a batch, and the plain recursion that is their truth: one loop
with nothing clever in it. A new theory adds a row here, a new engine a distance; test_engines.py
runs every engine on every row, and test_contract.py holds every row's System to its contract.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

import hidim
from hidim.systems.base import System
from hidim.systems.builders import system_of
from tests.agreement import changed
from tests.agreement.longdouble import Run, risks
from tests.engines.truth import recursion
from tests.theories import sign_sgd, split_sgd

LAST = 600
AT = np.unique(np.geomspace(1, LAST, 20).astype(int))
# How far each engine may be from the plain recursion, over the steps AT.
DISTANCE = {
    "exact": np.full(len(AT), 1e-8),  # its rtol
    "volterra": np.full(len(AT), 1e-10),  # rounding only
    # Continuous time: a step of the recursion jumps where the flow moves, so the first steps, of
    # relative size rate * trace = 1/4, differ most; then it is forgotten.
    "ode": np.select([AT < 30, AT < 100], [0.16, 0.09], 0.04),
    # A law right up to constants; up to 600 steps those are these.
    "asymptotic": np.full(len(AT), 0.3),
    # It leaves nothing out, and the truth of measured rows here is what the others follow.
    "matrix": np.full(len(AT), 0.02),
}


@dataclass(frozen=True, eq=False)
class Row:
    """A theory at work.

    Args:
        truth: (spectrum, algorithm, batch_size, steps) -> risk at steps 0..steps.
        refusing: engine -> a word of its refusal, for those that cannot follow it.
    """

    name: str
    spectrum: hidim.Spectrum
    algorithm: object
    batch_size: float = 1
    readout: str = "gradient"
    truth: Callable[..., np.ndarray] | None = None
    refusing: tuple[tuple[str, str], ...] = ()

    @cached_property
    def risk(self) -> np.ndarray:
        """The truth at the steps AT."""
        if self.truth is not None:
            return self.truth(self.spectrum, self.algorithm, self.batch_size, LAST)[AT]
        run = Run(self.spectrum, self.algorithm, self.batch_size, LAST, self.readout)
        return next(iter(risks([run])))[1][AT]

    @cached_property
    def system(self) -> hidim.System:
        """What the engines read."""
        return system_of(self.spectrum, self.algorithm, self.batch_size).read_at(self.readout)


def sign_truth(spectrum, algorithm, batch_size, steps):
    """signSGD in its own basis, step by step in 80-bit floats."""
    omega = np.sqrt(spectrum.eigenvalues.astype(np.longdouble))
    rho, n = omega * spectrum.error_sq, omega * spectrum.counts
    eta, floor = algorithm.eta(np.arange(steps + 1.0)).astype(np.longdouble), spectrum.risk_floor
    risk = np.empty(steps + 1)
    for t in range(steps + 1):
        excess = omega @ rho
        risk[t] = floor + excess / 2
        mu = 2 / np.longdouble(np.pi) / np.sqrt(2 * floor + excess)
        rho = rho - 2 * eta[t] * mu * omega * rho + eta[t] ** 2 * n
    return risk


def split_truth(spectrum, algorithm, batch_size, steps):
    """The ordinary curve of SGD, which mean and covariance add up to."""
    run = Run(spectrum, hidim.sgd(algorithm.gamma), batch_size, steps)
    return next(iter(risks([run])))[1]


def rows_truth(spectrum, algorithm, batch_size, steps):
    """The closed covariance and its mean on measured rows, one plain step after the other."""
    system = system_of(spectrum, algorithm, batch_size)
    mean, x, risk = system.driver.start(), system.start(), []
    for t in range(steps + 1):
        drive, q = (mean, np.zeros(0)), system.order(x)
        many = (mean[None], np.zeros((1, 0)))
        risk.append(system.readouts(np.array([float(t)]), x[None], q[None], many)["risk"][0])
        x = System.step(system, float(t), x, q, drive)
        mean = System.step(system.driver, float(t), mean, np.zeros(0))
    return np.array(risk)


NO_MATRIX = ("matrix", "measured rows")
NO_LAW = ("asymptotic", "momentum family")
NO_AVERAGE = ("asymptotic", "`readout`")


def _measured():
    """Skewed rows of four features, with residuals that grow with them."""
    rng = np.random.default_rng(0)
    X = rng.exponential(1.0, (40, 4)) * np.arange(1.0, 5.0) ** -0.7 - 0.3
    return X, X @ [1.0, -1.0, 0.5, 0.2] + 0.3 * X[:, 0] ** 2


@cache
def rows() -> list[Row]:
    """Every row; the two theories from outside are known to hidim from here on."""
    hidim.register(system=sign_sgd.build)
    hidim.register(system=split_sgd.build)
    spectrum = hidim.PLRF(1.0, 0.7, d=30, v=120, noise_variance=1e-3).spectrum(1)
    rate = 0.25 / spectrum.trace
    momentum = hidim.sgd_momentum(0.5 * rate, 0.05 * rate, 0.1)
    elliptical = hidim.PLRF(1.0, 0.7, d=30, v=120, kurtosis=3.0).spectrum(1)
    found = [
        Row(
            f"{algorithm.name}, B = {batch_size}",
            spectrum,
            algorithm,
            batch_size,
            refusing=(NO_MATRIX,),
        )
        for algorithm in (hidim.sgd(rate), momentum)
        for batch_size in (1, 4, math.inf)
    ]
    split = (("volterra", "follows more"), NO_LAW, NO_MATRIX)
    sign = (("volterra", "follows more"), NO_LAW, NO_MATRIX)
    nonlinear = sign
    level = hidim.Spectrum(np.arange(1.0, 61) ** -0.4, np.full(60, 0.05), 0.3)
    heavy = hidim.Spectrum(
        level.eigenvalues, level.error_sq, 0.01, noise=hidim.noise.Laplace(0.5), label="Laplace"
    )
    near = np.exp(-0.7 * np.abs(np.subtract.outer(np.arange(60.0), np.arange(60.0))))
    units = 1.0 + 0.5 * np.sin(1.7 * np.arange(60))
    correlated = hidim.Spectrum.from_covariance(
        near * np.outer(units, units), 0.2 * np.cos(np.arange(60.0) ** 1.5), noise_variance=2.0
    )
    steep = np.arange(1.0, 7.0) ** -1.0
    strong = hidim.Spectrum.from_covariance(near[:6, :6] * np.outer(steep, steep), np.ones(6), 0.1)
    matrix = hidim.MatrixLeastSquares(level, outputs=12)
    slow, slowing = 0.25 / level.trace, hidim.PowerLaw(1e-3, 0.2)
    slow_momentum = hidim.sgd_momentum(0.5 * slow, 0.05 * slow, 0.1)
    measured = hidim.Spectrum.from_data(*_measured())
    measured_momentum = hidim.sgd_momentum(0.1 / measured.trace, 0.01 / measured.trace, 0.1)
    return [
        *found,
        Row(
            "cosine",
            spectrum,
            hidim.sgd(rate).scheduled(hidim.Cosine(LAST, 0.1)),
            refusing=(NO_MATRIX,),
        ),
        Row(
            "elliptical",
            elliptical,
            momentum.scheduled(hidim.Constant(0.4)),
            truth=recursion,
            refusing=(NO_MATRIX,),
        ),
        Row(
            "rows",
            measured,
            measured_momentum,
            2,
            truth=rows_truth,
            refusing=(("volterra", "follows more"), NO_LAW),
        ),
        Row(
            "average",
            spectrum,
            hidim.schedule_free_sgd(0.5 * rate),
            readout="average",
            refusing=(NO_AVERAGE, NO_MATRIX),
        ),
        Row("sign", spectrum, sign_sgd.sign_sgd(0.002), truth=sign_truth, refusing=sign),
        Row(
            "clip, Laplace, B = 4",
            heavy,
            hidim.clipped(slow_momentum, hidim.PowerLaw(2.0, 0.1)),
            4,
            truth=changed.clip_truth,
            refusing=nonlinear,
        ),
        Row(
            "clip, norm",
            heavy,
            hidim.clipped(hidim.sgd(slow), 4.0, kind="norm"),
            truth=changed.clip_truth,
            refusing=nonlinear,
        ),
        Row(
            "sign, generic, B = 4",
            level,
            hidim.sign_sgd(0.002, basis="generic"),
            4,
            truth=changed.sign_truth,
            refusing=nonlinear,
        ),
        Row(
            "sign, coordinates, B = 2",
            correlated,
            hidim.sign_sgd(hidim.PowerLaw(0.002, 0.2)),
            2,
            truth=changed.coordinates_truth,
            refusing=nonlinear,
        ),
        Row(
            "sign, saturated",
            hidim.Spectrum(np.arange(1.0, 9) ** -2.0, np.full(8, 1.0), 0.05),
            hidim.sign_sgd(0.005, basis="diagonal", drift="saturated"),
            truth=changed.saturated_truth,
            refusing=(("volterra", "follows more"), ("ode", "step"), NO_LAW, NO_MATRIX),
        ),
        Row(
            "sign, pairs",
            strong,
            hidim.sign_sgd(0.005, drift="saturated"),
            truth=changed.pairs_truth,
            refusing=(("volterra", "follows more"), ("ode", "step"), NO_LAW, NO_MATRIX),
        ),
        Row(
            "noisy, B = 2",
            level,
            hidim.noisy(slow_momentum, 0.2, 0.05, start_variance=0.01),
            2,
            truth=changed.noisy_truth,
            refusing=(NO_LAW, NO_MATRIX),
        ),
        Row(
            "adam, B = 2",
            level,
            hidim.adam(slowing, 0.8, 0.99, basis="diagonal", bias_correction=True),
            2,
            truth=changed.adaptive_truth,
            refusing=nonlinear,
        ),
        Row(
            "signum, B = 2",
            level,
            hidim.signum(1e-4, 0.3, basis="diagonal"),
            2,
            truth=changed.adaptive_truth,
            refusing=nonlinear,
        ),
        Row(
            "matrix, momentum, B = 3",
            matrix,
            hidim.sgd_momentum(0.002, 2e-4, 0.1),
            3,
            truth=changed.matrix_truth,
            refusing=nonlinear,
        ),
        Row(
            "matrix, signs",
            matrix,
            hidim.sign_sgd(slowing, basis="generic", drift="linear"),
            truth=changed.matrix_truth,
            refusing=nonlinear,
        ),
        Row(
            "matrix, polar factor, B = 3",
            matrix,
            hidim.sign_svd(0.01, drift="linear"),
            3,
            truth=changed.matrix_truth,
            refusing=nonlinear,
        ),
        Row("split", spectrum, split_sgd.SplitSGD(rate), 2, truth=split_truth, refusing=split),
    ]
