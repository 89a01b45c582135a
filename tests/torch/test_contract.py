"""What makes an optimizer adoptable: groups, checkpoints, refusals, precision, counting."""

import copy
import inspect
import io
import math
import subprocess
import sys
import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from catalogue import CASES, CLASSES, OWN, data, reference_path, train
from torch.nn import Parameter

import hidim.algorithms
import hidim.torch as ours
from hidim.algorithms.schedules import Table
from hidim.support import native
from hidim.torch._machine import library

each = pytest.mark.parametrize("case", CLASSES, ids=str)
PATHS = [{"foreach": False}, {"foreach": True}, {"fused": True}]


def started(case, steps=3, dtype=torch.float64, **options):
    p = Parameter(torch.tensor(data(1)[0], dtype=dtype))
    optimizer = case.cls([p], **{**case.options, **options})
    train(optimizer, p, steps)
    return optimizer, p


@each
def test_every_argument_is_in_the_groups_and_a_number_of_kind(case):
    optimizer = case.cls([Parameter(torch.zeros(3))])
    names = set(inspect.signature(case.cls).parameters) - {"params"}
    assert names <= set(optimizer.param_groups[0])
    assert {"lr", "weight_decay", "foreach", "fused", "maximize"} <= names
    positional = [
        name
        for name, parameter in inspect.signature(case.cls).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    assert positional == ["params", "lr"]


@each
def test_step_is_the_only_scalar_of_the_state(case):
    optimizer, p = started(case, dtype=torch.bfloat16, steps=300)
    state = optimizer.state[p]
    assert [key for key, value in state.items() if value.dim() == 0] == ["step"]
    assert state["step"].dtype == torch.float32  # bfloat16 would have stopped at 256
    assert state["step"].item() == 300 + case.options.get("initial_step", 0)


@each
def test_state_takes_four_bytes_per_parameter_and_buffer(case):
    p = Parameter(torch.zeros(1000))
    optimizer = case.cls([p])
    p.grad = torch.ones(1000)
    optimizer.step()
    size = sum(t.numel() * t.element_size() for t in optimizer.state[p].values())
    per_class = {ours.ADANA: 8, ours.DanaMK4: 8, ours.SignSGD: 0}
    for three in (ours.DanaStar, ours.DanaStarMK4, ours.LogTimeAdEMAMix):
        per_class[three] = 12
    assert size - 4 == 1000 * per_class.get(case.cls, 4)


BAD = {
    "lr": [-1.0, math.nan, "0.1", torch.tensor(-1.0)],
    "kappa_3": [-0.1, math.inf],
    "kappa": [0.0, -1.0],
    "delta": [0.0, -8.0, math.nan],
    "c_3": [-1.0],
    "dimension": [0, -3],
    "weight_decay": [-0.1],
    "eps": [-1e-8],
    "clip": [0.0, -2.0],
    "omega": [-4.0],
    "t_0": [-1.0],
    "peak_lr": [-1.0],
    "alpha_scale": [-1.0],
    "alpha_form": ["paper"],
    "gradient_scale": [-1.0],
    "betas": [(1.0, 0.9), (0.9,), 0.9],
    "gamma_1": [-1.0],
    "gamma_2": [-1.0],
    "gamma_3": [math.nan],
    "forgetting": [-0.5],
    "xi": [0.0, 0.5],
    "small_const": [0.0],
    "initial_step": [-1, 0.5],
    "state_dtype": [torch.int32, "bf16"],
}


@each
def test_bad_values_raise_value_error_naming_the_argument(case):
    names = set(inspect.signature(case.cls).parameters)
    for name in names & set(BAD):
        for value in BAD[name]:
            with pytest.raises(ValueError, match=name):
                case.cls([Parameter(torch.zeros(3))], **{name: value})
            with pytest.raises(ValueError, match=name):
                case.cls([{"params": [Parameter(torch.zeros(3))], name: value}])


@each
def test_contradictory_flags_are_refused(case):
    for flags in (
        {"foreach": True, "fused": True},
        {"differentiable": True, "fused": True},
        {"stochastic_rounding": True, "capturable": True},
    ):
        with pytest.raises(ValueError, match=r"fused|stochastic_rounding"):
            case.cls([Parameter(torch.zeros(3))], **flags)


@each
def test_sparse_gradients_are_refused_before_anything_changes(case):
    dense, table = Parameter(torch.ones(3)), Parameter(torch.ones(4, 2))
    optimizer = case.cls([dense, table])
    dense.grad = torch.ones(3)
    table.grad = torch.ones(4, 2).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert torch.equal(dense.detach(), torch.ones(3))
    assert not optimizer.state


@each
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_nan_gradients_leave_the_hyperparameters_and_the_neighbours_alone(case, path):
    good, bad = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    optimizer = case.cls([good, bad], **{**case.options, **path})
    before = copy.deepcopy(optimizer.state_dict()["param_groups"])
    good.grad, bad.grad = torch.ones(3), torch.full((3,), math.nan)
    optimizer.step()
    assert optimizer.state_dict()["param_groups"] == before
    assert torch.isfinite(good).all()
    assert torch.isnan(bad).all() or case.cls is ours.SignSGD


@each
def test_frozen_parameters_keep_their_own_time(case):
    first, second = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    optimizer = case.cls([first, second], fused=True)
    for step in range(4):
        first.grad = torch.ones(3)
        second.grad = torch.ones(3) if step >= 2 else None
        optimizer.step()
    assert optimizer.state[first]["step"] == 4
    assert optimizer.state[second]["step"] == 2


@each
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(case, path):
    whole, p = started(case, steps=150, **path)
    half, q = started(case, steps=70, **path)
    stream = io.BytesIO()
    torch.save(half.state_dict(), stream)
    stream.seek(0)
    fresh = case.cls([q], lr=123.0)
    fresh.load_state_dict(torch.load(stream, weights_only=True))
    train(fresh, q, 80, start=70)
    assert torch.equal(p, q)
    assert whole.state_dict()["param_groups"] == fresh.state_dict()["param_groups"]


RESUME = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from catalogue import CLASSES, OWN, train
saved = torch.load(sys.argv[2], weights_only=True)
for case in [*CLASSES, OWN]:
    p = torch.nn.Parameter(saved[case.name]["p"])
    optimizer = case.cls([p], lr=99.0)
    optimizer.load_state_dict(saved[case.name]["optimizer"])
    train(optimizer, p, 30, start=70)
    saved[case.name]["p"] = p.detach()
torch.save(saved, sys.argv[2])
"""


def test_a_new_process_with_another_lr_continues_bit_for_bit(tmp_path):
    saved = {}
    for case in [*CLASSES, OWN]:
        optimizer, p = started(case, steps=70, fused=True)
        saved[case.name] = {"p": p.detach(), "optimizer": optimizer.state_dict()}
    torch.save(saved, tmp_path / "checkpoint.pt")
    folder = str(__import__("pathlib").Path(__file__).parent)
    subprocess.run(
        [sys.executable, "-c", RESUME, folder, str(tmp_path / "checkpoint.pt")], check=True
    )
    resumed = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for case in [*CLASSES, OWN]:
        _, p = started(case, steps=100, fused=True)
        assert torch.equal(resumed[case.name]["p"], p.detach()), case.name


def damage(state_dict):
    """(what is wrong, a damaged copy, words of the message)"""
    buffers = [key for key in state_dict["state"][0] if key != "step"]
    whole = copy.deepcopy(state_dict)

    def edited(edit):
        result = copy.deepcopy(whole)
        edit(result)
        return result

    yield "no state", edited(lambda d: d.pop("state")), "state"
    yield "no groups", edited(lambda d: d.pop("param_groups")), "param_groups"
    yield "no lr", edited(lambda d: d["param_groups"][0].pop("lr")), "lacks lr"
    yield "bad lr", edited(lambda d: d["param_groups"][0].update(lr=-1.0)), "lr"
    yield "no params", edited(lambda d: d["param_groups"][0].pop("params")), "params"
    yield "two groups", edited(lambda d: d["param_groups"].append({"params": []})), "groups"
    yield "more params", edited(lambda d: d["param_groups"][0]["params"].append(9)), "match"
    if buffers:  # otherwise nothing is left, as before the first step
        yield "no step", edited(lambda d: d["state"][0].pop("step")), "lacks step"
    yield "step vector", edited(lambda d: d["state"][0].update(step=torch.ones(2))), "step"
    yield "foreign state", edited(lambda d: d["state"][0].update(square=torch.ones(3, 4))), "square"
    yield "stray state", edited(lambda d: d["state"].update({7: {}})), "parameter 7"
    yield "list", [1, 2], "dict"
    for key in buffers:
        yield f"no {key}", edited(lambda d, key=key: d["state"][0].pop(key)), f"lacks {key}"
        yield (
            f"shape of {key}",
            edited(lambda d, key=key: d["state"][0].update({key: torch.ones(2)})),
            key,
        )


@each
def test_foreign_and_truncated_checkpoints_say_what_is_wrong_and_change_nothing(case):
    optimizer, p = started(case)
    before = copy.deepcopy(optimizer.state_dict())
    torch_adam = torch.optim.AdamW([p])
    torch_sgd = torch.optim.SGD([p], momentum=0.9)
    torch_adam.step()
    torch_sgd.step()
    foreign = [
        ("AdamW's", torch_adam.state_dict(), r"lacks|unknown"),
        ("SGD's", torch_sgd.state_dict(), r"lacks|unknown"),
    ]
    for other in CLASSES:
        if not set(inspect.signature(case.cls).parameters) <= set(
            inspect.signature(other.cls).parameters
        ):
            foreign.append((other.name, started(other)[0].state_dict(), "lacks"))
    for what, broken, words in [*damage(before), *foreign]:
        with pytest.raises(ValueError, match=words):
            optimizer.load_state_dict(broken)
        after = optimizer.state_dict()
        assert after["param_groups"] == before["param_groups"], what
        torch.testing.assert_close(after["state"], before["state"], rtol=0, atol=0)


@each
def test_loading_copies_so_that_two_optimizers_do_not_share_buffers(case):
    first, p = started(case)
    q = Parameter(p.detach().clone())
    second = case.cls([q])
    second.load_state_dict(first.state_dict())
    before = copy.deepcopy(first.state_dict()["state"])
    train(second, q, 2)
    torch.testing.assert_close(first.state_dict()["state"], before, rtol=0, atol=0)


def test_a_fresh_state_starts_where_it_is_told():
    late, p = started(CASES[0], steps=1, initial_step=500)
    momentum = late.param_groups[0]["c_3"] * 501**-0.85
    q0, curvature, noise = data(1)
    g = curvature * q0 + noise[0]
    expected = q0 - 0.01 * (1 + momentum) * g
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-13)


def test_editing_kappa_3_in_a_running_optimizer_keeps_the_momentum():
    for path in PATHS:
        optimizer, p = started(CASES[0], steps=50, **path)
        optimizer.param_groups[0]["kappa_3"] = 0.4
        train(optimizer, p, 50, start=50)
        rule = CASES[0].reference(0.01)
        q, curvature, noise = data(100)
        for t in range(100):
            if t == 50:
                rule.gamma_3 = lambda t: (1 + t) ** -0.4
            q = rule.step(q, curvature * q + noise[t])
        np.testing.assert_allclose(p.detach().numpy(), q, rtol=1e-10)


def test_dana_constant_takes_the_number_of_real_parameters():
    p, z = Parameter(torch.zeros(4, 5)), Parameter(torch.zeros(3, dtype=torch.complex64))
    optimizer = ours.DANAConstant([{"params": [p]}, {"params": [z]}])
    assert [group["dimension"] for group in optimizer.param_groups] == [26, 26]
    for clone in (optimizer, copy.deepcopy(optimizer)):
        clone.add_param_group({"params": [Parameter(torch.zeros(4))]})
        assert clone.param_groups[2]["dimension"] == 30


def test_a_scheduler_scales_both_rates_alike():
    optimizer, p = started(CASES[0], steps=10)
    scaled = copy.deepcopy(optimizer)
    for group in scaled.param_groups:
        group["lr"] *= 0.25
    q = scaled.param_groups[0]["params"][0]
    start = p.detach().clone()
    train(optimizer, p, 1, start=10)
    train(scaled, q, 1, start=10)
    np.testing.assert_allclose((q - start).detach(), 0.25 * (p - start).detach(), rtol=1e-10)


@each
def test_a_skipped_amp_step_does_not_count(case):
    p = Parameter(torch.ones(3))
    optimizer = case.cls([p], fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for value in (1.0, math.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale((p * value).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.state[p]["step"] == 2
    assert torch.isfinite(p).all()


# Cases whose steps are above half of bfloat16's spacing (2^-9 of the parameter); below it a
# parameter rounded to nearest stands still, whoever rounds.
BF16 = [case for case in CASES if case.options.get("lr", 1e-3) >= 0.01]


@pytest.mark.parametrize("steps", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("case", BF16, ids=str)
def test_bfloat16_follows_the_reference_at_its_rounding(case, path, steps):
    _, p = started(case, steps=steps, dtype=torch.bfloat16, **path)
    error = np.abs(p.detach().double().numpy() - reference_path(case, steps)).max()
    # 2^-9 per rounding of entries of order 1, and gradients rounded alike; signSGD's equal
    # steps of 0.01 are themselves rounded to multiples of 2^-8.
    assert error < (0.15 if case.cls is ours.SignSGD else 0.03)


def test_stochastic_rounding_follows_where_rounding_to_nearest_stands_still():
    case = next(case for case in CASES if case.name == "dana-decaying, no momentum")
    expected = reference_path(case, 400)
    _, nearest = started(case, steps=400, dtype=torch.bfloat16)
    _, unbiased = started(case, steps=400, dtype=torch.bfloat16, stochastic_rounding=True)
    errors = [np.abs(p.detach().double().numpy() - expected) for p in (nearest, unbiased)]
    # Random roundings of 2^-8: 400^.5 * 2^-8 / 2 = 0.04 at most, on a way of 0.4.
    assert errors[1].mean() < 0.04
    assert errors[1].mean() < 0.5 * errors[0].mean()


def test_stochastic_rounding_is_unbiased_and_reproducible():
    def moved(stochastic, path):
        p = Parameter(torch.ones(4000, dtype=torch.bfloat16))
        optimizer = ours.SignSGD([p], lr=1e-4, stochastic_rounding=stochastic, **path)
        for _ in range(50):
            p.grad = torch.ones_like(p)
            optimizer.step()
        return p.detach().float()

    # 1e-4 is below half of bfloat16's spacing at 1 (2^-8 downwards): to nearest never moves.
    assert torch.equal(moved(False, {}), torch.ones(4000))
    first = moved(True, {})
    # 50 steps of 1e-4; spread per step at most 2^-8 / 2, standard error 50^.5 * 2e-3 / 4000^.5.
    assert abs(first.mean().item() - 0.995) < 4 * 50**0.5 * 2e-3 / 4000**0.5
    assert torch.equal(first, moved(True, {}))
    assert torch.equal(first, moved(True, {"foreach": True}))


def test_state_can_be_kept_in_another_dtype():
    for dtype in (torch.bfloat16, torch.float64):
        optimizer, p = started(CASES[9], dtype=torch.float32, steps=50, state_dtype=dtype)
        assert optimizer.state[p]["exp_avg"].dtype == dtype
        again = ours.ADANA([p])
        again.load_state_dict(optimizer.state_dict())
        assert again.state[p]["exp_avg"].dtype == dtype


def test_float16_parameters_keep_their_state_in_float32():
    optimizer, p = started(CASES[9], dtype=torch.float16, steps=20)
    assert optimizer.state[p]["exp_avg_sq"].dtype == torch.float32
    assert torch.isfinite(p).all()


def test_without_a_kernel_fused_uses_lists_and_says_so_once(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "PACKAGED", tmp_path)
    monkeypatch.setenv("HIDIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(native, "compiler", lambda: None)
    monkeypatch.setattr(library, "_said", set())
    library.library.cache_clear()
    try:
        with pytest.warns(UserWarning, match="foreach"):
            _, p = started(CASES[9], fused=True)
        started(CASES[12], fused=True)  # no second warning: it would be an error here
        _, q = started(CASES[9], foreach=True)
        assert torch.equal(p, q)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            started(CASES[0], fused=True)  # DANA needs none
            _, r = started(CASES[9])  # nor does who did not ask for it hear of it
        assert torch.equal(r, q)
    finally:
        library.library.cache_clear()


def test_where_the_cache_cannot_be_written_libraries_lie_in_a_folder_of_this_process(
    tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HIDIM_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(library, "PACKAGED", tmp_path)
    monkeypatch.setattr(library, "_reasons", [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(native, "compiler", lambda: ["c++"])
    library._own_folder.cache_clear()
    library.library.cache_clear()
    tried = []

    def fails(compiler, sources, level, folder):
        tried.append(folder)
        raise OSError("enough")

    monkeypatch.setattr(native, "build", fails)
    assert library.library() is None
    assert "could not be written" in library.why_none()
    # No name that somebody else could make first, and nobody else may look inside.
    assert [folder.parent for folder in tried] == [tmp_path]  # not below the file
    assert tried[0].stat().st_mode & 0o077 == 0
    library._own_folder.cache_clear()
    library.library.cache_clear()


def test_closures_are_evaluated_with_gradients():
    p = Parameter(torch.ones(3))
    optimizer = ours.DANADecaying([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = p.pow(2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 3.0


def test_param_groups_leave_biases_norms_and_vectors_without_decay():
    model = torch.nn.Sequential(
        torch.nn.Embedding(5, 4), torch.nn.Linear(4, 4), torch.nn.LayerNorm(4)
    )
    model[1].bias.requires_grad_(False)
    decayed, plain = ours.param_groups(model, weight_decay=0.1)
    assert [len(decayed["params"]), decayed["weight_decay"]] == [2, 0.1]
    assert [len(plain["params"]), plain["weight_decay"]] == [2, 0.0]
    assert len(ours.param_groups(model, decay_embeddings=False)[0]["params"]) == 1
    ours.ADANA(ours.param_groups(model), omega=4.0)
    with pytest.raises(ValueError, match="weight_decay"):
        ours.param_groups(model, weight_decay=-1.0)
    with pytest.raises(ValueError, match="model"):
        ours.param_groups(torch.nn.ReLU())


def test_a_checkpoint_of_the_rule_next_door_is_refused():
    pairs = [
        (ours.DanaStarMK4, ours.DanaStar),  # would clip a rule that has no clip
        (ours.DANADecaying, ours.StochasticNesterov),
        (ours.LogTimeAdEMAMix, ours.DanaStar),
        (torch.optim.SGD, ours.SignSGD),
    ]
    for written_by, read_by in pairs:
        p = Parameter(torch.zeros(3))
        with pytest.raises(ValueError, match="of another optimizer"):
            read_by([p]).load_state_dict(written_by([p]).state_dict())


@pytest.mark.parametrize(
    "broken",
    [{"state": None}, {"state": [1]}, {"param_groups": None}, {"param_groups": [1]}],
    ids=str,
)
def test_a_checkpoint_of_the_wrong_types_is_refused_by_rules_and_wrappers(broken):
    for cls in (ours.ADANA, ours.LogTimeWeightDecay):
        optimizer = cls([Parameter(torch.zeros(3))])
        with pytest.raises(ValueError, match="Nothing has been changed"):
            optimizer.load_state_dict({**optimizer.state_dict(), **broken})


@pytest.mark.parametrize("count", [math.nan, math.inf, -1.0])
def test_a_checkpoint_whose_count_is_no_count_is_refused(count):
    optimizer, _ = started(CASES[0])
    broken = copy.deepcopy(optimizer.state_dict())
    broken["state"][0]["step"] = torch.tensor(count)
    with pytest.raises(ValueError, match="step"):
        optimizer.load_state_dict(broken)


def test_a_refused_group_is_not_kept():
    optimizer = ours.AcceleratedSGD([Parameter(torch.zeros(3))])
    with pytest.raises(ValueError, match="xi"):
        optimizer.add_param_group({"params": [Parameter(torch.zeros(2))], "xi": 0.5})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("lr", [Fraction(1, 10), Decimal("0.1"), np.array(0.1), np.float32(0.1)])
def test_a_rate_that_is_any_kind_of_number_loads_with_weights_only(lr, tmp_path):
    optimizer = ours.ADANA([Parameter(torch.zeros(3))])
    optimizer.param_groups[0]["lr"] = lr  # as schedulers and sweeps do
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    (group,) = torch.load(tmp_path / "state.pt", weights_only=True)["param_groups"]
    assert group["lr"] == pytest.approx(0.1)


def test_numpy_numbers_as_options_load_with_weights_only():
    optimizer = ours.ADANA([Parameter(torch.zeros(3))], lr=np.float64(0.1), kappa=np.float32(0.75))
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    assert torch.load(stream, weights_only=True)["param_groups"][0]["lr"] == 0.1


@each
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_gradients_with_a_pending_conjugation_or_negation_are_read_right(case, path):
    values = torch.complex(torch.ones(3), torch.tensor([1.0, -2.0, 3.0]))
    for start, grad in [
        (torch.ones(3, dtype=torch.complex64), values.conj()),
        (torch.ones(3), values.conj().imag),
    ]:
        lazy, plain = Parameter(start.clone()), Parameter(start.clone())
        first, second = (case.cls([p], **path) for p in (lazy, plain))
        lazy.grad, plain.grad = grad, grad.resolve_conj().resolve_neg().clone()
        first.step()
        second.step()
        assert torch.equal(lazy, plain)


def test_lr_scales_the_rates_that_the_algorithm_names():
    algorithm = hidim.algorithms.stochastic_nesterov(0.05)  # lr scales gamma_1 and gamma_2
    schedule = Table([0, 5, 10], [1.0, 0.5, 0.1])
    for path in [*PATHS, {"capturable": True}]:
        p, q = (Parameter(torch.tensor(data(1)[0])) for _ in range(2))
        by_lr = ours.from_algorithm(algorithm, [p], **path)
        by_schedule = ours.from_algorithm(algorithm.scheduled(schedule), [q], **path)
        for step in range(10):
            by_lr.param_groups[0]["lr"] = float(schedule(step))
            train(by_lr, p, 1, start=step)
            train(by_schedule, q, 1, start=step)
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-13)
    with pytest.raises(ValueError, match="rates"):
        ours.GeneralMomentum([p], rates=("gamma_4",))


@pytest.mark.parametrize(
    "cls", [case.cls for case in CLASSES if "omega" in inspect.signature(case.cls).parameters]
)
def test_a_group_that_says_it_has_no_weight_decay_has_no_log_time_decay(cls):
    decayed, exempt, own, inherits = (Parameter(torch.ones(3)) for _ in range(4))
    groups = [
        {"params": [decayed], "weight_decay": 0.1},
        {"params": [exempt], "weight_decay": 0.0},
        {"params": [own], "weight_decay": 0.0, "omega": 1.0},
        {"params": [inherits]},
    ]
    optimizer = cls(groups, omega=4.0, t_0=10.0)
    for p in (decayed, exempt, own, inherits):
        p.grad = torch.zeros(3)
    optimizer.step()
    assert torch.equal(exempt.detach(), torch.ones(3))
    assert all((p < 1).all() for p in (decayed, own, inherits))
