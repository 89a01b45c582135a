"""Claims about checks: seeds to the last digit, names in any case."""

from __future__ import annotations

import numpy as np
import pytest

from hidim.support import checks

BIG = 12345678901234567891


@pytest.mark.parametrize("value", [0, 3, 2**53 + 1, BIG, np.uint64(BIG), np.int32(7)])
def test_a_seed_keeps_every_digit(value):
    assert checks.seed("seed", value) == int(value)
    assert checks.given_seed("seed", value) == int(value)


@pytest.mark.parametrize("value", [-1, -BIG, 1.5, "a", True, np.nan])
def test_what_is_no_seed_is_refused(value):
    with pytest.raises(ValueError, match="seed"):
        checks.seed("seed", value)


@pytest.mark.parametrize("spelled", ["sgd-momentum", "SGD_Momentum", " sgd_momentum"])
def test_a_name_is_read_in_any_case_with_either_line(spelled):
    assert checks.hyphenated(spelled) == "sgd-momentum"


def test_a_near_miss_in_capitals_is_answered_too():
    with pytest.raises(ValueError, match="Did you mean 'dana-decaying'"):
        checks.choice("name", "DANA-decayin", ["sgd", "dana-decaying"])
