"""Curves keep what they were given, and refuse what they cannot keep."""

import json
import math

import numpy as np
import pytest

import hidim
from hidim.curve import Curve, log_spaced_steps


@pytest.fixture
def curve():
    return Curve(
        steps=[0, 1, 10, 10**6],
        risk=[1.0, 0.5, 0.1, math.inf],
        stderr=[0.0, 0.1, 0.01, math.inf],
        status="diverged",
        diverged_at=700,
        label="sgd",
        dimension=50.0,
        batch_size=math.inf,
        provenance={"seed": 3},
        moments=np.ones((4, 3, 2)),
    )


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_saved_curve_comes_back_whole(curve, tmp_path, suffix):
    path = tmp_path / f"curve{suffix}"
    curve.save(path)
    back = Curve.load(path)
    for name in ("steps", "risk", "stderr", "moments"):
        np.testing.assert_array_equal(getattr(back, name), getattr(curve, name))
    for name in ("status", "diverged_at", "label", "dimension", "batch_size", "provenance"):
        assert getattr(back, name) == getattr(curve, name)
    assert back == curve


def test_json_is_strict_even_for_infinite_risk(curve, tmp_path):
    curve.save(tmp_path / "c.json")

    def refuse(token):
        raise AssertionError(token)

    json.loads((tmp_path / "c.json").read_text(), parse_constant=refuse)


def test_csv_has_one_row_per_step(curve):
    lines = curve.to_csv().splitlines()
    assert lines[0] == "step,risk,stderr"
    assert len(lines) == 5


def test_a_failed_write_leaves_the_old_file(curve, tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    curve.save(path)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="disk full"):
        curve.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


@pytest.mark.parametrize("name", ["c.txt", "missing/c.json"])
def test_places_that_cannot_be_written_are_refused(curve, tmp_path, name):
    with pytest.raises(ValueError, match="cannot"):
        curve.save(tmp_path / name)


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "c.json").write_text("{not json")
    (tmp_path / "c.npz").write_bytes(b"PK no")
    for name in ("c.json", "c.npz", "none.json"):
        with pytest.raises(ValueError, match=name):
            Curve.load(tmp_path / name)


COLUMNS = {"d_gamma_2": [0.0, -0.5, math.nan], "d_gamma_2.values[3]": [0.0, math.inf, 1.0]}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_columns_are_kept_in_files_and_count_for_equality(tmp_path, suffix):
    curve = Curve([0, 1, 10], [1.0, 0.5, 0.1], columns=COLUMNS)
    path = tmp_path / f"c{suffix}"
    curve.save(path)
    back = Curve.load(path)
    assert back == curve
    assert hash(back) == hash(curve)
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(back.columns[name], values)
    assert curve != Curve([0, 1, 10], [1.0, 0.5, 0.1])
    assert curve != Curve([0, 1, 10], [1.0, 0.5, 0.1], columns={**COLUMNS, "lr": [1.0, 1.0, 1.0]})
    assert curve != Curve(
        [0, 1, 10], [1.0, 0.5, 0.1], columns={**COLUMNS, "d_gamma_2": [0.0, -0.5, 0.0]}
    )


def test_columns_stand_beside_the_risk_in_csv_and_json():
    curve = Curve([0, 1, 10], [1.0, 0.5, 0.1], stderr=[0.0, 0.1, 0.1], columns=COLUMNS)
    lines = curve.to_csv().splitlines()
    assert lines[0] == "step,risk,stderr,d_gamma_2,d_gamma_2.values[3]"
    assert lines[2] == "1,0.5,0.1,-0.5,inf"
    found = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert found["columns"] == {
        "d_gamma_2": [0.0, -0.5, None],
        "d_gamma_2.values[3]": [0.0, None, 1.0],
    }
    assert "columns" not in Curve([0], [1.0]).to_dict()


@pytest.mark.parametrize("name", ["", "step", "risk", "stderr", "a\nb", "a\0", 3])
def test_names_that_no_file_can_keep_are_no_columns(name):
    with pytest.raises(ValueError, match="`columns`"):
        Curve([0, 1], [1.0, 0.5], columns={name: [0.0, 1.0]})


def test_a_column_of_another_length_is_refused():
    with pytest.raises(ValueError, match="'lr' must have the shape"):
        Curve([0, 1], [1.0, 0.5], columns={"lr": [0.0]})


def test_a_curve_says_how_it_went():
    rows = {"steps": [0, 100], "risk": [1.0, 0.5]}
    assert repr(Curve(**rows)) == "Curve(unnamed, 100 steps, risk 1 -> 0.5)"
    missed = Curve(**rows, status="inaccurate", provenance={"error": 3.2e-7})
    assert repr(missed).endswith("-> 0.5, inaccurate: off by up to 3.2e-07)")
    facts = {"error": 1e-15, "caution": "rows are too few"}
    told = Curve(**rows, status="inaccurate", provenance=facts)
    assert repr(told).endswith("-> 0.5, inaccurate: rows are too few)")
    small = Curve(**rows, provenance={"finite_size": "too low, by up to 7%"})
    assert repr(small).endswith("-> 0.5, too low, by up to 7%)")
    assert repr(Curve(**rows, status="inaccurate")).endswith("-> 0.5, inaccurate)")
    lost = Curve(**rows, status="diverged", diverged_at=7)
    assert repr(lost).endswith("-> 0.5, diverged at step 7)")


