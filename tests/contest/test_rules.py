"""Claims about the arithmetic: the rule, the design, and the optimizers written here."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from hidim.contest.methods import METHODS
from hidim.contest.methods.ademamix import AdEMAMix, slow_beta
from hidim.contest.methods.schedule_free import ScheduleFreeAdamW
from hidim.contest.spaces import Linear, Log, points
from hidim.contest.verdict import C, false_alarms, leaderboard, meets, profile, score, shortest


def test_the_rule_is_welchs_test_at_its_strictest():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 0.3, 5), rng.normal(0.8, 0.1, 5)
    assert score(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).statistic)
    assert pytest.approx(stats.t.ppf(0.95, 4), abs=5e-4) == C


@pytest.mark.parametrize("ratio", [1.0, 3.0, 100.0])
def test_false_alarms_stay_below_five_percent_whatever_the_variances(ratio):
    """20,000 pairs: the rate is known to .0015, one standard error."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(20_000, 5)), ratio * rng.normal(size=(20_000, 5))
    sigma = np.sqrt(a.var(1, ddof=1) + b.var(1, ddof=1))
    rate = np.mean((a.mean(1) - b.mean(1)) * math.sqrt(5) >= C * sigma)
    assert rate < 0.05 + 3 * 0.0015
    assert score(a[0], b[0]) == pytest.approx((a[0] - b[0]).mean() * math.sqrt(5) / sigma[0])


def test_the_rate_of_false_alarms_of_normal_runs():
    alarm = false_alarms(np.random.default_rng(2).normal(size=40).tolist())
    assert alarm["low"] < alarm["rate"] < alarm["high"]
    assert alarm["rate"] < 0.06
    assert alarm["spread"] < 0.05


def test_a_shorter_length_counts_only_if_the_longer_ones_do():
    target, better = [2.0, 2.1, 2.2, 2.0, 2.1], [1.0, 1.1, 1.2, 1.0, 1.1]
    assert shortest(target, {1.0: better, 0.75: better, 0.5: target}) == 0.75
    assert shortest(target, {1.0: target, 0.75: better, 0.5: better}) is None
    assert not meets(target, [1.0] * 4 + [math.inf])
    assert meets([1.0] * 4 + [math.inf], target)


def test_a_method_without_all_its_runs_is_on_no_leaderboard():
    rows = [
        {"task": "a", "method": method, "role": "final", "index": k, "length": length,
         "value": float(k), "values": "{}", "status": "ok", "seconds": 1.0}
        for method in ("adamw", "mine") for length in (1.0, 0.75, 0.5) for k in range(5)
    ]  # fmt: skip
    assert [one["method"] for one in leaderboard(rows)] == ["adamw", "mine"]
    assert [one["method"] for one in leaderboard(rows[:-1])] == ["adamw"]


def test_the_profile_is_of_tasks_that_all_finished():
    board = [
        {"task": task, "method": method, "mean": mean}
        for task, method, mean in (("a", "x", 1.0), ("a", "y", 2.0), ("b", "x", 1.0))
    ]
    assert profile(board) == {"x": [1.0], "y": [2.0]}


@pytest.mark.parametrize("name", METHODS.names())
def test_every_space_is_met_in_twelve_even_places(name):
    space = METHODS.find(name).entry.space
    settings = points(space, 12)
    for key, one in space.items():
        found = sorted(setting[key] for setting in settings)
        assert found == pytest.approx([one.at((k + 0.5) / 12) for k in range(12)])


def test_no_two_dimensions_of_a_design_rise_or_fall_together():
    names = "abcdef"
    settings = points({name: Linear(0.0, 1.0) for name in names}, 12)
    columns = np.array([[setting[name] for setting in settings] for name in names])
    assert np.abs(np.corrcoef(columns) - np.eye(6)).max() < 0.4


def test_a_space_that_cannot_be_met_is_refused():
    with pytest.raises(ValueError, match="one less than a prime"):
        points({}, 8)
    with pytest.raises(ValueError, match="`low` must be below"):
        Log(1.0, 0.1)


def gradients(count):
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(3, generator=rng, dtype=torch.float64) for _ in range(count)]


def test_schedule_free_is_the_published_iteration():
    """x, y and z kept apart, as in the paper, with a warm-up."""
    y = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = ScheduleFreeAdamW([y], lr=0.1, beta=0.8, beta_2=0.95, weight_decay=0.1)
    x = z = torch.ones(3, dtype=torch.float64)
    v, total = torch.zeros(3, dtype=torch.float64), 0.0
    for k, g in enumerate(gradients(12), start=1):
        lr = 0.1 * min(k / 4, 1)
        optimizer.param_groups[0]["lr"] = lr
        y.grad = g
        optimizer.step()
        at = 0.8 * x + 0.2 * z
        v = 0.95 * v + 0.05 * g * g
        z = z - lr * (g / ((v / (1 - 0.95**k)).sqrt() + 1e-8) + 0.1 * at)
        total += lr**2
        x = (1 - lr**2 / total) * x + lr**2 / total * z
        torch.testing.assert_close(y.detach(), 0.8 * x + 0.2 * z)
    optimizer.finish()
    torch.testing.assert_close(y.detach(), x)


def test_ademamix_is_the_published_iteration():
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = AdEMAMix(
        [p], steps=12, lr=0.1, betas=(0.9, 0.99, 0.999), alpha=5.0, weight_decay=0.1
    )
    expected = torch.ones(3, dtype=torch.float64)
    fast = slow = v = torch.zeros(3, dtype=torch.float64)
    for k, g in enumerate(gradients(12), start=1):
        p.grad = g
        optimizer.step()
        last = slow_beta(k, 12, 0.9, 0.999)
        fast, slow = 0.9 * fast + 0.1 * g, last * slow + (1 - last) * g
        v = 0.99 * v + 0.01 * g * g
        scale = (v / (1 - 0.99**k)).sqrt() + 1e-8
        update = (fast / (1 - 0.9**k) + 5 * k / 12 * slow) / scale
        expected = expected - 0.1 * (update + 0.1 * expected)
        torch.testing.assert_close(p.detach(), expected)
    half_lives = [math.log(0.5) / math.log(slow_beta(k, 12, 0.9, 0.999)) for k in (4, 8, 12)]
    assert half_lives[1] - half_lives[0] == pytest.approx(half_lives[2] - half_lives[1])
