"""Claims about ladders: the same curves whoever works on them, kept and gone on with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hidim.studies import Recipe, run_ladder

SIZES = [100, 300, 100]


def test_a_ladder_worked_on_apart_is_the_same_and_kept(tmp_path):
    asked = {"alpha": 1.0, "beta": [0.3, 0.7], "recipe": "dana-decaying", "sizes": SIZES}
    here = run_ladder(**asked)
    with ThreadPoolExecutor(2) as threads:
        apart = run_ladder(**asked, executor=threads, folder=tmp_path)
    assert apart == here
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(before) == 2  # one for each size
    counted = []
    assert run_ladder(**asked, folder=tmp_path, done=lambda: counted.append(1)) == here
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(counted) == 2
    run_ladder(1.0, 0.7, Recipe("sgd", step=0.3), sizes=[100], folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"executor": "dask"}])
def test_where_a_ladder_cannot_be_worked_on(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        run_ladder(1.0, 0.7, sizes=[100], **wrong)
