"""Any schedule of hidim, drawn by Hypothesis: one strategy for each class there is."""

from hypothesis import strategies as st

from hidim.algorithms import schedules as s
from hidim.algorithms.decays import (
    RISES,
    SHAPES,
    ExponentialDecay,
    PolynomialDecay,
    PowerFall,
    PowerTail,
    Rise,
    Tail,
)

share = st.floats(0.0, 1.0, allow_subnormal=False)
amount = st.floats(0.0, 10.0, allow_subnormal=False)
positive = st.floats(0.01, 100.0)
count = st.integers(1, 200)


@st.composite
def wsd(draw):
    steps, fraction = draw(count), draw(st.floats(0.05, 1.0))
    warmup = draw(st.integers(0, int(steps * (1.0 - fraction))))
    if draw(st.booleans()):
        return s.WSD(steps, warmup, fraction, draw(st.floats(0.01, 1.0)), "exponential")
    return s.WSD(steps, warmup, fraction, draw(share))


@st.composite
def table(draw):
    steps = sorted(draw(st.sets(st.integers(0, 300), min_size=1, max_size=6)))
    values = draw(st.lists(amount, min_size=len(steps), max_size=len(steps)))
    return s.Table(steps, values, draw(st.sampled_from(["linear", "previous"])))


@st.composite
def exponential_decay(draw):
    steps = draw(count)
    start = draw(st.floats(0.0, 0.9 * steps))
    return ExponentialDecay(draw(positive), steps, draw(st.floats(1e-3, 1.0)), start)


@st.composite
def tail(draw):
    steps = draw(count)
    shape = draw(st.sampled_from(SHAPES))
    final = draw(st.floats(0.01, 1.0)) if shape == "exponential" else draw(share)
    return Tail(draw(st.floats(0.0, 0.9 * steps)), steps, final, shape)


@st.composite
def power_fall(draw):
    start = draw(positive)
    until = draw(st.just(float("inf")) | st.floats(1.1 * start, 50 * start))
    return PowerFall(start, draw(st.floats(0.1, 2.0)), until)


@st.composite
def power_tail(draw):
    steps = draw(count)
    start = draw(st.floats(0.0, 0.9 * steps))
    return PowerTail(start, steps, draw(share), draw(st.floats(0.1, 4.0)))


SIMPLE = {
    s.Constant: st.builds(s.Constant, amount),
    s.PowerLaw: st.builds(s.PowerLaw, amount, st.floats(-2.0, 2.0)),
    s.Forgetting: st.builds(s.Forgetting, positive, st.none() | positive),
    s.NesterovWeight: st.builds(s.NesterovWeight, amount),
    s.AverageWeight: st.builds(s.AverageWeight, amount),
    s.Warmup: st.builds(s.Warmup, count),
    s.Cosine: st.builds(s.Cosine, count, share),
    s.WSD: wsd(),
    s.CoolDown: st.builds(s.CoolDown, count, st.floats(0.01, 1.0)),
    s.RiskMatched: st.builds(
        s.RiskMatched, positive, count, st.floats(0.1, 4.0), st.floats(0.01, 100.0)
    ),
    s.Table: table(),
    PolynomialDecay: st.builds(PolynomialDecay, positive, count, st.floats(0.0, 4.0)),
    ExponentialDecay: exponential_decay(),
    Tail: tail(),
    PowerFall: power_fall(),
    PowerTail: power_tail(),
    Rise: st.builds(Rise, positive, share, st.sampled_from(RISES)),
}
simple = st.one_of(*SIMPLE.values())
BUILT_IN = SIMPLE | {
    s.Complement: st.builds(s.Complement, simple),
    s.Product: st.builds(s.Product, st.lists(simple, min_size=2, max_size=3).map(tuple)),
}
schedules = st.one_of(*BUILT_IN.values())
