"""How do the second moments of a stochastic algorithm of the momentum family move?

Each mode carries E r^2, E y^2 and E r y, with r the error and y the momentum along the
eigenvector. With G = gamma_2 + gamma_1 gamma_3, D = 1 - forgetting and Q = E g^2, the second moment
of the batch gradient along it,

    Q = (1 + own) lambda^2 E r^2 + n lambda (shared 2P + constant 2P_inf),
    E r^2  +=  -2 G lambda E r^2 + G^2 Q + gamma_3^2 D^2 E y^2 - 2 gamma_3 D (1 - G lambda) E r y
    E y^2  +=  (D^2 - 1) E y^2 + gamma_1^2 Q + 2 gamma_1 D lambda E r y
    E r y  +=  gamma_1 lambda E r^2 - G gamma_1 Q - gamma_3 D^2 E y^2
               + (D - 1 - (G + gamma_1 gamma_3) D lambda) E r y

with the data's law (problems/law.py) in own, shared and constant: 1/B, 1/B and 0 for Gaussian data.
Exact in expectation for any dimension, batch B and step size; the modes meet only in the risk P, so
twice the risk is the one order parameter. n is the multiplicity of a node.
Source: arXiv 2505.16098, derived in docs/theory/moments.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.gradients import plain_gradient
from hidim.algorithms.momentum import Momentum, is_plain
from hidim.algorithms.parameters import moved, parameters
from hidim.algorithms.schedules import Schedule
from hidim.problems.spectrum import Spectrum
from hidim.systems import kernel_norm
from hidim.systems.base import Array, Drive, System, size_of
from hidim.systems.coefficients import Coefficients
from hidim.systems.factors import Factors
from hidim.systems.full_batch import FullBatch, flips
from hidim.systems.moment_steps import CROSS, ERROR, MOMENTUM, Recursion
from hidim.systems.powers import constant_rates

# A kept E y^2 is held to 30 times the error of the risk, relative to itself.
_MOMENTUM_SHARE = 1.0 / 30.0
_FLIPS_FOLLOWED = 3e5  # single steps that take a second or two


@dataclass(frozen=True, eq=False)
class MomentumSystem(System):
    """The moments of one algorithm on one spectrum.

    Args:
        spectrum: modes or nodes.
        algorithm: a member of the momentum family that steps with the plain mean of its batch.
        batch_size: B >= 1, math.inf for full batches.
        readout: another point whose risk is read beside that of the iterate, or "gradient".
        moments: whether every moment is kept, so that each counts by itself.
        targets: problems that share eigenvalues and multiplicities with `spectrum` and each other,
            solved side by side on a leading axis; none for `spectrum` alone.
        given: whether the nodes are the problem itself, and not a quadrature of one.

    >>> from hidim.algorithms import sgd
    >>> system = MomentumSystem(Spectrum([1.0], [1.0], 0.0), sgd(0.5), 1)
    >>> system.kinds, system.orders, system.order(system.start())
    (1, ('twice_risk',), array([1.]))
    """

    spectrum: Spectrum
    algorithm: Momentum
    batch_size: float
    readout: str = "gradient"
    moments: bool = False
    targets: tuple[Spectrum, ...] = ()
    given: bool = False

    orders = ("twice_risk",)
    affine = True

    def __post_init__(self) -> None:
        plain_gradient(self.algorithm)

    @cached_property
    def followed(self) -> Momentum:
        """The algorithm; plain SGD where its momentum neither acts nor is read.

        Momentum that only a readout sees, as the average of SGD is, has to be carried along;
        momentum that nobody sees need not, and may grow past float range.
        """
        algorithm, weight = self.algorithm, self.weight
        read = self.moments or (weight is not None and weight.constant != 0.0)
        if algorithm.has_momentum or (read and algorithm.gamma_1.constant != 0.0):
            return algorithm
        return Momentum(0.0, algorithm.gamma_2, 0.0, 1.0, name=algorithm.name)

    @cached_property
    def kinds(self) -> int:  # type: ignore[override]
        """Three moments, or E r^2 alone where there is no momentum to follow or to keep."""
        return 1 if self.followed.gamma_1.constant == 0.0 and not self.moments else 3

    @property
    def breakpoints(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where a schedule changes its formula."""
        return self.followed.breakpoints

    @property
    def roots(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where one ends that is no power series up to there."""
        return self.followed.roots

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """Whether no rate moves."""
        return constant_rates(self.followed)

    @property
    def watched(self) -> Sequence[Schedule]:
        """Schedules that may do something between the points of a block."""
        a = self.followed
        parts = (a.gamma_1, a.gamma_2, a.gamma_3, a.forgetting)
        return [part for part in parts if part.resolution < math.inf]

    @property
    def orders_tell(self) -> bool:  # type: ignore[override]
        """At the iterate the risk is half the order."""
        return self.readout == "gradient"

    @cached_property
    def weight(self) -> Schedule | None:
        """w(t) of the point theta + w y that is read; None for the iterate."""
        weight = self.algorithm.readout(self.readout)
        return None if weight.constant == 0.0 else weight

    @cached_property
    def _recursion(self) -> Recursion:
        law, spectrum = self.spectrum.law, self.spectrum
        along, batch = spectrum.eigenvalues, self.batch_size
        carried = spectrum.multiplicity * along
        at_floor = law.constant(batch) * 2.0 * spectrum.risk_floor
        return Recursion(
            along,
            law.own(batch, along**2),
            law.shared(batch, carried),
            carried * at_floor if at_floor else None,
            self.offset,
            self.kinds,
        )

    def start(self) -> Array:
        """All error, no momentum."""
        error_sq = np.stack([s.error_sq for s in self.targets or (self.spectrum,)])
        state = np.zeros((len(error_sq), self.kinds, len(self.spectrum)))
        state[:, ERROR] = error_sq
        return state if self.targets else state[0]

    def order(self, x: Array) -> Array:
        """Twice the risk."""
        return self.offset + (x[..., ERROR, :] @ self.spectrum.eigenvalues)[..., None]

    @cached_property
    def weights(self) -> Array:
        """Eigenvalues, on E r^2."""
        weights = np.zeros((1, self.kinds, len(self.spectrum)))
        weights[0, ERROR] = self.spectrum.eigenvalues
        return weights

    @cached_property
    def offset(self) -> Array:
        """Twice the floor."""
        if self.targets:
            return np.array([[2.0 * s.risk_floor] for s in self.targets])
        return np.array([2.0 * self.spectrum.risk_floor])

    def factors(self, t: Array) -> Factors:
        """As `System.factors`."""
        return self._recursion.factors(Coefficients.at(self.followed, t))

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The step map of the moments less the identity, without the risk."""
        factors = self.factors(np.asarray(t, dtype=np.float64))
        return factors.of_modes(factors.change)

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The noise of the batch that is not the mode's own."""
        factors = self.factors(np.asarray(t, dtype=np.float64))
        fed = factors.of_modes(factors.gains)[..., 0] * np.asarray(q)[:, :1, None]
        return fed if factors.source is None else fed + factors.of_modes(factors.source)

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate, and at the point theta + w y that is read."""
        found = {"risk": 0.5 * q[..., 0]}
        if self.readout == "gradient":
            return found
        if self.weight is None or self.kinds == 1:
            found[self.readout] = found["risk"]  # the momentum is not added, or stays zero
        else:
            w = self.weight(t).reshape(-1, *np.ones(x.ndim - 3, dtype=int))
            sums = x @ self.spectrum.eigenvalues  # (times, ..., kinds)
            moved = 2.0 * w * sums[..., CROSS] + w**2 * sums[..., MOMENTUM]
            # Left alone where the run was given up and all is infinite.
            found[self.readout] = found["risk"] + np.where(np.isfinite(moved), 0.5 * moved, 0.0)
        return found

    def tail_error(
        self, t: Array, x: Array, q: Array, tails: Array, drive: Drive | None = None
    ) -> float:
        """As `System.tail_error`; at another point the moments' errors offset one another."""
        along = self.spectrum.eigenvalues
        twice = q[..., 0]
        found = _relative(size_of(tails[..., ERROR, :]) @ along, twice)
        if self.weight is not None and self.kinds == 3:
            w = self.weight(t)
            at = w.reshape(-1, *np.ones(x.ndim - 3, dtype=int))
            sums = x @ along
            point = twice + 2.0 * at * sums[..., CROSS] + at**2 * sums[..., MOMENTUM]
            sizes = [size_of(_at_point(tails, end)) @ along for end in (w[0], w[-1])]
            found = np.maximum(found, _relative(np.max(sizes, axis=0), point))
        if self.moments and self.kinds == 3:
            kept = np.max(np.abs(x[..., MOMENTUM, :] @ along), axis=0) + 1e-290
            share = size_of(tails[..., MOMENTUM, :]) @ along / kept
            found = np.maximum(found, _MOMENTUM_SHARE * share)
        return float(np.max(found))

    def step(self, t: float, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """One step of `steps`."""
        c = Coefficients.at(self.followed, np.array([float(t)]))
        return self._recursion.advance(c, x, q)[0][1]

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """The plain recursion, with the sums ordered so that little is lost (moment_steps.py)."""
        c = Coefficients.at(self.followed, first + np.arange(count, dtype=np.float64))
        return self._recursion.advance(c, x, self.order(x))

    def loop_gain(
        self,
        t: Array,
        w: float = 0.0,
        *,
        x: Array | None = None,
        q: Array | None = None,
        drive: Drive | None = None,
    ) -> Array:
        """The exact kernel norm (kernel_norm.py), and its continuation to growth."""
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        return kernel_norm.gain(self.spectrum, self.followed, self.batch_size, times, w)

    def retained(self, t: Array) -> Array:
        """As `System.retained`: where a step removes nearly all, a square and not a difference."""
        step = Coefficients.at(self.followed, t).total[:, None] * self.spectrum.eigenvalues
        return np.asarray((1.0 - step) ** 2 + self.spectrum.law.own(self.batch_size, step**2))

    def sharper(self, last: float) -> System:
        """The state itself at full batches, where moments lose what lies far below the past.

        Of plain descent they lose nothing; and a state that flips its sign at every step for long
        cannot be followed by blocks, where its square can: beyond `_FLIPS_FOLLOWED` steps.
        """
        if self.batch_size != math.inf or self.targets:
            return self
        state = FullBatch(self)
        smooth = last <= _FLIPS_FOLLOWED or not flips(self, last)
        return state if state.has_closed_form or (self.kinds == 3 and smooth) else self

    def coarse(self, last: float) -> System:
        """On the spectrum's coarser quadrature, if it has one that tells.

        Without momentum every mode falls smoothly, which the nodes integrate to 1e-11 at any
        horizon (docs/log.md); they can fail what rings.
        """
        known = self.targets or self.given or self.kinds == 1
        other = None if known else self.spectrum.coarser
        return self if other is None else replace(self, spectrum=other)

    def resolving(self, faster: float, most: int) -> System:
        """On more nodes of the spectrum's quadrature; not where each mode is shown."""
        known = self.targets or self.given or self.moments
        # Nodes grow nearly as fast: what is far too many is not worked out first.
        hopeless = len(self.spectrum) * faster > 1.5 * most
        other = None if known or hopeless else self.spectrum.resolving(faster)
        return self if other is None or len(other) > most else replace(self, spectrum=other)

    def as_given(self) -> System:
        """The system whose nodes are the problem."""
        return replace(self, given=True)

    def read_at(self, readout: str, *, moments: bool = False) -> System:
        """The moments that this point needs."""
        self.algorithm.readout(readout)
        return replace(self, readout=readout, moments=moments)

    def reading(self, t: Array, x: Array, shown: str) -> Array | None:
        """Half the eigenvalues, times 1, w^2 and 2 w at another point."""
        w = np.zeros(len(t)) if shown == "risk" or self.weight is None else self.weight(t)
        row = np.stack([np.ones_like(w), w**2, 2.0 * w][: self.kinds], axis=1)
        return row[:, :, None] * (0.5 * self.spectrum.eigenvalues)

    # What interpolation between modes asks (engines/many_modes.py).

    @property
    def places(self) -> Array:
        """Eigenvalues: change and source are smooth in them."""
        return self.spectrum.eigenvalues

    @property
    def counts(self) -> Array:
        """What source is proportional to beside, (modes,)."""
        return self.spectrum.multiplicity

    def at_places(self, places: Array, counts: Array) -> MomentumSystem:
        """The same theory on other nodes, which carry these counts and start from nothing."""
        nodes = _Nodes(places, counts, self.spectrum.risk_floor, self.spectrum.law)
        return replace(self, spectrum=nodes)  # type: ignore[arg-type]

    def stiffness(self, t: Array) -> float:
        """G / min(1, 1 + D), largest over the times: times an eigenvalue, how large a step is."""
        c = Coefficients.at(self.followed, t)
        with np.errstate(divide="ignore"):
            return float(np.max(np.abs(c.total) / np.clip(1.0 + c.keep, 0.0, 1.0)))

    # Sensitivity.

    def answering(self, names: Sequence[str]) -> System:
        """With every moment where one of the parameters would bring the momentum to life."""
        others = (self.moved(name, 1e-3)[0] for name in names)
        return replace(self, moments=True) if any(s.kinds != self.kinds for s in others) else self

    def fewer(self) -> System:
        """On the spectrum compressed."""
        return replace(self, spectrum=self.spectrum.compress())

    def parameters(self) -> tuple[str, ...]:
        """The numbers of the schedules; see `hidim.algorithms.parameters`."""
        return parameters(self.algorithm)

    def moved(self, name: str, by: float) -> tuple[System, float]:
        """With one parameter of a schedule moved."""
        algorithm, size = moved(self.algorithm, name, by)
        return replace(self, algorithm=algorithm), size

    def slopes(
        self, names: Sequence[str], t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> Array:
        """By the chain rule through the scalars, so that many parameters cost little more."""
        rates = np.stack([self._scalar_rates(name, t) for name in names], axis=1)
        return self._recursion.slopes(rates, Coefficients.at(self.followed, t), x, q[:, 0])

    def _scalar_rates(self, name: str, t: Array) -> Array:
        """Derivatives of gamma_1, gamma_3, G and D, (times, 4)."""
        if name not in self._beside:
            both = (moved(self.algorithm, name, by) for by in (1e-5, -1e-5))
            (above, up), (below, down) = (
                (replace(self, algorithm=a).followed, by) for a, by in both
            )
            self._beside[name] = above, below, up - down
        above, below, size = self._beside[name]
        a, b = Coefficients.at(above, t), Coefficients.at(below, t)
        gaps = [a.gamma_1 - b.gamma_1, a.gamma_3 - b.gamma_3, a.total - b.total]
        return np.stack([*gaps, b.forget - a.forget], axis=1) / size

    @cached_property
    def _beside(self) -> dict[str, tuple[Momentum, Momentum, float]]:
        """The algorithm with a parameter a little higher and lower, and how far apart these are."""
        return {}


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Eigenvalues with counts of either sign: what a system reads of a Spectrum, unchecked."""

    eigenvalues: Array
    multiplicity: Array
    risk_floor: float
    law: Any

    @property
    def error_sq(self) -> Array:
        return np.zeros_like(self.eigenvalues)

    counts = property(lambda self: self.multiplicity)
    coarser = None

    def __len__(self) -> int:
        return len(self.eigenvalues)


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """The moments of a member of the momentum family on anything that has a Spectrum."""
    if not isinstance(algorithm, Momentum) or not isinstance(problem, Spectrum):
        return None
    if not is_plain(algorithm) or problem.law.rows is not None:
        return None
    noise = problem.law.noise
    if noise is None:
        return MomentumSystem(problem, algorithm, batch_size)
    return MomentumSystem(floored(problem), algorithm, batch_size)


def floored(spectrum: Spectrum) -> Spectrum:
    """The same for plain gradients, which of independent noise see the variance alone.

    Raises:
        ValueError: it has none.
    """
    if math.isinf(spectrum.law.noise_risk):
        raise ValueError(
            f"{spectrum.law.noise!r} has no variance, so plain gradients have no expected risk on "
            "it: clip them (hidim.clipped) or take their signs (hidim.sign_sgd)."
        )
    return with_floor(spectrum)


def with_floor(spectrum: Spectrum) -> Spectrum:
    """The same modes with the variance of the noise law, where it has one, in the floor."""
    law, more = spectrum.law, spectrum.law.noise_risk
    floor, kurtosis = spectrum.risk_floor, law.noise_kurtosis
    if math.isfinite(more) and more > 0:
        kurtosis = (floor * kurtosis + more) / (floor + more)
        floor += more
    found = Spectrum(
        spectrum.eigenvalues,
        spectrum.error_sq,
        floor,
        spectrum.multiplicity,
        label=spectrum.label,
        provenance=spectrum.provenance,
        law=replace(law, noise=None, noise_kurtosis=kurtosis),
    )
    if spectrum._resolution is not None:
        make, level = spectrum._resolution
        object.__setattr__(found, "_resolution", (_Floored(make), level))
    return found


@dataclass(frozen=True)
class _Floored:
    """Other resolutions of a spectrum, with the noise law in their floors."""

    make: Any

    def __call__(self, level: int) -> Spectrum | None:
        other = self.make(level)
        return None if other is None else with_floor(other)


def _relative(size: Array, values: Array) -> Array:
    lowest = np.min(values, axis=0)
    # A run without a floor sinks through float range to zero, and nothing below it is an error.
    return np.where(lowest < -1e-290, np.inf, size / (np.maximum(lowest, 0.0) + 1e-290))


def _at_point(moments: Array, w: float) -> Array:
    moved = 2.0 * w * moments[..., CROSS, :] + w**2 * moments[..., MOMENTUM, :]
    return np.asarray(moments[..., ERROR, :] + moved)
