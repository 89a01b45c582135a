"""Log-time weight decay and normalize-and-project, around any optimizer."""

import copy
import io
import pickle

import pytest
import torch
from torch.nn import Parameter

import hidim.torch as ours
from hidim.algorithms import reference

BASES = [
    lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    lambda params: torch.optim.AdamW(params, lr=0.1, weight_decay=0.01, foreach=True),
    lambda params: ours.DANADecaying(params, lr=0.1, fused=True),
    lambda params: ours.SignSGD(params, lr=0.1, foreach=True),
]
WRAPPERS = [
    lambda base: ours.LogTimeWeightDecay(base, omega=4.0, t_0=10.0),
    lambda base: ours.NormalizeAndProject(base),
]


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3), (4,)]
    return [
        Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes
    ]


def run(optimizer, params, steps, start=0):
    for step in range(start, start + steps):
        for p in params:
            generator = torch.Generator().manual_seed(step)
            p.grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("base", BASES)
def test_log_time_decay_shrinks_the_old_parameter_then_updates(base):
    wrapped, plain = weights(), weights()
    decaying = ours.LogTimeWeightDecay(base(wrapped), omega=4.0, t_0=10.0)
    bare = base(plain)
    for step in range(5):
        decaying.param_groups[0]["lr"] = bare.param_groups[0]["lr"] = 0.1 * (1 - 0.1 * step)
        share = reference.log_time_decay(1 - 0.1 * step, 4.0, 10.0, step + 1)
        with torch.no_grad():
            for p in plain:
                p.mul_(1 - share)
        run(decaying, wrapped, 1, start=step)
        run(bare, plain, 1, start=step)
    torch.testing.assert_close(wrapped, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("base", BASES)
def test_projection_restores_norms_and_keeps_directions(base):
    wrapped, plain = weights(), weights()
    norms = [p.detach().norm() for p in wrapped]
    projected, bare = ours.NormalizeAndProject(base(wrapped)), base(plain)
    run(projected, wrapped, 1)
    run(bare, plain, 1)
    expected = torch.from_numpy(
        reference.project_to_norm(plain[0].detach().numpy(), norms[0].item())
    )
    torch.testing.assert_close(wrapped[0].detach(), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(wrapped[1], plain[1])  # a vector is not projected
    run(projected, wrapped, 20, start=1)
    assert wrapped[0].detach().norm().item() == pytest.approx(norms[0].item(), rel=1e-12)


def test_scale_invariant_training_keeps_its_effective_rate():
    # f(w) = h(w/|w|): gradients scale as 1/|w|, so projected SGD at norm c with rate c^2 lr
    # moves the direction exactly as at norm 1 with rate lr.
    def direction(scale):
        w = Parameter(scale * torch.tensor([[0.6, 0.8]], dtype=torch.float64))
        optimizer = ours.NormalizeAndProject(torch.optim.SGD([w], lr=0.1 * scale**2))
        for _ in range(10):
            optimizer.zero_grad()
            (w / w.norm())[0, 0].pow(2).backward()
            optimizer.step()
        return (w / w.norm()).detach()

    torch.testing.assert_close(direction(3.0), direction(1.0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("base", BASES)
def test_wrapped_optimizers_resume_copy_and_pickle(wrap, base):
    params = weights()
    optimizer = wrap(base(params))
    run(optimizer, params, 3)
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    restarted = [Parameter(p.detach().clone()) for p in params]
    fresh = wrap(base(restarted))
    fresh.load_state_dict(torch.load(stream, weights_only=True))
    twins = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    run(optimizer, params, 3, start=3)
    run(fresh, restarted, 3, start=3)
    torch.testing.assert_close(restarted, params, rtol=0, atol=0)
    for twin in twins:
        theirs = twin.param_groups[0]["params"]
        run(twin, theirs, 3, start=3)
        torch.testing.assert_close(theirs, params, rtol=0, atol=0)


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_schedulers_groups_and_closures_act_on_the_wrapped_optimizer(wrap):
    params = weights()
    base = BASES[0](params[:1])
    optimizer = wrap(base)
    optimizer.add_param_group({"params": params[1:], "lr": 0.5})
    assert base.param_groups is optimizer.param_groups
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)

    def closure():
        optimizer.zero_grad()
        loss = sum(p.pow(2).sum() for p in params)
        loss.backward()
        return loss

    first = optimizer.step(closure)
    scheduler.step()
    assert [group["lr"] for group in base.param_groups] == pytest.approx([0.01, 0.05])
    assert optimizer.step(closure) < first


@pytest.mark.parametrize("cls", [ours.LogTimeWeightDecay, ours.NormalizeAndProject])
def test_wrappers_also_build_their_base_from_parameters(cls):
    params = weights()
    optimizer = cls(params, lr=0.01, weight_decay=0.1, fused=True)
    run(optimizer, params, 2)
    assert isinstance(optimizer.base, torch.optim.AdamW)
    assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_bad_values_and_foreign_checkpoints_are_refused():
    params = weights()
    with pytest.raises(ValueError, match="omega"):
        ours.LogTimeWeightDecay(params, omega=-1.0)
    with pytest.raises(ValueError, match="peak_lr"):
        ours.LogTimeWeightDecay(params, peak_lr=0.0)
    with pytest.raises(ValueError, match="min_dim"):
        ours.NormalizeAndProject(params, min_dim=-1)
    with pytest.raises(ValueError, match="omega"):
        ours.LogTimeWeightDecay(ours.ADANA(params))
    for wrap, words in zip(WRAPPERS, ("omega", "min_dim"), strict=True):
        optimizer = wrap(BASES[0](params))
        with pytest.raises(ValueError, match=words):
            optimizer.load_state_dict(BASES[0](params).state_dict())


@pytest.mark.parametrize("wrap", [ours.LogTimeWeightDecay, ours.NormalizeAndProject])
def test_wrappers_refuse_truncated_checkpoints_and_keep_their_state(wrap):
    params = weights()
    optimizer = wrap(params)
    run(optimizer, params, 2)
    before = copy.deepcopy(optimizer.state_dict())

    def without(key, part):
        broken = copy.deepcopy(before)
        del (broken["state"][0] if part == "state" else broken["param_groups"][0])[key]
        return broken

    kept = "norms" if wrap is ours.NormalizeAndProject else "decay_step"
    broken = [without(key, "group") for key in ("lr", "betas", kept)]
    broken += [without("exp_avg", "state"), without("step", "state"), {}, None, []]
    for state_dict in broken:
        with pytest.raises(ValueError, match="Nothing has been changed"):
            optimizer.load_state_dict(state_dict)
        after = optimizer.state_dict()
        assert after["param_groups"] == before["param_groups"]
        torch.testing.assert_close(after["state"], before["state"], rtol=0, atol=0)


@pytest.mark.parametrize("wrap", [ours.LogTimeWeightDecay, ours.NormalizeAndProject])
def test_wrappers_refuse_bad_values_by_name_and_sparse_gradients_in_time(wrap):
    for name, value in (("lr", -1.0), ("lr", None), ("weight_decay", -0.1)):
        with pytest.raises(ValueError, match=name):
            wrap(weights(), **{name: value})
    dense, table = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(4, 2))
    optimizer = wrap([dense, table])
    dense.grad, table.grad = torch.ones(2, 2), torch.ones(4, 2).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert torch.equal(dense.detach(), torch.ones(2, 2))


def test_the_norm_of_bfloat16_weights_is_not_itself_rounded():
    p = torch.nn.Parameter(torch.full((37, 5), 0.3, dtype=torch.bfloat16))
    (norm,) = ours.NormalizeAndProject([p]).param_groups[0]["norms"]
    assert norm == pytest.approx(p.detach().double().norm().item(), rel=1e-6)


@pytest.mark.parametrize("wrap", [ours.LogTimeWeightDecay, ours.NormalizeAndProject])
def test_hooks_of_all_optimizers_run_once_and_those_of_the_base_still_run(wrap):
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    seen = []
    handles = [
        register_optimizer_step_pre_hook(lambda o, *_: seen.append(("pre", type(o)))),
        register_optimizer_step_post_hook(lambda o, *_: seen.append(("post", type(o)))),
    ]
    try:
        params = weights()
        optimizer = wrap(torch.optim.AdamW(params))
        optimizer.base.register_step_pre_hook(lambda *_: seen.append("own"))
        run(optimizer, params, 2)
    finally:
        for handle in handles:
            handle.remove()
    assert seen == [("pre", wrap), "own", ("post", wrap)] * 2


def test_weights_that_come_from_the_meta_device_keep_the_norm_they_came_with():
    (w, b) = (Parameter(torch.empty(shape, device="meta")) for shape in ((4, 3), (4,)))
    optimizer = ours.NormalizeAndProject([w, b], lr=0.1)
    assert optimizer.param_groups[0]["norms"] == [None, 0.0]
    torch.utils.swap_tensors(w, Parameter(torch.ones(4, 3)))
    torch.utils.swap_tensors(b, Parameter(torch.ones(4)))
    run(optimizer, [w, b], 3)
    assert w.detach().norm().item() == pytest.approx(12**0.5, rel=1e-6)


def test_signatures_of_wrappers_name_what_most_bases_take():
    import inspect

    for cls in (ours.LogTimeWeightDecay, ours.NormalizeAndProject):
        names = set(inspect.signature(cls).parameters)
        assert {"betas", "eps", "maximize", "foreach", "fused", "capturable"} <= names
        optimizer = cls(weights(), lr=0.1, base=torch.optim.SGD, momentum=0.9, maximize=True)
        assert optimizer.param_groups[0]["momentum"] == 0.9
        assert optimizer.param_groups[0]["maximize"] is True


@pytest.mark.parametrize("wrapper", [ours.NormalizeAndProject, ours.LogTimeWeightDecay])
def test_a_checkpoint_of_before_the_gain_was_measured_loads_after(wrapper):
    p = torch.nn.Parameter(torch.ones(2, 3))
    p.grad = torch.ones_like(p)
    old = wrapper(ours.DANADecaying([p], lr=0.1))
    old.step()
    new = wrapper(ours.DANADecaying([p], lr=0.1, gain="measured"))
    new.step()
    new.load_state_dict(old.state_dict())
    new.param_groups[0]["gain"] = "measured"
    new.step()
    assert torch.isfinite(p).all()


def test_lazy_weights_keep_the_norm_they_were_made_with():
    model = torch.nn.LazyLinear(3)
    optimizer = ours.NormalizeAndProject(model.parameters(), lr=0.1)
    model(torch.ones(2, 5)).sum().backward()
    start = model.weight.detach().norm()
    optimizer.step()
    torch.testing.assert_close(model.weight.detach().norm(), start)


def test_dana_constant_asks_for_the_dimension_of_lazy_weights():
    with pytest.raises(ValueError, match="`dimension`"):
        ours.DANAConstant(torch.nn.LazyLinear(3).parameters())
    model = torch.nn.LazyLinear(3)
    optimizer = ours.DANAConstant(model.parameters(), dimension=18)
    model(torch.ones(2, 5)).sum().backward()
    optimizer.step()
