"""PyTorch's own generic optimizer checks hold for every class and for the wrappers.

The inputs are declared as torch declares its own optimizers; the checks are those that torch runs
over its database.
"""

import copy
import io
import itertools
import pickle

import pytest
import torch
from generic import assert_same, copies, each, every_input, fill, run, tensors
from torch.nn import Parameter
from torch.optim.lr_scheduler import ReduceLROnPlateau

import hidim.torch as ours


@each
def test_inputs_leave_the_paths_to_the_checks(info):
    for given in info.optim_inputs_func("cpu"):
        assert not {"foreach", "fused", "differentiable"} & set(given.kwargs)


@each
def test_bad_parameters_are_refused_as_torch_does(info):
    for error in info.optim_error_inputs_func("cpu", torch.float32):
        given = error.optimizer_error_input
        params = given.params if given.params is not None else tensors(torch.float32)
        if error.error_type is UserWarning:
            with pytest.warns(UserWarning, match=error.error_regex):
                info.optim_cls(params, **given.kwargs)
        else:
            with pytest.raises(error.error_type, match=error.error_regex):
                info.optim_cls(params, **given.kwargs)


@each
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("schedulers", [0, 1, 2])
def test_the_for_loop_goes_in_the_right_direction(info, contiguous, schedulers):
    for given in info.optim_inputs_func("cpu"):
        generator = torch.Generator().manual_seed(1)
        weight = torch.randn((10, 5), generator=generator)
        if not contiguous:
            weight = torch.randn((10, 5, 2), generator=generator)[..., 0]
        assert weight.is_contiguous() == contiguous
        weight, bias = Parameter(weight), Parameter(torch.randn(10, generator=generator))
        data = torch.randn(5, generator=generator)
        optimizer = info.optim_cls([weight, bias], foreach=False, **given.kwargs)
        makers = info.scheduler_inputs[schedulers - 1] if schedulers else []
        made = [make(optimizer) for make in makers]

        def closure(weight=weight, bias=bias, data=data, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (weight.mv(data) + bias).pow(2).sum()
            loss.backward()
            return loss

        first = closure().item()
        for _ in range(20):
            loss = optimizer.step(closure).detach()
            for scheduler in made:
                scheduler.step(*([loss] if isinstance(scheduler, ReduceLROnPlateau) else []))
        if given.kwargs.get("maximize"):
            assert closure().item() > first
        else:
            assert closure().item() < first


@each
@pytest.mark.parametrize("path", ["foreach", "fused"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_lists_and_one_pass_match_the_for_loop(info, path, dtype):
    for given in info.optim_inputs_func("cpu"):
        slow = tensors(dtype)
        fast = copies(slow)
        loop = info.optim_cls(slow, foreach=False, **given.kwargs)
        quick = info.optim_cls(fast, **{path: True}, **given.kwargs)
        for step in range(7):
            fill(slow, step)
            fill(fast, step)
            loop.step()
            quick.step()
        tolerance = {
            torch.float64: {"rtol": 1e-12, "atol": 1e-12},
            torch.float32: {"rtol": 2e-5, "atol": 2e-6},
            # A result on the edge between two bfloat16 may fall to either side: 2^-8 relative.
            torch.bfloat16: {"rtol": 1.6e-2, "atol": 1e-2},
        }[dtype]
        assert_same(fast, slow, **tolerance)
        for p, q in zip(slow, fast, strict=True):
            assert loop.state[p].keys() == quick.state[q].keys()
            for key in loop.state[p]:
                assert_same([quick.state[q][key]], [loop.state[p][key]], **tolerance)


@each
@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_step_counts_in_float32_or_the_wider_default(info, default):
    old = torch.get_default_dtype()
    try:
        torch.set_default_dtype(default)
        params = tensors(torch.float32)
        optimizer = info.optim_cls(params, foreach=True)
        run(optimizer, params, 2)
        expected = torch.float64 if default is torch.float64 else torch.float32
        assert all(optimizer.state[p]["step"].dtype == expected for p in params)
    finally:
        torch.set_default_dtype(old)


@each
def test_a_tensor_lr_is_the_same_as_a_number(info):
    for given in every_input(info, skip=("differentiable",)):
        plain, lifted = tensors(), None
        lifted, vector = copies(plain), copies(plain)
        options = {**given.kwargs, "lr": 1e-3}
        number = info.optim_cls(plain, **options)
        zero_d = info.optim_cls(lifted, **{**options, "lr": torch.tensor(1e-3).double()})
        one_d = info.optim_cls(vector, **{**options, "lr": torch.tensor([1e-3]).double()})
        for optimizer, params in ((number, plain), (zero_d, lifted), (one_d, vector)):
            run(optimizer, params, 3)
        tolerance = {"rtol": 1e-7, "atol": 1e-9}  # torch.tensor(1e-3) is float32 first
        assert_same(lifted, plain, **tolerance)
        assert_same(vector, plain, **tolerance)


@each
def test_groups_have_their_own_lr_and_weight_decay(info):
    for impl in ({"foreach": False}, {"foreach": True}, {"fused": True}):
        first, second = tensors(count=2)
        alone_first, alone_second = copies([first, second])
        groups = [{"params": [first]}, {"params": second, "lr": 0.02, "weight_decay": 0.3}]
        extra = {"dimension": 15} if info.optim_cls is ours.DANAConstant else {}
        both = info.optim_cls(groups, lr=0.01, weight_decay=0.0, **impl, **extra)
        a = info.optim_cls([alone_first], lr=0.01, **impl, **extra)
        b = info.optim_cls([alone_second], lr=0.02, weight_decay=0.3, **impl, **extra)
        for step in range(4):
            fill([first, second], step)
            alone_first.grad, alone_second.grad = first.grad.clone(), second.grad.clone()
            for optimizer in (both, a, b):
                optimizer.step()
        assert_same([first, second], [alone_first, alone_second], rtol=0, atol=0)


@each
def test_no_gradient_and_empty_groups_change_nothing(info):
    for given in every_input(info, skip=("differentiable",)):
        params = tensors()
        before = copies(params)
        optimizer = info.optim_cls([{"params": params}, {"params": []}], **given.kwargs)
        optimizer.step()
        assert_same(params, before, rtol=0, atol=0)
        assert all(not state for state in optimizer.state.values())


@each
def test_zero_gradients_change_nothing_without_decay(info):
    for given in every_input(info, skip=("differentiable",)):
        params = tensors()
        optimizer = info.optim_cls(params, **given.kwargs)
        (group,) = optimizer.param_groups
        if group["weight_decay"] or group.get("omega"):
            continue
        before = copies(params)
        for p in params:
            p.grad = torch.zeros_like(p)
        optimizer.step()
        # A projection divides by the norm and multiplies with it.
        assert_same(params, before, rtol=1e-15 if "norms" in group else 0, atol=0)


@each
def test_gradients_are_never_written_to(info):
    for given in every_input(info, skip=("differentiable",)):
        params = tensors()
        optimizer = info.optim_cls(params, **given.kwargs)
        fill(params, 0)
        grads = [p.grad.clone() for p in params]
        optimizer.step()
        assert_same([p.grad for p in params], grads, rtol=0, atol=0)


@each
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_complex_parameter_is_a_pair_of_reals(info, dtype):
    for given in every_input(info, skip=("differentiable",)):
        start = torch.randn(4, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
        whole = Parameter(start.clone())
        parts = Parameter(torch.view_as_real(start).clone())
        one = info.optim_cls([whole], **given.kwargs)
        two = info.optim_cls([parts], **given.kwargs)
        for step in range(4):
            fill([whole], step)
            parts.grad = torch.view_as_real(whole.grad).clone()
            one.step()
            two.step()
        assert_same([torch.view_as_real(whole.detach())], [parts.detach()])
        for key in one.state[whole].keys() - {"step"}:
            assert one.state[whole][key].is_complex()


@each
def test_non_contiguous_parameters_are_right_in_every_path(info):
    for impl in ({"foreach": False}, {"foreach": True}, {"fused": True}):
        base = torch.randn(6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        odd = [
            Parameter(base.clone().t()),  # dense, permuted
            Parameter(base.clone()[:, ::2]),  # with gaps
            Parameter(base.clone()[:, :1].expand(6, 1)),
            Parameter(torch.randn(2, 3, 4, 5).double().to(memory_format=torch.channels_last)),
        ]
        plain = [Parameter(p.detach().clone(memory_format=torch.contiguous_format)) for p in odd]
        extra = {"dimension": 100} if info.optim_cls is ours.DANAConstant else {}
        strange = info.optim_cls(odd, weight_decay=0.1, **impl, **extra)
        usual = info.optim_cls(plain, weight_decay=0.1, foreach=False, **extra)
        for step in range(4):
            fill(plain, step)
            for p, q in zip(odd, plain, strict=True):
                p.grad = q.grad.clone()
            strange.step()
            usual.step()
        assert_same(odd, plain, rtol=1e-12, atol=1e-12)


@each
def test_state_dict_round_trips_across_paths_bit_for_bit(info):
    paths = [{"foreach": False}, {"foreach": True}, {"fused": True}]
    for written, read in itertools.product(paths, paths):
        params = tensors()
        first = info.optim_cls(params, lr=0.01, weight_decay=0.1, **written)
        run(first, params, 3)
        saved, kept = copy.deepcopy(first.state_dict()), copies(params)
        second = info.optim_cls(kept, lr=0.5, **read)
        second.load_state_dict(saved)
        assert second.param_groups[0]["lr"] == 0.01
        for group in second.param_groups:  # continue in the reader's path
            group.update({"foreach": None, "fused": None, **read})
        run(second, kept, 3, start=3)
        run(first, params, 3, start=3)
        exact = written == read
        tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-12, "atol": 1e-12}
        assert_same(kept, params, **tolerance)


@each
def test_checkpoints_load_with_weights_only(info):
    for given in every_input(info, skip=("differentiable",)):
        params = tensors()
        optimizer = info.optim_cls(params, **given.kwargs)
        run(optimizer, params, 2)
        stream = io.BytesIO()
        torch.save(optimizer.state_dict(), stream)
        stream.seek(0)
        loaded = torch.load(stream, weights_only=True)
        again = info.optim_cls(params, **given.kwargs)
        again.load_state_dict(loaded)
        assert again.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
        assert_same(again.state_dict()["state"].values(), optimizer.state_dict()["state"].values())


@each
def test_older_checkpoints_without_the_flags_load(info):
    params = tensors()
    optimizer = info.optim_cls(params, fused=True)
    run(optimizer, params, 2)
    old = copy.deepcopy(optimizer.state_dict())
    for group in old["param_groups"]:
        for flag in ("foreach", "fused", "differentiable", "maximize", "capturable"):
            del group[flag]
    for state in old["state"].values():
        state["step"] = state["step"].item()  # and with a plain number for the step
    optimizer.load_state_dict(old)
    run(optimizer, params, 2)
    assert all(optimizer.state[p]["step"].item() == 4 for p in params)


@each
def test_copies_and_pickles_continue_alike(info):
    params = tensors()
    optimizer = info.optim_cls(params, lr=0.01)
    run(optimizer, params, 3)
    optimizer.note = {"of": "whoever put it there"}
    for clone in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        public = {key for key in vars(optimizer) if not key.startswith("_")}
        assert public == {key for key in vars(clone) if not key.startswith("_")}
        assert clone.note == optimizer.note
        theirs = clone.param_groups[0]["params"]
        run(clone, theirs, 2, start=3)
        again = copies(params)
        other = info.optim_cls(again)
        other.load_state_dict(optimizer.state_dict())
        run(other, again, 2, start=3)
        assert_same(theirs, again, rtol=0, atol=0)
    assert info.name in repr(optimizer)


@each
def test_hooks_run_around_a_step_and_a_checkpoint(info):
    params = tensors()
    optimizer = info.optim_cls(params)
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: seen.append("pre")),
        optimizer.register_step_post_hook(lambda *_: seen.append("post")),
        optimizer.register_state_dict_pre_hook(lambda _: seen.append("save")),
        optimizer.register_state_dict_post_hook(lambda _, d: {**d, "extra": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda _, d: seen.append("load")),
        optimizer.register_load_state_dict_post_hook(lambda _: seen.append("loaded")),
    ]
    run(optimizer, params, 1)
    saved = optimizer.state_dict()
    assert saved["extra"] == 1
    optimizer.load_state_dict(saved)
    assert seen == ["pre", "post", "save", "load", "loaded"]
    for handle in handles:
        handle.remove()
    run(optimizer, params, 1)
    assert len(seen) == 5


@each
def test_named_parameters_keep_their_names(info):
    params = tensors()
    named = info.optim_cls([(f"p{i}", p) for i, p in enumerate(params)])
    run(named, params, 1)
    assert named.state_dict()["param_groups"][0]["param_names"] == ["p0", "p1", "p2"]
    plain = info.optim_cls(params)
    plain.load_state_dict(named.state_dict())
    assert plain.param_groups[0]["param_names"] == ["p0", "p1", "p2"]


@each
def test_capturable_matches_the_plain_step(info):
    for given in info.optim_inputs_func("cpu"):
        for foreach in (False, True):
            plain = tensors()
            lifted = copies(plain)
            run(info.optim_cls(plain, foreach=foreach, **given.kwargs), plain, 5)
            captured = info.optim_cls(lifted, foreach=foreach, capturable=True, **given.kwargs)
            run(captured, lifted, 5)
            # A float32 tensor lr rounds its products where a number does not.
            loose = isinstance(given.kwargs.get("lr"), torch.Tensor)
            assert_same(lifted, plain, rtol=1e-6 if loose else 1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "maximize": True}], ids=str)
@each
def test_gradients_flow_through_a_differentiable_step(info, options):
    if info.optim_cls is ours.SignSGD:
        pytest.skip("the sign has no useful derivative")
    start = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    # Log-time decay follows lr over its peak, which follows lr unless it is given.
    wrapped = issubclass(info.optim_cls, (ours.LogTimeWeightDecay, ours.NormalizeAndProject))
    given = {} if wrapped else options
    if issubclass(info.optim_cls, ours.LogTimeWeightDecay):
        given = {"peak_lr": 1.0}

    def two_steps(p, g, lr):
        p = p.clone()
        optimizer = info.optim_cls([p], lr=lr, differentiable=True, **given)
        if "norms" in optimizer.param_groups[0]:  # else they follow the start
            optimizer.param_groups[0]["norms"] = [1.5]
        for factor in (1.0, 0.7):
            p.grad = g * factor
            optimizer.step()
        return p

    with torch.no_grad():
        g = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    arguments = (start.requires_grad_(), g.requires_grad_(), torch.tensor(0.1).double())
    arguments[2].requires_grad_()
    assert torch.autograd.gradcheck(two_steps, arguments)


@each
def test_meta_parameters_are_refused_by_the_fused_path(info):
    p = Parameter(torch.zeros(3, device="meta"))
    optimizer = info.optim_cls(
        [p], fused=True, **({"dimension": 3} if info.optim_cls is ours.DANAConstant else {})
    )
    p.grad = torch.zeros_like(p)
    with pytest.raises(RuntimeError, match="`fused=True` requires all the params"):
        optimizer.step()
