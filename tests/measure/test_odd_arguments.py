"""Claims about arguments of odd types: one line that names argument, value and remedy."""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim import Curve, frontier, measure
from hidim.studies import measure_ladder, own_exponents, run_ladder, run_plane
from tests.measure.ladders import ladder

RUNS = ladder(sizes=6)
CURVE = Curve([0, 1, 10, 100], [1, 0.5, 0.2, 0.1])
TAIL = np.arange(1, 100.0) ** -1


class Client:
    """As Dask's, the class and no object."""

    def get_executor(self): ...


ODD = {
    "`law` must have numbers `eta`": [
        lambda: frontier(RUNS, law="sgd"),
        lambda: frontier(RUNS, law=3),
    ],
    "`floor` must be a number": [
        lambda: frontier(RUNS, floor="auto"),
        lambda: frontier(RUNS, floor=None),
    ],
    "`window` must": [
        lambda: frontier(RUNS, window="ab"),
        lambda: frontier(RUNS, window=3),
        lambda: frontier(RUNS, window=(1, 2, 3)),
        lambda: measure.tail(TAIL, window="10,20"),
        lambda: measure.tail(TAIL, window=3),
        lambda: measure.tail(TAIL, window=(3.5, 20)),
        lambda: own_exponents(hidim.Spectrum(TAIL, TAIL, 0.0), window=("a", "b")),
    ],
    "`last_decades` must": [
        lambda: frontier(RUNS, last_decades="x"),
        lambda: measure.measure_exponent([1, 2], [1, 2], last_decades=-1),
    ],
    "`curves` must": [
        lambda: frontier(None),
        lambda: frontier(np.ones((6, 3))),
        lambda: measure.envelope(3, [1]),
        lambda: measure.lowest(3, [1]),
        lambda: measure.standings(3),
    ],
    "`curve` must be a Curve": [
        lambda: measure.standings([3]),
        lambda: measure.time_to_level(3, 0.5),
        lambda: measure.settling_time(3, 0.5),
        lambda: measure.local_slopes(3),
    ],
    "`flops` must": [
        lambda: measure.envelope(RUNS, "a"),
        lambda: measure.lowest(RUNS, [-1.0]),
    ],
    "`decades` must": [lambda: measure.isoflop(RUNS, [1e6], decades=-1)],
    "`level` must": [
        lambda: measure.first_crossing([1, 2], [2, 1], None),
        lambda: measure.time_to_level(CURVE, "a"),
        lambda: measure.settling_time(CURVE, "a"),
    ],
    "`x` must ascend": [lambda: measure.first_crossing([3, 1, 2], [2, 1, 1], 1.5)],
    "must be as long as": [
        lambda: measure.first_crossing([1, 2, 3], [2, 1], 1.5),
        lambda: measure.first_crossing([1, 2, 3], [2, 1, 1], 1.5, stderr=[1]),
        lambda: measure.measure_exponent([1, 2], [1, 2, 3]),
        lambda: measure.measure_exponent([1, 2], [1, 2], weights=[1]),
        lambda: measure.saturating_fit([1, 2, 3, 4, 5], [1, 2, 3]),
        lambda: measure.shared_saturation([1, 2, 3], [[1, 2]]),
    ],
    "positive numbers": [
        lambda: measure.measure_exponent([1, -2], [1, 2]),
        lambda: measure.measure_exponent([1, 2], [1, 0]),
        lambda: measure.shared_saturation([1, 2], [[1, -2]]),
    ],
    "`steps` must lie within the curve, 1..100": [lambda: measure.local_slopes(CURVE, [1e5])],
    "`executor` must be": [
        lambda: run_plane([1.0], [0.7], sizes=[10], executor=Client),
        lambda: run_ladder(1.0, 0.7, sizes=[10], executor=Client),
    ],
    "`folder` must be the path": [
        lambda: run_plane([1.0], [0.7], sizes=[10], folder=3),
        lambda: run_ladder(1.0, 0.7, sizes=[10], folder=3),
    ],
    "`ladder` must be a Ladder": [lambda: measure_ladder(3)],
    "`spectrum` must be a Spectrum": [lambda: own_exponents("abc")],
}


@pytest.mark.parametrize("words", ODD)
def test_odd_arguments_are_refused_in_one_line(words):
    if "executor" in words or "folder" in words:
        pytest.importorskip("xarray")
    for call in ODD[words]:
        with pytest.raises(ValueError, match=words.replace(".", r"\.")) as caught:
            call()
        assert "\n" not in str(caught.value)
