"""Claims about the frontier of exact curves: the best size, found cheaply, refused out of reach."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hidim
from hidim.studies.frontier import check_reach, exact_frontier


def risk_at(law, d, flops):
    """By `predict`, on the whole equivalent."""
    problem = hidim.PLRF(law.alpha, law.beta, int(d), law.v_over_d * d)
    return hidim.predict(problem, law.algorithm(d), at=[flops // d]).risk[0]


@pytest.mark.parametrize(
    ("alpha", "beta", "name"), [(1.0, 0.7, "dana-decaying"), (0.4, 0.8, "sgd")]
)
def test_no_size_of_a_grid_is_better(alpha, beta, name):
    law, flops = hidim.scaling_law(alpha, beta, name), 1e7
    best = exact_frontier(law, flops)
    assert best.d * best.steps <= flops
    # predict compresses by its own rule; both are right to about 1e-6.
    assert best.risk == pytest.approx(risk_at(law, best.d, flops), rel=1e-5)
    around = [risk_at(law, round(best.d * factor), flops) for factor in (0.5, 0.8, 1.25, 2.0)]
    # The optimum is flat to 1e-4 over the few percent to which the size is found.
    assert best.risk <= min(around) * (1 + 1e-4)


def test_several_budgets_are_those_one_by_one():
    law = hidim.scaling_law(1.0, 0.3, "sgd")
    told = []
    both = exact_frontier(law, [1e6, 1e7], progress=told.append)
    single = exact_frontier(law, 1e7)
    assert (both.d[1], both.steps[1], both.risk[1]) == (single.d, single.steps, single.risk)
    assert told == sorted(told)
    assert 1 < told[-1] < 2


@pytest.mark.parametrize(("alpha", "flops"), [(1.0, 1e60), (0.3, 1e300), (10.0, 1e120)])
def test_a_budget_out_of_reach_is_refused_with_the_largest_that_is_not(alpha, flops):
    law = hidim.scaling_law(alpha, 0.7, "sgd")
    with pytest.raises(ValueError, match=r"at most .* flops for sgd here") as caught:
        exact_frontier(law, flops)
    largest = float(str(caught.value).split("at most ")[1].split()[0])
    d = check_reach(law, largest)[0]
    assert d <= 1e15
    assert hidim.PLRF(alpha, 0.7, round(8 * d), 32 * d).spectrum().dimension > d
    with pytest.raises(ValueError, match="at most"):
        check_reach(law, 10 * largest)
    assert hidim.scaling_law(alpha, 0.7, "sgd").frontier(min(flops, 1e120)).risk > 0


def test_the_law_itself_ends_where_its_numbers_do():
    law = hidim.scaling_law(1.0, 0.7, "sgd")
    assert np.isfinite(law.frontier(1e120).risk)
    with pytest.raises(ValueError, match=r"at most 1e\+120"):
        law.frontier(1e121)


def test_budgets_worked_on_apart_are_the_same_and_kept(tmp_path):
    law, told = hidim.scaling_law(1.0, 0.7, "sgd"), []
    here = exact_frontier(law, [1e5, 1e6])
    with ThreadPoolExecutor(2) as threads:
        apart = exact_frontier(
            law, [1e5, 1e6], executor=threads, folder=tmp_path, progress=told.append
        )
    assert apart == here
    assert told == [1, 2]
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert exact_frontier(law, [1e5, 1e6], folder=tmp_path) == here
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(before) == 2
