"""Claims about how rates scale with size."""

from __future__ import annotations

import math

import pytest

from hidim.algorithms.kappas import Kappas, no_gain_line, stability_line
from hidim.algorithms.named import kappas_of


def test_stability_and_no_gain_lines_above_the_high_dimensional_line():
    for a in (0.7, 1.0, 1.5):
        for kappa_3 in (0.0, 0.1, 0.25, 0.4, 0.5, 0.9):
            line = max(0.0, 1 - 2 * a * kappa_3)
            assert stability_line(a, kappa_3) == pytest.approx(line, abs=1e-12)
            assert no_gain_line(a, kappa_3) == pytest.approx(2 * a * (1 - kappa_3), abs=1e-12)


def test_named_optimizers_sit_on_the_stability_line():
    for a in (0.3, 0.4, 0.5, 0.7, 1.0, 2.0):
        for kappa_b in (0.0, 0.1, 0.3, 0.9):
            for name in ("dana-constant", "dana-decaying"):
                k = kappas_of(a, name, kappa_b=kappa_b)
                line = stability_line(a, k.kappa_3, kappa_b=kappa_b)
                assert k.kappa_2 >= line - 1e-12
                if name == "dana-constant":
                    assert k.kappa_2 == pytest.approx(k.kappa_1 + 1 - kappa_b, abs=1e-12)


def test_the_batch_exponent_moves_dana_as_published():
    k = kappas_of(1.0, "dana-decaying", kappa_b=0.4)
    assert (k.kappa_1, k.kappa_2) == (0, 0)
    assert k.kappa_3 == pytest.approx(0.3)
    assert kappas_of(0.3, "sgd", kappa_b=0.1).kappa_1 == pytest.approx(0.3)


def test_effective_time_and_its_inverse_agree():
    for k in (Kappas(), Kappas(0.0, 1.0, 0.0), Kappas(0.0, 0.0, 0.5), Kappas(0.2, 1.2, 0.0)):
        for theta in (0.1, 0.7, 1.3, 2.0):
            assert k.effective_time(k.time_to(theta)) == pytest.approx(theta, abs=1e-12)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "stochastic-nesterov"}, "diverges"),
        ({"name": "dana-decayin"}, "dana-decaying"),
        ({"name": "general-momentum"}, "kappa_2"),
        ({"name": "general-momentum", "kappa_2": 0.4, "kappa_3": 0.25}, "at least 0.5"),
        ({"name": "general-momentum", "kappa_2": -1, "kappa_3": 3}, "kappa_2"),
        ({"name": "sgd", "kappa_2": 0.5}, "fixed"),
        ({"name": "sgd", "kappa_b": -0.1}, "kappa_b"),
        ({"name": "general-momentum", "kappa_2": math.nan, "kappa_3": 0.25}, "kappa_2"),
    ],
)
def test_bad_requests_name_the_argument(kwargs, message):
    with pytest.raises(ValueError, match=message):
        kappas_of(1.0, **kwargs)


def test_gamma_2_above_its_stable_rate_is_refused():
    with pytest.raises(ValueError, match="kappa_1"):
        kappas_of(0.4, "general-momentum", kappa_1=0.0, kappa_2=1.2, kappa_3=0.0)