@pytest.mark.parametrize(
    ("steps", "risk"), [([0, 1], [1.0]), ([0, 1], [1.0, math.nan]), ([0.5], [1.0]), ([-1], [1.0])]
)
def test_impossible_curves_are_refused(steps, risk):
    with pytest.raises(ValueError):
        Curve(steps=steps, risk=risk)


@pytest.mark.parametrize("last", [0, 1, 2, 7, 1000, 10**8, 10**20])
def test_default_steps_hold_both_ends_and_twenty_per_decade(last):
    steps = log_spaced_steps(last)
    assert steps[0] == 0
    assert int(steps[-1]) == last
    assert np.all(np.diff(steps.astype(float)) > 0)
    decade = (steps >= 10**4) & (steps < 10**5)
    assert last < 10**5 or np.count_nonzero(decade) >= 20


def test_flops_are_steps_times_dimension_times_batch():
    spectrum = hidim.Spectrum(np.ones(7), np.ones(7), 0.0)
    curve = hidim.predict(spectrum, hidim.sgd(0.01), 10, batch_size=4)
    assert curve.flops[-1] == 10 * 7 * 4


def test_at_takes_steps_of_any_shape():
    curve = Curve(steps=[0, 1, 10, 100], risk=[1.0, 0.5, 0.05, 0.005])
    assert isinstance(curve.at(10), float)
    assert curve.at(np.int64(10)) == curve.at(np.array(10.0)) == curve.at(10)
    square = np.array([[0, 1], [10, 100]])
    # Through logarithms and back: rounding.
    np.testing.assert_allclose(curve.at([10, 1]), [0.05, 0.5], rtol=1e-14)
    np.testing.assert_allclose(curve.at(square), [[1, 0.5], [0.05, 0.005]], rtol=1e-14)
    assert curve.at([]).shape == (0,)
    for wrong in (101, -1, math.nan, math.inf, [1, 101], "ten", [1, None], [[1], [2, 3]]):
        with pytest.raises(ValueError, match="`step`"):
            curve.at(wrong)
    with pytest.raises(ValueError, match="no points"):
        Curve([], []).at(0)


def test_at_reads_a_curve_whose_steps_were_asked_for_in_any_order():
    ordered = Curve(steps=[0, 1, 10, 100], risk=[1.0, 0.5, 0.05, 0.005])
    shuffled = Curve(steps=[10, 0, 100, 1], risk=[0.05, 1.0, 0.005, 0.5])
    asked = [0, 1, 3, 30, 100]
    np.testing.assert_array_equal(shuffled.at(asked), ordered.at(asked))


def test_at_is_infinite_between_the_last_finite_risk_and_the_first_infinite_one():
    curve = Curve(steps=[0, 1, 10, 100], risk=[1.0, 0.0, math.inf, math.inf])
    np.testing.assert_array_equal(curve.at([0, 1, 10, 50]), [1.0, 0.0, math.inf, math.inf])


@pytest.mark.parametrize("engine", ["exact", "ode", "volterra", "asymptotic"])
def test_excess_is_the_risk_above_the_floor_of_the_problem(engine):
    problem = hidim.PLRF(1.0, 0.7, 20, noise_variance=0.5)
    curve = hidim.predict(problem, hidim.sgd(0.1), 100, engine=engine)
    np.testing.assert_array_equal(curve.excess, curve.risk - problem.risk_floor)
    run = hidim.simulate(problem, hidim.sgd(0.1), 20, runs=2, seed=1)
    assert run.risk_floor == problem.spectrum(seed=1).risk_floor
    with pytest.raises(ValueError, match="risk_floor"):
        Curve([0], [1.0]).excess  # noqa: B018


@pytest.mark.parametrize(
    "wrong", [{"dimension": -1}, {"batch_size": -1}, {"batch_size": 0}, {"risk_floor": -1.0}]
)
def test_what_no_run_has_is_refused(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        Curve([0, 1], [1.0, 0.5], **wrong)


@pytest.mark.parametrize("step", [True, "5", 1j, None, [True], 10**400])
def test_only_numbers_are_steps(step):
    with pytest.raises(ValueError, match="`step` must be"):
        Curve([0, 1, 10], [1.0, 0.5, 0.2]).at(step)


@pytest.mark.parametrize("name", ["a.JSON", "a.Npz"])
def test_the_case_of_a_suffix_does_not_matter(name, tmp_path):
    curve = Curve([0, 1], [1.0, 0.5])
    curve.save(tmp_path / name)
    assert Curve.load(tmp_path / name) == curve


def test_without_a_finite_floor_the_excess_is_the_loss():
    endless = Curve([0, 1], [np.inf] * 2, risk_floor=np.inf, columns={"excess": [0.5, 0.25]})
    assert repr(endless) == "Curve(unnamed, 1 steps, excess risk 0.5 -> 0.25)"
    assert endless.to_dict()["loss"] == "excess"
    assert "loss" not in endless.finite().to_dict()
    bare = Curve([0], [np.inf], risk_floor=np.inf)
    for ask in (bare.finite, lambda: bare.excess):
        with pytest.raises(ValueError, match="its excess is missing"):
            ask()
