"""Claims about theories written elsewhere: a slip is refused in one line, before any work."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import hidim
from hidim.systems import builders
from hidim.systems.factors import Factors

LAM = np.geomspace(1.0, 1e-2, 6)
SPECTRUM = hidim.Spectrum(LAM, np.ones(6), 0.01)


@dataclass(frozen=True)
class Mine:
    rate: float = 0.1
    name: str = "mine"


@dataclass(frozen=True, eq=False)
class Descent(hidim.System):
    """SGD on SPECTRUM at batch 1, written from outside."""

    rate: object = 0.1
    scale: float = 1.0
    kinds, orders, affine = 1, ("twice_risk",), True

    def at(self, t):
        return self.rate(t) if callable(self.rate) else np.full(len(t), self.rate)

    def start(self):
        return self.scale * np.ones((1, 6))

    def order(self, x):
        return 0.02 + x[..., 0, :] @ LAM[:, None]

    def change(self, t, q, drive=None):
        step = self.at(t)[:, None] * LAM
        return (2.0 * step**2 - 2.0 * step)[..., None, None]

    def source(self, t, q, drive=None):
        return ((self.at(t) ** 2)[:, None] * LAM * q)[..., None]

    def readouts(self, t, x, q, drive=None):
        return {"risk": 0.5 * q[..., 0]}


@pytest.fixture
def predicted(monkeypatch):
    """Predict a system, whatever the problem and the algorithm."""

    def predict(system, **options):
        monkeypatch.setattr(builders, "_OUTSIDE", [lambda problem, algorithm, batch: system])
        return hidim.predict(SPECTRUM, Mine(), **({"steps": 1000} | options))

    return predict


def changed(**members):
    return type("Other", (Descent,), members)()


def factored(first=1.0, pull=-2.0):
    """`Descent.factors`, with a slip in one of two places."""

    def factors(self, t):
        rate = self.at(t)
        features = np.stack([np.full(6, first), LAM, LAM**2], axis=1)
        change, gains = np.zeros((3, len(t), 1, 1)), np.zeros((3, len(t), 1, 1))
        change[1, :, 0, 0], change[2, :, 0, 0] = pull * rate, 2.0 * rate**2
        gains[1, :, 0, 0] = rate**2
        return Factors(features, change, gains, None)

    return factors


SLIPS = {
    "factors of another change": (changed(factors=factored(pull=-1.0)), "not what `change` says"),
    "factors without a constant": (changed(factors=factored(2.0)), "first feature must be 1"),
    "factors that are not affine": (changed(factors=factored(), affine=False), "leave it out"),
    "no kinds": (changed(kinds=None), "kinds must be how many"),
    "orders that are a text": (changed(orders="q"), "orders must be a tuple"),
    "more names than orders": (changed(orders=("a", "b")), r"order\(x\).* \(orders,\) = \(2,\)"),
    "a start without kinds": (
        changed(start=lambda s: np.ones(6)),
        r"start\(\) must have the shape",
    ),
    "a start of lists": (changed(start=lambda s: [["a"] * 6]), "real numbers"),
    "NaN at the start": (changed(start=lambda s: np.full((1, 6), math.nan)), "NaN at the start"),
    "an order without its axis": (
        changed(order=lambda s, x: x[..., 0, :] @ LAM),
        r"order\(x\) of x \(1, 6\) must have the shape \(orders,\)",
    ),
    "a source without times": (
        changed(source=lambda s, t, q, drive=None: 1e-3 * LAM[:, None]),
        r"source\(t, q\) at 2 times must have the shape \(times, modes, kinds\) = \(2, 6, 1\)",
    ),
    "a change without kinds": (
        changed(change=lambda s, t, q, drive=None: np.ones((len(t), 6))),
        r"change\(t, q\) at 2 times must have the shape",
    ),
    "a complex change": (
        changed(change=lambda s, t, q, drive=None: np.full((len(t), 6, 1, 1), 1j)),
        "real numbers",
    ),
    "no change": (changed(change=hidim.System.change), r"must define `change\(t, q, drive\)`"),
    "stepped without a step": (changed(stepped=True), "must define `step"),
    "no risk": (changed(readouts=lambda s, t, x, q, drive=None: {"loss": q[:, 0]}), "a 'risk'"),
    "a readout by modes": (
        changed(readouts=lambda s, t, x, q, drive=None: {"risk": q[:, 0], "modes": x[:, 0]}),
        r"readouts\(...\)\['modes'\] at 2 times must have the shape \(times,\)",
    ),
    "a method that fails": (changed(order=lambda s, x: x[99]), "Other.order failed: IndexError"),
    "affine that is not": (
        changed(
            change=lambda s, t, q, drive=None: -0.1 * np.tile(q[:, :1, None, None], (1, 6, 1, 1))
        ),
        "says `affine = True`, but its change depends on q",
    ),
    "breakpoints that are no times": (
        changed(breakpoints=(math.nan,)),
        "breakpoints must be finite",
    ),
    "no system": (Descent, "must return a hidim.System or None, got ABCMeta"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_named(slip, predicted):
    system, message = SLIPS[slip]
    with pytest.raises(ValueError, match=message) as caught:
        predicted(system)
    assert "\n" not in str(caught.value)


def test_what_is_right_is_left_alone(predicted):
    curve = predicted(Descent(), steps=20_000)
    np.testing.assert_allclose(
        curve.risk, hidim.predict(SPECTRUM, hidim.sgd(0.1), 20_000).risk, rtol=1e-8
    )


@dataclass(frozen=True)
class Bump(hidim.algorithms.schedules.Schedule):
    def __call__(self, t):
        return 0.01 * (1 + 30 * np.exp(-(((np.asarray(t, dtype=float) - 12_345) / 30) ** 2)))


def test_factors_change_nothing_but_the_work(predicted):
    one, other = (
        predicted(kind, steps=20_000) for kind in (changed(factors=factored()), Descent())
    )
    np.testing.assert_allclose(one.risk, other.risk, rtol=1e-11)


@pytest.mark.parametrize("engine", ["exact", "ode"])
def test_a_narrow_schedule_in_a_field_is_not_stepped_over(engine, predicted):
    curve = predicted(Descent(rate=Bump()), at=[12_400, 20_000], steps=None, engine=engine)
    known = hidim.predict(SPECTRUM, hidim.sgd(Bump()), at=[12_400, 20_000], engine=engine)
    np.testing.assert_allclose(curve.risk, known.risk, rtol=1e-7)


def test_a_theory_without_orders_need_not_call_itself_affine(predicted):
    system = changed(
        orders=(),
        affine=False,
        order=lambda s, x: np.empty((*x.shape[:-2], 0)),
        source=lambda s, t, q, drive=None: np.zeros((len(t), 6, 1)),
        readouts=lambda s, t, x, q, drive=None: {"risk": 0.5 * x[..., 0, :] @ LAM},
    )
    curve = predicted(system, steps=10_000)
    a = 1 + 0.02 * LAM**2 - 0.2 * LAM
    truth = [0.5 * a**t @ LAM for t in curve.steps.astype(float)]
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-8)


def test_volterra_asks_what_the_risk_is(predicted):
    twice = changed(readouts=lambda s, t, x, q, drive=None: {"risk": q[..., 0]})
    with pytest.raises(ValueError, match=r"follows more.*engine='exact'"):
        predicted(twice, engine="volterra")
    other = changed(orders=("q",))
    np.testing.assert_allclose(
        predicted(other, engine="volterra").risk, predicted(other).risk, rtol=1e-7
    )


def test_a_mode_that_flips_its_sign_is_no_exponential(predicted):
    system = changed(
        steady=True,
        change=lambda s, t, q, drive=None: np.full((len(t), 6, 1, 1), -1.5),
        source=lambda s, t, q, drive=None: np.zeros((len(t), 6, 1)),
    )
    for engine in ("exact", "volterra"):
        curve = predicted(system, steps=40, engine=engine)
        truth = 0.01 + 0.5 * (-0.5) ** curve.steps.astype(float) * LAM.sum()
        np.testing.assert_allclose(curve.risk, truth, rtol=1e-10)


def test_only_what_change_and_source_hold_has_a_derivative(predicted):
    curve = predicted(Descent(rate=0.1), at=[500], steps=None, sensitivity=["rate"])
    h = 1e-5
    logs = [np.log(predicted(Descent(rate=0.1 + s), at=[500], steps=None).risk) for s in (h, -h)]
    np.testing.assert_allclose(curve.columns["d_rate"], (logs[0] - logs[1]) / (2 * h), rtol=1e-5)
    with pytest.raises(ValueError, match="'scale' enters the start"):
        predicted(Descent(), sensitivity=["scale"])
    for odd in (None, 3):
        with pytest.raises(ValueError, match="`sensitivity` must be a list"):
            predicted(Descent(), sensitivity=odd)


def test_many_derivatives_at_the_first_steps_are_those_of_a_few():
    algorithm = hidim.sgd(hidim.Table(range(11), [0.1] * 11))
    names = [f"gamma_2.values[{i}]" for i in range(9)]
    for step in (0, 1, 3):
        many = hidim.predict(SPECTRUM, algorithm, at=[step], sensitivity=names).columns
        few = hidim.predict(SPECTRUM, algorithm, at=[step], sensitivity=names[:2]).columns
        for name in names[:2]:
            np.testing.assert_allclose(many["d_" + name], few["d_" + name], rtol=1e-9, atol=1e-15)
