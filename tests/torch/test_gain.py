"""The gain that measures itself and the momentum's cool-down, in every path."""

import copy
import importlib.util
import io
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from catalogue import CLASSES, Case, data, train
from torch.nn import Parameter

import hidim
import hidim.torch as ours
from hidim.torch._machine import gain

PATHS = [{}, {"foreach": True}, {"fused": True}, {"capturable": True}]
MEASURED = [ours.DANADecaying, ours.ADANA]


def least_squares(d=128, batch=4, two_alpha=2.0, seed=0):
    """The gradient of a batch as a function of the error, on a power-law diagonal covariance."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.arange(1, d + 1, dtype=torch.float64) ** (-two_alpha / 2)

    def gradient(error):
        x = torch.randn(batch, d, generator=generator, dtype=torch.float64) * root
        return x.T @ (x @ error) / batch

    return root**2, gradient


def test_the_measured_dimension_is_that_of_the_covariance():
    lam, gradient = least_squares()
    p = Parameter(torch.ones(128, dtype=torch.float64))
    lr = 0.6 / lam.sum().item()
    optimizer = ours.DANADecaying([p], lr=lr, gain="measured")
    found, exact = [], []
    for t in range(1500):
        p.grad = gradient(p.detach())
        optimizer.step()
        if t >= 300:
            found.append(optimizer.param_groups[0][gain.KNOWN][3])
            # gamma_2 tr H = 1 is the unit: see gain.py.
            exact.append((lam / (lam + 8 / (8 + t) * lam.sum())).sum().item())
    assert np.mean(np.log(np.array(found) / exact)) == pytest.approx(0.0, abs=0.3)
    assert 0.5 * (lam * p.detach() ** 2).sum() < 0.01  # from 0.8
    batch = gain.batch_of(optimizer.param_groups[0][gain.KNOWN])
    assert 0.5 < batch < 8  # of 4, on the small side


def test_the_sign_of_a_step_hides_whatever_does_not_change():
    signs = [gain._sign(float(t)) for t in range(2 * gain._PERIOD)]
    assert set(signs) == {1.0, -1.0}
    assert all(a == -b for a, b in zip(signs[::2], signs[1::2], strict=True))
    assert abs(np.corrcoef(signs[1:-1:2], signs[2::2])[0, 1]) < 0.1
    times = torch.arange(2 * gain._PERIOD, dtype=torch.float32)
    assert gain._sign(times).tolist() == signs


@pytest.mark.parametrize("cls", MEASURED)
def test_all_paths_measure_and_move_alike(cls):
    ends = []
    for path in PATHS:
        p = Parameter(torch.tensor(data(1)[0]))
        optimizer = cls([p], lr=0.01, gain="measured", cooldown=100, **path)
        train(optimizer, p, 60)
        known = optimizer.param_groups[0][gain.KNOWN]
        ends.append((p.detach().clone(), torch.as_tensor(known, dtype=torch.float64)))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("path", PATHS[::3])
@pytest.mark.parametrize("cls", MEASURED)
def test_a_measured_run_resumes_bit_for_bit_and_may_change_its_path(cls, path):
    def started(steps):
        p = Parameter(torch.tensor(data(1)[0]))
        optimizer = cls([p], lr=0.01, gain="measured", **path)
        train(optimizer, p, steps)
        return optimizer, p

    _, whole = started(40)
    half, p = started(25)
    stream = io.BytesIO()
    torch.save(half.state_dict(), stream)
    stream.seek(0)
    saved = torch.load(stream, weights_only=True)
    q = Parameter(p.detach().clone())
    fresh = cls([q])
    fresh.load_state_dict(saved)
    train(fresh, q, 15, start=25)
    assert torch.equal(q, whole)
    other = Parameter(p.detach().clone())
    changed = cls([other])
    for group in saved["param_groups"]:
        group.update(capturable=not path, foreach=True)
    changed.load_state_dict(saved)
    train(changed, other, 15, start=25)
    torch.testing.assert_close(other, whole, rtol=1e-9, atol=1e-9)
    broken = copy.deepcopy(half.state_dict())
    broken["state"][0]["shadow_buffer"] = torch.zeros(2)
    with pytest.raises(ValueError, match="shadow_buffer"):
        cls([q]).load_state_dict(broken)
    for bad in [(1.0, 2.0), "abc", (math.nan,) * 8, (0.0,) * 8]:
        broken = copy.deepcopy(half.state_dict())
        broken["param_groups"][0]["measured"] = bad
        with pytest.raises(ValueError, match="measured"):
            cls([q]).load_state_dict(broken)


def test_groups_and_tensors_are_measured_as_one():
    whole = Parameter(torch.tensor(data(1)[0]))
    rows = [Parameter(x.detach().clone()) for x in whole]
    groups = [{"params": rows[:1]}, {"params": rows[1:]}]
    together = ours.DANADecaying([whole], lr=0.01, gain="measured")
    apart = ours.DANADecaying(groups, lr=0.01, kappa_3="auto")
    rng = np.random.default_rng(0)
    for _ in range(30):
        whole.grad = torch.tensor(rng.standard_normal((3, 4)))
        for row, g in zip(rows, whole.grad, strict=True):
            row.grad = g.clone()
        together.step()
        apart.step()
    torch.testing.assert_close(torch.stack(rows).detach(), whole.detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.complex64])
@pytest.mark.parametrize("cls", MEASURED)
def test_any_dtype_is_measured_and_a_gradient_without_numbers_changes_nothing(cls, dtype):
    p = Parameter(torch.ones(40, dtype=dtype))
    optimizer = cls([p], lr=0.01, gain="measured")
    torch.manual_seed(0)
    for _ in range(10):
        p.grad = torch.randn(40, dtype=dtype)
        optimizer.step()
    known = optimizer.param_groups[0][gain.KNOWN]
    assert all(map(math.isfinite, known))
    wide = torch.complex64 if dtype.is_complex else torch.float32
    assert optimizer.state[p]["shadow_buffer"].dtype == wide
    for bad in (0.0, math.inf, math.nan):
        p.grad = torch.full_like(p, bad)
        gain.measure(optimizer)
        assert optimizer.param_groups[0][gain.KNOWN] == known
        assert torch.isfinite(
            torch.view_as_real(optimizer.state[p]["shadow_buffer"]).sum()
            if dtype.is_complex
            else optimizer.state[p]["shadow_buffer"].sum()
        )


def test_a_gain_that_cannot_be_measured_is_refused():
    for options, words in (
        ({"gain": "guess"}, "gain"),
        ({"gain": "measured", "differentiable": True}, "gain"),
        ({"kappa_3": "large"}, "kappa_3"),
        ({"cooldown": 0}, "cooldown"),
        ({"cooldown": -3.0}, "cooldown"),
        ({"cooldown": "late"}, "cooldown"),
        ({"cooldown": lambda t: 1.0}, "cooldown"),
    ):
        with pytest.raises(ValueError, match=words):
            ours.DANADecaying([Parameter(torch.ones(2))], **options)


COOLED = [case for case in CLASSES if "cooldown" in case.cls.__init__.__annotations__]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", COOLED, ids=str)
def test_the_momentum_term_cools_down(case: Case, path):
    steps = 40
    factor = hidim.CoolDown(steps, 0.1)
    for given in (steps, factor):
        options = {"lr": 1e-3, **case.options}
        start, curvature, noise = data(steps)
        p = Parameter(torch.tensor(start))
        optimizer = case.cls([p], **options, **path, cooldown=given)
        train(optimizer, p, steps)
        rule, q = case.reference(**options), start
        whole = getattr(rule, "gamma_3", None)
        for t in range(steps):
            if whole is None:
                rule.alpha_scale = float(factor(rule.t + 1))
            else:
                cooled = factor(rule.t) * (whole(rule.t) if callable(whole) else whole)
                rule.gamma_3 = float(cooled)
            q = rule.step(q, curvature * q + noise[t])
        np.testing.assert_allclose(p.detach().numpy(), q, rtol=1e-8, atol=1e-10)


def test_every_dana_and_adana_class_cools_down():
    assert {case.cls for case in COOLED} == {
        ours.DANADecaying, ours.DANAConstant, ours.GeneralMomentum, ours.ADANA, ours.DanaMK4,
        ours.DanaStar, ours.DanaStarMK4, ours.LogTimeAdEMAMix,
    }  # fmt: skip


def test_checkpoints_without_the_later_options_load():
    p = Parameter(torch.ones(3, dtype=torch.float64))
    for cls in (ours.DANADecaying, ours.ADANA):
        optimizer = cls([p], lr=0.01)
        p.grad = torch.ones_like(p)
        optimizer.step()
        old = copy.deepcopy(optimizer.state_dict())
        for group in old["param_groups"]:
            for name in ("gain", "cooldown", "clock", "peak_given"):
                group.pop(name, None)
            if "scaled_by" in group:
                group["scaled_by"] = group["scaled_by"][:3]
        fresh = cls([Parameter(p.detach().clone())])
        fresh.load_state_dict(old)
        (q,) = fresh.param_groups[0]["params"]
        q.grad = torch.ones_like(q)
        fresh.step()
        optimizer.step()
        assert torch.equal(q, p)


@pytest.fixture
def benchmark(monkeypatch):
    """benchmarks/gain.py and the file beside it."""
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location("gain_benchmark", folder / "gain.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclass looks there
    spec.loader.exec_module(module)
    return module


def test_many_seeds_in_numpy_are_the_optimizer_and_go_on_where_they_were(benchmark, tmp_path):
    j = np.arange(1, 65.0)
    spectrum = hidim.Spectrum(1 / j, 1 / j, 1e-3)
    root, start = j**-0.5, j**-0.5  # of float64, as the runs are then
    runs = importlib.import_module("gain_runs")
    seeds = [runs.Run.new(seed, start) for seed in (0, 5)]
    runs.advance(seeds, spectrum, 2, 0.1, 150)
    for run in seeds:
        run.save(tmp_path / "run.npz")
        run.__dict__.update(vars(runs.Run.load(tmp_path / "run.npz")))
    runs.advance(seeds, spectrum, 2, 0.1, 300)
    for run in seeds:
        p = Parameter(torch.tensor(start))
        optimizer = ours.DANADecaying([p], lr=0.1, kappa_3="auto")
        rng = np.random.default_rng(run.seed)
        for _ in range(300):
            p.grad = torch.from_numpy(runs.gradient(rng, root, p.detach().numpy(), 2, 1e-3))
            optimizer.step()
        np.testing.assert_allclose(run.error, p.detach(), rtol=1e-7, atol=1e-9)
        known = optimizer.param_groups[0][gain.KNOWN]
        np.testing.assert_allclose(run.known, known, rtol=1e-6)


def test_a_study_keeps_what_it_finds(benchmark, tmp_path, monkeypatch):
    j = np.arange(1, 65.0)
    hidim.Spectrum(1 / j, 1 / j, 1e-3).save(tmp_path / "alpha1.npz")
    monkeypatch.setattr(benchmark, "KAPPAS", (0.5,))
    given = {"alpha": 1.0, "batch": 2, "share": 0.25, "seed": 0}

    def found(steps, runs):
        arguments = SimpleNamespace(**given, steps=steps, runs=runs)
        return benchmark.curve(benchmark.Study(arguments, tmp_path))["rows"]

    first = found(100, 2)
    assert [row["t"] for row in first] == [10, 18, 32, 56, 100]
    assert all(0 < row["best"] < np.inf for row in first)
    monkeypatch.setattr(hidim, "predict", None)  # neither is done again
    monkeypatch.setattr(sys.modules["gain_runs"], "gradient", None)
    assert found(100, 2) == first
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_of_100_random_problems_none_diverges_in_20_000_steps(benchmark, seed):
    found = benchmark.random(SimpleNamespace(problems=25, seed=seed, steps=20_000))
    assert found["above_start"] == 0
    assert found["highest_on_the_way"] < 1
