"""predict(): one call from problem and algorithm to a loss curve, by the engine asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hidim.curve import Curve
from hidim.engines.control import RTOL
from hidim.engines.solve import asked_steps, solve
from hidim.rates.recommend import resolve


def predict(
    problem: Any,
    algorithm: Any,
    steps: float | None = None,
    batch_size: float = 1,
    engine: str = "auto",
    seed: int | None = None,
    at: Iterable[float] | None = None,
    *,
    moments: bool = False,
    readout: str = "gradient",
    rtol: float = RTOL,
    sensitivity: Sequence[str] = (),
) -> Curve:
    """Expected risk of `algorithm` on `problem`, at every step asked for.

    Args:
        problem: a PLRF or another problem, or a Spectrum; or what a registered theory takes.
        algorithm: a member of the momentum family, such as ``hidim.sgd(0.1)``, or a name: the
            recommended one, see `hidim.recommend`; or what a registered theory takes.
        steps: last optimizer step, up to 1e20; with `at` alone, the largest of those.
        batch_size: samples per step, a whole number or math.inf for full batches.
        engine: "exact" (discrete steps; what "auto" picks), "ode" (continuous time),
            "volterra" (integral equation), "asymptotic" (the scaling law) or "matrix" (measured
            rows: the whole covariance, exact and slow).
        seed: None for the deterministic equivalent, a number to draw that W.
        at: the steps to report, in any order; by default 0, the first steps, then 24 points
            per decade up to `steps` inclusive.
        moments: also return every mode's second moments; by "exact" and "ode".
        readout: "gradient" for the iterate, or another point of the algorithm, such as
            "average" for Schedule-Free; "asymptotic" has the iterate only.
        rtol: relative error allowed on the risk by "exact" and "ode", 1e-12 to 1e-2, relative to
            the largest risk within a factor of two in time. What it may be is measured by a second
            resolution and stands in ``curve.provenance["error"]``; where it could not be kept the
            curve's status is "inaccurate". It speaks of the risk, not of the columns. On a PLRF
            the quadrature counts too, and more nodes are taken where that helps, up to 1600;
            ``problem.spectrum().finer`` has more still.
        sensitivity: names of parameters, such as "gamma_2", "kappa_3", "delta" or
            "gamma_2.values[3]" of a Table; the derivatives of the log risk with respect to them
            are ``curve.columns["d_gamma_2"]`` and so on. By "exact" alone.

    Returns:
        A Curve. On measured rows whose gain reaches 1 on the way its status is "inaccurate", and
        ``curve.provenance["caution"]`` says which rows carry it. A run that grows past 1e18 times
        its start is given up: its risk is infinite from there on and its status "diverged", even
        where later rates would bring it back.

    Raises:
        ValueError: an argument is out of range or unknown.

    Example:
        >>> import hidim
        >>> spectrum = hidim.Spectrum([1.0, 0.25], [1.0, 1.0], 0.01)
        >>> curve = hidim.predict(spectrum, hidim.sgd(0.2), steps=1000)
        >>> curve.status, round(float(curve.risk[-1]), 4)
        ('ok', 0.0118)
        >>> named = hidim.predict(hidim.PLRF(1, 0.7, 100), "dana-decaying", steps=1000)
        >>> named.provenance["algorithm"]["gamma_3"], named.provenance["error"] < 1e-8
        ('PowerLaw(scale=0.1, t_exponent=0.5)', True)
        >>> slope = hidim.predict(spectrum, hidim.sgd(0.2), at=[1000], sensitivity=["gamma_2"])
        >>> bool(slope.columns["d_gamma_2"][0] > 0)  # at its floor a smaller rate is better
        True
    """
    asked = asked_steps(steps, at)  # refused before the spectrum is built
    last = float(asked.max())
    algorithm = resolve(problem, algorithm, batch_size, seed=seed, steps=last)
    return solve(
        problem,
        algorithm,
        at=asked,
        batch_size=batch_size,
        engine=engine,
        moments=moments,
        readout=readout,
        seed=seed,
        rtol=rtol,
        sensitivity=sensitivity,
    )
