"""Whatever is put into the state, gradients and parameters counts at the next step.

Counts lie side by side in memory once parameters have moved together, and ordinary tensors skip
the general path: each step is held against steps of fresh optimizers, one per parameter, that
were given the state of the moment.
"""

import copy
import pickle

import pytest
import torch
from catalogue import CLASSES, data, train
from torch.nn import Parameter

import hidim.torch as ours

PATHS = [{"foreach": False}, {"foreach": True}, {"fused": True}]
FIXED = {"dimension": 24}  # DANA-constant would count the parameters it is given


def built(case, params, **path):
    known = case.cls([Parameter(torch.zeros(2))]).defaults
    options = {key: value for key, value in FIXED.items() if key in known}
    return case.cls(params, lr=0.01, **options, **path)


def fill(params, step):
    generator = torch.Generator().manual_seed(step)
    for p in params:
        p.grad = torch.randn(p.shape, dtype=torch.float64, generator=generator)


def alone(case, optimizer, p, path):
    """One step of a fresh optimizer of `p` alone: the new parameter and count."""
    q = Parameter(p.detach().clone())
    q.grad = p.grad.clone()
    fresh = built(case, [q], **path)
    saved = fresh.state_dict()
    if optimizer.state.get(p):
        saved["state"] = {0: {k: v.clone() for k, v in optimizer.state[p].items()}}
    fresh.load_state_dict(saved)
    fresh.step()
    return q.detach(), fresh.state[q]["step"].item()


def counts_in_place(optimizer, params):
    optimizer.state[params[1]]["step"].fill_(40)


def counts_replaced(optimizer, params):
    optimizer.state[params[1]]["step"] = torch.tensor(40.0)


def counts_on_other_memory(optimizer, params):
    for p in params:  # as loops do that move an optimizer to another device
        optimizer.state[p]["step"].data = optimizer.state[p]["step"].data.clone().add_(3)


def counts_in_float64(optimizer, params):
    optimizer.state[params[0]]["step"] = torch.tensor(9.0, dtype=torch.float64)


def no_gradient(optimizer, params):
    params[2].grad = None


def buffers_replaced(optimizer, params):
    entry = optimizer.state[params[0]]
    for key in set(entry) - {"step"}:
        entry[key] = torch.full((3, 4), 0.5, dtype=torch.float64).t().contiguous().t()


def state_dropped(optimizer, params):
    optimizer.state.pop(params[0])


def data_swapped(optimizer, params):
    params[0].data = params[0].data.t().contiguous().t()


def gradient_transposed(optimizer, params):
    params[0].grad = params[0].grad.t().contiguous().t()


def gradient_negated(optimizer, params):
    params[0].grad = torch.complex(params[0].grad, params[0].grad).conj().imag


def checkpoint_loaded(optimizer, params):
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][1]["step"] = torch.tensor(17.0)
    optimizer.load_state_dict(saved)


def group_added(optimizer, params):
    params.append(Parameter(torch.ones(2, 2, dtype=torch.float64)))
    optimizer.add_param_group({"params": [params[-1]]})
    fill(params[-1:], 99)


EVENTS = [
    counts_in_place,
    counts_replaced,
    counts_on_other_memory,
    counts_in_float64,
    no_gradient,
    buffers_replaced,
    state_dropped,
    data_swapped,
    gradient_transposed,
    gradient_negated,
    checkpoint_loaded,
    group_added,
]


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_each_step_follows_the_state_of_the_moment(case, path):
    for event in EVENTS:
        generator = torch.Generator().manual_seed(7)
        shapes = ((3, 4), (2, 3), (6,))
        params = [
            Parameter(torch.randn(shape, dtype=torch.float64, generator=generator))
            for shape in shapes
        ]
        optimizer = built(case, params, **path)
        for step in range(7):
            fill(params, step)
            if step == 4:  # by now the counts lie together
                event(optimizer, params)
            moving = [p for p in params if p.grad is not None and step >= 4]
            expected = [alone(case, optimizer, p, path) for p in moving]
            optimizer.step()
            for p, (value, count) in zip(moving, expected, strict=True):
                # Layouts may differ between the two, and with them the order of operations.
                torch.testing.assert_close(p.detach(), value, rtol=1e-12, atol=1e-12)
                assert optimizer.state[p]["step"].item() == count, event.__name__


def together(optimizer):
    storages = {state["step"].untyped_storage().data_ptr() for state in optimizer.state.values()}
    return len(storages) == 1


