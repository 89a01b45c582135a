"""Claims about whole planes: labels, resumption, saving, exponents."""

from __future__ import annotations

import numpy as np
import pytest

import hidim

xarray = pytest.importorskip("xarray")

from hidim.studies import (  # noqa: E402
    load_plane,
    plane_exponents,
    run_plane,
    save_plane,
)
from hidim.studies.recipes import Recipe  # noqa: E402

SMALL = {
    "alphas": [0.4, 1.0],
    "betas": [0.05, 0.3, 0.7],
    "sizes": [100, 200, 400, 800, 1600],
    "points": 64,
    "workers": 1,
}


def test_a_plane_is_labelled_and_empty_only_where_nothing_scales(tmp_path):
    plane = run_plane(**SMALL, recipes=["sgd"], folder=tmp_path)
    assert plane.risk.dims == ("alpha", "beta", "recipe", "d", "point")
    assert np.isnan(plane.risk.sel(alpha=0.4, beta=0.05)).all()
    known = plane.risk.sel(beta=0.7, recipe="sgd")
    assert (known.isel(point=-5) < known.isel(point=5)).all()
    found = plane_exponents(plane)
    gap = abs(found.eta - found.eta_theory).sel(recipe="sgd", alpha=1.0, beta=[0.3, 0.7])
    assert float(gap.max()) < 0.03  # sizes of a few hundred


def test_a_stopped_plane_goes_on_from_its_files(tmp_path, monkeypatch):
    first = run_plane(**SMALL, folder=tmp_path)
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 10
    files[0].unlink()
    from hidim.studies import plane as module

    solved = []
    real = module.solve

    def counted(task):
        solved.append(task)
        return real(task)

    monkeypatch.setattr(module, "solve", counted)
    again = run_plane(**SMALL, folder=tmp_path)
    assert len(solved) == 1
    xarray.testing.assert_identical(first, again)


def test_a_saved_plane_is_read_back(tmp_path):
    kappas = [Recipe("general-momentum", kappa_2=0.5, kappa_3=k) for k in (0.25, 0.5)]
    plane = run_plane([1.0], [0.7], recipes=kappas, sizes=[100], points=32, workers=1)
    assert plane.recipe.values[1] == "general-momentum kappa_2=0.5 kappa_3=0.5"
    save_plane(plane, tmp_path / "plane.nc")
    xarray.testing.assert_identical(plane, load_plane(tmp_path / "plane.nc"))
    xarray.testing.assert_allclose(plane, xarray.load_dataset(tmp_path / "plane.nc"))


def test_damaged_planes_and_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "plane.nc"
    save_plane(run_plane([1.0], [0.7], sizes=[100], points=16, workers=1), path)
    whole = path.read_bytes()
    for content in (b"", b"CDF", whole[:300], whole[:-200], b"{}", b"PK"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"plane\.nc") as caught:
            load_plane(path)
        assert "\n" not in str(caught.value)
    save_plane(xarray.Dataset({"risk": ("x", [1.0])}), path)
    with pytest.raises(ValueError, match="no plane"):
        load_plane(path)
    with pytest.raises(ValueError, match="no file"):
        load_plane(tmp_path / "none.nc")


def test_a_damaged_finished_task_is_named(tmp_path):
    options = {"sizes": [100], "points": 16, "workers": 1, "folder": tmp_path}
    run_plane([1.0], [0.7], **options)
    file = next(tmp_path.glob("*.npz"))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=f"delete '.*{file.name}'"):
        run_plane([1.0], [0.7], **options)


def test_the_exponents_of_a_plane_are_those_of_its_ladders():
    plane = run_plane([0.4], [0.7], sizes=[100 * 2**k for k in range(6)], workers=1)
    (risk,), steps = plane.risk.values[0, :, 0], plane.steps.values[0, 0]
    known = [np.isfinite(t) for t in steps]
    rows = zip(plane.d.values, steps, risk, known, strict=True)
    runs = [(d, d * t[k], p[k]) for d, t, p, k in rows]
    found, one = plane_exponents(plane), hidim.frontier(runs)
    assert float(found.eta[0, 0, 0]) == one.eta.value
    assert [float(found[f"xi_{end}"][0, 0, 0]) for end in ("low", "high")] == [
        one.xi.low,
        one.xi.high,
    ]


def test_points_that_diverge_are_counted_and_show_no_exponents():
    wild = Recipe("sgd", step=3.0)
    plane = run_plane([1.0], [0.3], recipes=[wild], sizes=[50, 100], points=32, workers=1)
    found = plane_exponents(plane)
    assert int(found.diverged[0, 0, 0]) == 2
    assert np.isnan(found.eta).all()
    with pytest.raises(ValueError, match="`plane` must be a plane"):
        plane_exponents(plane.risk.values)


def test_bad_sizes_are_refused_before_any_work():
    with pytest.raises(ValueError, match="sizes"):
        run_plane([1.0], [0.7], sizes=[0])
    with pytest.raises(ValueError, match="alphas"):
        run_plane([-1.0], [0.7])
