"""A clock that moves as a power of the rate, against the integral itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad

from hidim.fitting import Run, fit
from hidim.fitting.logs.rates import Rate
from hidim.fitting.schedules.aims import Task, _ends
from hidim.fitting.schedules.laws import LAWS
from hidim.fitting.schedules.signal_time import SignalTime
from tests.fitting.conftest import STEPS, TRUTH, rates

Maker = Callable[..., Run]
PEAK = 3e-4
AT = np.array([0.0, 300.0, 1000.0, 5000.0, 12_345.0, 24_000.0, 60_000.0])


def knots(name: str) -> Rate:
    """Rates as logs and plans give them."""
    if name == "from zero":  # a log that holds its own warm-up, down to zero
        lr = np.array([0.0, PEAK, PEAK, 0.0])
        return Rate(np.array([0.0, 1000.0, 16_000.0, 24_000.0]), lr, lr)
    if name == "jump":
        before = np.array([1.0, 1.0, 0.3]) * PEAK
        return Rate(np.array([0.0, 8000.0, 24_000.0]), before, before * [1.0, 0.3, 1.0])
    if name == "late":  # first row at 2,160, after a warm-up of 2,000
        lr = np.array([1.0, 0.99, 0.1]) * PEAK
        return Rate(np.array([2160.0, 9000.0, 24_000.0]), lr, lr, 2000.0)
    return Run(STEPS, rates(name), None, 1000.0).rate


@pytest.mark.parametrize("name", ["cosine", "wsd", "stage", "jump", "late", "from zero"])
def test_the_integral_of_a_power_of_the_rate(name: str) -> None:
    rate = knots(name)
    signal = SignalTime.of(rate, AT, unit=PEAK, time=2.0)
    time = rate.time(AT) / 2.0
    assert np.allclose(np.exp(signal.log(1.0)[0])[1:], time[1:], rtol=1e-12)
    ready = rate.ready_step

    def power(step: float) -> float:
        k = np.clip(np.searchsorted(rate.steps, step, side="right") - 1, 0, len(rate.steps) - 1)
        if k == len(rate.steps) - 1 or step < rate.steps[0]:
            return float((rate.after[k] if step >= rate.steps[0] else rate.before[0]) / PEAK) ** 0.6
        share = (step - rate.steps[k]) / (rate.steps[k + 1] - rate.steps[k])
        return float((1 - share) * rate.after[k] + share * rate.before[k + 1]) ** 0.6 / PEAK**0.6

    points = [float(s) for s in rate.steps if ready < s < 24_000.0]
    whole = quad(power, ready, 24_000.0, points=points, limit=500, epsrel=1e-10)[0]
    expected = (whole + ready / 2 * power(ready)) * PEAK / 2.0
    assert np.exp(signal.log(0.6)[0])[5] == pytest.approx(expected, rel=1e-7)
    slope = (signal.log(0.6 + 1e-6)[0] - signal.log(0.6 - 1e-6)[0]) / 2e-6
    assert np.allclose(signal.log(0.6)[1], slope, rtol=1e-6, atol=1e-8)
    some = signal.part(np.array([1, 4]))
    assert np.array_equal(some.log(0.6)[0], signal.log(0.6)[0][[1, 4]])


def test_a_law_whose_signal_slows_less_than_the_rate_is_found(synthetic: Maker) -> None:
    law, true = LAWS["fsl"], np.array([*TRUTH[:-1], 0.6])
    names = ("cosine", "constant", "stage", "wsd")
    first = fit([synthetic(name, seed=i) for i, name in enumerate(names[:3])])
    runs = []
    for i, name in enumerate(names):
        run = synthetic(name)
        loss = law.loss(true, first.units.clock(run.rate, run.steps))
        noise = 5e-4 * np.random.default_rng(i).standard_normal(len(loss))
        runs.append(Run(run.steps, run.lr, loss * np.exp(noise), 1000.0, name))
    found, power = fit(runs[:3]), fit(runs[:3], "mpl", force=True)
    assert found.parameters["clock_exponent"] == pytest.approx(0.6, abs=0.1)
    loss = runs[3].measured()
    error, alone = (np.nanmean(np.abs(f.predict(runs[3]) / loss - 1)) for f in (found, power))
    assert error < 7e-4  # noise of rows alone gives 4e-4
    assert error < 0.8 * alone
    # Plans ask for the ends of many shapes at once.
    share, shapes = np.linspace(0, 1, 9), np.random.default_rng(0).uniform(0, 1, (4, 9))
    shapes = -np.sort(-shapes)  # plans do not rise
    task = Task(found, 20_000.0, PEAK, 1e-5, 500.0, share, ((law, true),))
    ends = _ends(task, shapes).signal.log(0.6)
    for i, shape in enumerate(shapes):
        one = found.units.clock(task.rate(shape), np.array([20_000.0])).signal.log(0.6)
        assert np.allclose([e[i] for e in ends], [e[0] for e in one], rtol=1e-10)