def moved_together(steps=4):
    params = [Parameter(torch.ones(3)) for _ in range(4)]
    optimizer = CLASSES[0].cls(params, fused=True)
    for step in range(steps):
        for p in params:
            p.grad = torch.full((3,), 0.1 * step)
        optimizer.step()
    return optimizer, params


def test_counts_that_advance_together_lie_together_and_stay_the_same_tensors():
    optimizer, params = moved_together(steps=1)
    held = [optimizer.state[p]["step"] for p in params]
    assert not together(optimizer)
    for _ in range(3):
        optimizer.step()
    assert together(optimizer)
    assert all(optimizer.state[p]["step"] is step for p, step in zip(params, held, strict=True))
    assert [step.item() for step in held] == [4.0] * 4


def test_copies_and_checkpoints_count_on_their_own():
    optimizer, params = moved_together()
    saved = optimizer.state_dict()
    loaded = CLASSES[0].cls([Parameter(p.detach().clone()) for p in params])
    loaded.load_state_dict(saved)
    clones = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), loaded]
    for clone in clones:
        for p in clone.param_groups[0]["params"]:
            p.grad = torch.ones(3)
        for _ in range(3):
            clone.step()
        assert [state["step"].item() for state in clone.state.values()] == [7.0] * 4
    assert [state["step"].item() for state in optimizer.state.values()] == [4.0] * 4


def test_counts_shared_between_processes_stay_where_they_are():
    optimizer, params = moved_together(steps=1)
    for p in params:
        optimizer.state[p]["step"].share_memory_()
    for _ in range(4):
        optimizer.step()
    assert all(optimizer.state[p]["step"].is_shared() for p in params)
    assert [optimizer.state[p]["step"].item() for p in params] == [5.0] * 4


FULL = 2.0**24  # where float32 stops counting


@pytest.mark.parametrize("path", [*PATHS, {"capturable": True}], ids=str)
@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_counts_go_on_where_float32_ends(case, path):
    p, q = (Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
    optimizer = built(case, [p, q], **path)
    for step in range(3):  # so that counts lie together
        fill([p, q], step)
        optimizer.step()
    for entry in optimizer.state.values():
        entry["step"].fill_(FULL - 3)
    if path == {"capturable": True}:  # read when loaded and not in a step
        for entry in optimizer.state.values():
            entry["step"].fill_(FULL)
        optimizer.load_state_dict(optimizer.state_dict())
    start = float(optimizer.state[p]["step"])
    for step in range(6):
        fill([p, q], step)
        optimizer.step()
    assert [float(optimizer.state[x]["step"]) - start for x in (p, q)] == [6.0, 6.0]
    again = copy.deepcopy(optimizer)
    again.load_state_dict(optimizer.state_dict())
    assert float(next(iter(again.state.values()))["step"]) == start + 6


@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_a_fresh_state_may_start_beyond_what_float32_counts(case):
    if "initial_step" not in case.cls([Parameter(torch.zeros(2))]).defaults:
        return
    start = 2**24 + 2 + 1  # not a float32
    known = case.reference.__init__.__annotations__
    if "initial_step" not in known:
        return
    options = {"lr": 1e-3, **case.options, "initial_step": start}
    p = Parameter(torch.tensor(data(1)[0]))
    train(case.cls([p], **options), p, 5)
    rule, (q, curvature, noise) = case.reference(**options), data(5)
    for sample in noise:
        q = rule.step(q, curvature * q + sample)
    torch.testing.assert_close(p.detach(), torch.tensor(q), rtol=1e-9, atol=1e-12)


def test_log_time_decay_counts_in_no_16_bits_and_beyond_float32():
    torch.set_default_dtype(torch.bfloat16)
    try:
        p = Parameter(torch.ones(2))
        optimizer = ours.LogTimeWeightDecay(torch.optim.SGD([p], lr=0.1), t_0=10.0)
    finally:
        torch.set_default_dtype(torch.float32)
    (group,) = optimizer.param_groups
    assert group["decay_step"].dtype == torch.float32
    group["decay_step"].fill_(FULL - 1)
    for _ in range(3):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert float(group["decay_step"]) == FULL + 2


def test_a_first_step_that_no_count_holds_is_refused():
    with pytest.raises(ValueError, match="`initial_step` must be below"):
        ours.ADANA([Parameter(torch.ones(2))], initial_step=2**53)
