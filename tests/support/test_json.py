"""Values become strict JSON and come back as they were; what cannot is refused by name."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hidim
from hidim.algorithms.decays import ExponentialDecay
from hidim.algorithms.schedules import Schedule
from hidim.support.json import decode, dumps, encode, loads, plain
from hidim.support.results import same

few = settings(max_examples=60, derandomize=True, deadline=None)

numbers = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),  # infinities and NaN among them
    st.complex_numbers(),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
)
arrays = hnp.arrays(
    dtype=st.one_of(
        hnp.floating_dtypes(sizes=(16, 32, 64)),
        hnp.integer_dtypes(),
        hnp.unsigned_integer_dtypes(),
        hnp.boolean_dtypes(),
        hnp.complex_number_dtypes(sizes=(64, 128)),
    ),
    shape=hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=3),
)
text = st.text(max_size=6) | st.sampled_from(["inf", "nan", "$float", "$map", "$"])
leaves = st.one_of(
    st.none(), text, numbers, arrays, st.binary(max_size=4), st.just(Path("runs") / "a")
)
keys = text | st.integers() | st.tuples(st.integers(), text) | st.none() | st.booleans()
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.frozensets(st.integers() | text, max_size=3),
    ),
    max_leaves=8,
)


def refuse(token):
    raise AssertionError(token)


@few
@given(trees)
def test_any_tree_of_values_comes_back_from_strict_json(tree):
    text = dumps(tree)
    json.loads(text, parse_constant=refuse)
    assert same(loads(text), tree)


@few
@given(trees)
def test_the_plain_form_is_strict_json_without_marks(tree):
    text = json.dumps(plain(tree), allow_nan=False)
    json.loads(text, parse_constant=refuse)


@few
@given(arrays.filter(lambda array: not np.isnan(array).any()))
def test_an_array_keeps_its_type_shape_and_every_bit(array):
    back = loads(dumps(array))
    native = array.astype(array.dtype.newbyteorder("="))
    assert (back.dtype, back.shape) == (native.dtype, native.shape)
    assert back.tobytes() == native.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        hidim.Constant(0.1) * hidim.Cosine(100),
        hidim.WSD(100, 10, 0.3, 0.1, "exponential"),
        hidim.Table([0, 5], [1.0, 0.5], "previous"),
        hidim.Forgetting(8.0),
        ExponentialDecay(1.0, 100, 0.01, 50),
        hidim.schedule_free_sgd(0.2),
        hidim.stochastic_nesterov(0.1),
        hidim.accelerated_sgd(0.1, 0.2, 0.5, 0.5).scheduled(hidim.Warmup(10)),
        hidim.general_momentum(100, 0.1, 1.0, 8.0, 0.1, 0.2, 0.3, 0.4, 0.5),
        hidim.PLRF(1.0, 0.7, 100),
        hidim.PLRF(1.0, 0.7, 100).spectrum(),
        hidim.scaling_law(1.0, 0.7, "sgd"),
        hidim.predict(hidim.PLRF(1.0, 0.7, 10), hidim.sgd(0.1), 10, moments=True),
    ],
    ids=lambda data: type(data).__name__,
)
def test_schedules_algorithms_problems_and_results_are_data(data):
    back = loads(dumps({"it": [data]}))["it"][0]
    assert back == data
    assert repr(back) == repr(data)
    if isinstance(data, hidim.Momentum):  # equality leaves these out
        assert (back.name, back.readouts, back.rates) == (data.name, data.readouts, data.rates)


@dataclass(frozen=True)
class OfAUser(Schedule):
    """A schedule from outside the package."""

    value: float

    def __call__(self, t):
        return np.full(np.shape(t), self.value)


@dataclass
class Foreign:
    """A dataclass that has nothing to do with the package."""

    value: float


def test_a_users_own_schedule_is_kept_where_its_module_is_imported():
    algorithm = hidim.Momentum(1.0, OfAUser(0.1), 0.0, 1.0)
    text = dumps(algorithm)
    assert loads(text) == algorithm
    with pytest.raises(ValueError, match="import its module"):
        loads(text.replace(OfAUser.__module__, "nowhere"))


def test_what_cannot_be_kept_is_refused_by_its_place():
    @dataclass(frozen=True)
    class Hidden(Schedule):
        value: float

    values = [len, Foreign(1.0), Hidden(1.0), np.datetime64("2024-01-01"), np.array([None])]
    if np.dtype(np.longdouble).itemsize > 8:
        values += [np.longdouble(1), np.zeros(1, dtype=np.longdouble)]
    for value in values:
        with pytest.raises(ValueError, match=r"x\['a'\]\[1\]") as caught:
            encode({"a": [0, value]}, "x")
        assert "\n" not in str(caught.value)
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="holds itself"):
        dumps(loop)


@pytest.mark.parametrize(
    "damaged",
    [
        {"$float": "many"},
        {"$array": [1.0], "dtype": "<f8", "shape": [2]},
        {"$array": ["a"], "dtype": "<f8", "shape": [1]},
        {"$array": [], "dtype": "|O", "shape": [0]},
        {"$unknown": 1},
        {"$data": "os:system", "command": "true"},
        {"$data": "hidim.__main__:main"},
        {"$data": "hidim.nothing:Constant", "value": 1.0},
        {"$data": "hidim.support.json:dumps"},
        {"$data": "hidim.algorithms.schedules:Constant", "value": -1.0},
    ],
)
def test_damaged_or_foreign_marks_are_refused(damaged):
    with pytest.raises(ValueError):
        decode(damaged)


def test_the_plain_form_reads_well():
    value = {1: hidim.sgd(0.5), "at": Path("a"), "n": np.int64(3), "s": {2}, "t": (np.inf, None)}
    assert plain(value) == {
        "1": hidim.sgd(0.5).to_dict(),
        "at": "a",
        "n": 3,
        "s": [2],
        "t": [None, None],
    }


def test_values_are_the_same_only_if_all_of_them_are():
    assert same({"a": [math.nan, np.arange(3)]}, {"a": [math.nan, np.arange(3.0)]})
    for one, other in [
        ([1], (1,)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), [0.0, 0.0]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ([1], [1, 2]),
        (math.nan, 0.0),
        (np.array([np.nan, 1.0]), np.array([np.nan, 2.0])),
    ]:
        assert not same(one, other)
        assert not same(other, one)
