"""Claims about ladders as people run them: equal tokens, floors, seeds that stop, few points."""

from __future__ import annotations

import numpy as np
import pytest

from hidim import Curve, frontier
from hidim.measure import envelope, isoflop
from tests.measure.ladders import (
    FLOOR,
    FLOOR_SHARES,
    NOISES,
    P,
    Q,
    best_size,
    equal_tokens,
    exponents,
    ladder,
)


@pytest.mark.parametrize("last", [1e9, 1e10])
@pytest.mark.parametrize("floor", [FLOOR, "fit"])
def test_no_best_size_is_listed_where_the_small_runs_have_ended(last, floor):
    found = frontier(equal_tokens(last), floor=floor)
    # Within the error of a spline through sizes that are a factor 2.7 apart.
    assert found.d == pytest.approx(best_size(found.flops), rel=0.02)
    assert len(found.flops) > 12


@pytest.mark.parametrize("approach", [envelope, isoflop])
def test_nor_does_an_envelope_list_one(approach):
    found = approach(equal_tokens(1e9, sizes=13), np.geomspace(1e13, 1e19, 40))
    assert len(found.flops) > 8
    assert found.d == pytest.approx(best_size(found.flops), rel=0.25)  # the parabola is wide


def test_a_fitted_floor_is_right_and_says_when_too_few_decades_hold_it():
    short, long = (frontier(equal_tokens(last), floor="fit") for last in (1e9, 1e10))
    for found in (short, long):
        assert found.floor == pytest.approx(FLOOR, abs=1e-3)
        assert found.eta.value == pytest.approx(exponents(P, Q)[0], abs=1e-3)
    assert long.settled
    assert not short.settled
    assert "2.7 decades of budgets" in short.reason


def test_a_fitted_floor_is_in_the_intervals():
    rng = np.random.default_rng(3)
    runs = ladder(P, Q, sizes=8, a=4.0, b=4.0, floor=FLOOR, noise="curves", share=0.002, rng=rng)
    fitted = frontier(runs, floor="fit")
    given = frontier(runs, floor=fitted.floor, window=fitted.eta.window)
    assert fitted.eta.stderr > 1.5 * given.eta.stderr
    assert fitted.floor_interval[0] < fitted.floor < fitted.floor_interval[1]
    assert given.floor_interval is None


def test_noise_that_hides_the_floor_is_a_reason():
    rng = np.random.default_rng(3)
    runs = ladder(P, Q, sizes=8, a=4.0, b=4.0, floor=FLOOR, noise="curves", share=0.01, rng=rng)
    found = frontier(runs, floor="fit")
    assert not found.settled
    assert "floor is known to" in found.reason


@pytest.mark.parametrize("noise", NOISES)
def test_intervals_with_a_fitted_floor_cover_the_truth(noise):
    assert coverage(noise, 4, sizes=8) >= 3 / 4  # 200 below, and in docs/benchmarks


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [8, 12])
@pytest.mark.parametrize("noise", NOISES)
def test_intervals_with_a_fitted_floor_cover_the_truth_in_nine_of_ten_of_200(noise, sizes):
    assert coverage(noise, 200, sizes=sizes) >= 0.9


def coverage(noise, count, *, sizes):
    rng, hits = np.random.default_rng(7), np.zeros(3)
    for _ in range(count):
        runs = ladder(P, Q, sizes=sizes, a=4.0, b=4.0, floor=FLOOR, noise=noise,
                      share=FLOOR_SHARES[noise], rng=rng)  # fmt: skip
        found = frontier(runs, floor="fit")
        ends = [(one.low, one.high) for one in (found.eta, found.xi)] + [found.floor_interval]
        truth = (*exponents(P, Q), FLOOR)
        hits += [low <= true <= high for (low, high), true in zip(ends, truth, strict=True)]
    return hits.min() / count


def test_a_seed_that_stops_early_does_not_shorten_its_size():
    runs = ladder()
    both = [(n, f, loss * 1.1) for n, f, loss in runs] + [
        (n, f[: len(f) // 2], loss[: len(f) // 2] / 1.1) for n, f, loss in runs
    ]
    one, two = frontier(runs), frontier(both)
    assert two.flops == pytest.approx(one.flops)
    assert two.risk == pytest.approx(one.risk, rel=1e-6)  # the mean of both, wherever one ends
    assert two.eta.value == pytest.approx(one.eta.value, abs=1e-6)


def test_seeds_of_a_few_points_are_refused_in_our_own_words():
    runs = ladder(sizes=6)
    short = [(n, f[:2], loss[:2]) for n, f, loss in runs]
    for given in (short, short + short, short[:3] + runs[3:]):
        with pytest.raises(ValueError, match=r"^`curves`"):
            frontier(given)


def test_what_lies_between_sparse_points_is_in_the_interval():
    dense, sparse = ladder(sizes=8), []
    for n, f, loss in dense:
        few = np.unique(np.linspace(0, len(f) - 1, 7).round().astype(int))
        sparse.append((n, f[few], loss[few]))
    many, few = frontier(dense), frontier(sparse)
    eta, xi = exponents(0.5, 0.5)
    assert few.eta.stderr > 10 * many.eta.stderr
    for power, true in ((few.eta, eta), (few.xi, xi)):
        assert power.low <= true <= power.high


def curves(label="", algorithm=None):
    about = {} if algorithm is None else {"algorithm": {"name": algorithm}}
    return [
        Curve(np.round(f / n * 1e6), loss, dimension=n, batch_size=1e-6, label=label,
              provenance=about)
        for n, f, loss in ladder(sizes=6)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "runs",
    [
        curves("sgd") + curves("adam"),
        curves(algorithm="sgd") + curves(algorithm="adam"),
        curves(algorithm="sgd")[:3] + curves(algorithm="adam")[3:],
    ],
)
@pytest.mark.parametrize("instrument", [frontier, lambda runs: envelope(runs, [1e6])])
def test_two_optimizers_are_no_seeds_of_one(runs, instrument):
    with pytest.raises(ValueError, match=r"runs of 'adam' and 'sgd': measure one"):
        instrument(runs)


def test_labels_may_name_the_size():
    named = [Curve(c.steps, c.risk, dimension=c.dimension, batch_size=c.batch_size,
                   label=f"d = {c.dimension:g}") for c in curves()]  # fmt: skip
    assert frontier(named + named).eta.value == frontier(curves()).eta.value
