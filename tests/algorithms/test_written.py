"""Claims about schedules in a provenance: each comes back, and text is never run."""

import numpy as np
import pytest
from hypothesis import given
from schedule_examples import schedules

import hidim
from hidim.algorithms.written import read_written, written


@given(schedules)
def test_every_schedule_comes_back_alone_and_in_a_product(schedule):
    t = np.arange(50.0)
    for one in (schedule, hidim.Warmup(10) * schedule):
        again = read_written(written(one))
        np.testing.assert_allclose(again(t), one(t), rtol=1e-13)  # constants may be folded
        assert written(again) == written(read_written(written(again)))


def test_numbers_of_numpy_are_numbers():
    assert read_written("Constant(value=np.float64(0.1))") == hidim.Constant(0.1)


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "__import__('os').getcwd()", "exec('1')", "Nothing(x=1)", "Cosine(1, 2, 3, 4)",
     "Cosine", "a.b()", "f()()", "[1]", "None", "'x'", "-1", "Cosine(steps=-1)"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused_in_one_line(text):
    with pytest.raises(ValueError) as caught:
        read_written(text)
    assert "\n" not in str(caught.value)
