"""What is written into a group in mid-run is checked as if it had been given to the constructor."""

import copy
import math
import pickle
import time

import pytest
import torch
from catalogue import CLASSES
from torch.nn import Parameter

import hidim.torch as ours
from hidim.torch._machine.edited import refuse_edits

each = pytest.mark.parametrize("case", CLASSES, ids=str)
WRAPPERS = [ours.LogTimeWeightDecay, ours.NormalizeAndProject]
ALL = pytest.mark.parametrize("cls", [*(case.cls for case in CLASSES), *WRAPPERS])
BAD = {
    "kappa": (-3, 0, None, math.nan, "x"),
    "delta": (0, -1, None),
    "eps": (-1, math.inf),
    "omega": (-4, "4"),
    "gain": ("foo",),
    "cooldown": ("x", -1, 2.5),
    "weight_decay": (-5, None),
    "clip": (-1,),
    "alpha_form": ("foo",),
    "clock": ("foo",),
    "state_dtype": (torch.int64,),
    "lr": (-1, math.nan, math.inf, None, "x", torch.tensor(-1.0), torch.ones(2)),
}


def stepped(cls, **options):
    p = Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    p.grad = torch.ones(2, 2)
    optimizer = cls([p], **options)
    optimizer.step()
    return optimizer, p


@ALL
def test_a_bad_value_written_in_mid_run_is_refused_before_anything_moves(cls):
    optimizer, p = stepped(cls)
    (group,) = optimizer.param_groups
    kept = p.detach().clone()
    for name, values in BAD.items():
        theirs = cls in WRAPPERS and name not in {"lr", "weight_decay", "omega"}  # torch's to check
        for value in () if theirs or name not in optimizer.defaults else values:
            good, group[name] = group[name], value
            for _ in range(2):  # and again, until it is mended
                with pytest.raises(ValueError, match=rf"(?s)^[^\n]*\b{name}\b[^\n]*$"):
                    optimizer.step()
            group[name] = good
    assert torch.equal(p, kept)
    optimizer.step()
    assert not torch.equal(p, kept)


@ALL
def test_a_rate_of_zero_stays_legal_and_one_changed_in_place_is_read(cls):
    optimizer, p = stepped(cls, foreach=False)
    optimizer.param_groups[0]["lr"] = 0.0
    kept = p.detach().clone()
    optimizer.step()
    assert torch.equal(p, kept)
    lr = optimizer.param_groups[0]["lr"] = torch.tensor(1e-3)
    optimizer.step()
    lr.fill_(-1.0)
    with pytest.raises(ValueError, match=r"`lr` .*-1"):
        optimizer.step()


@ALL
def test_a_scheduler_that_goes_below_zero_is_named_by_lr(cls):
    optimizer, _ = stepped(cls)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 2)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="`lr`"):
        optimizer.step()


@each
def test_what_was_seen_is_no_part_of_a_copy_or_checkpoint(case):
    optimizer, _ = stepped(case.cls)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert "_seen" not in vars(twin)
        twin.param_groups[0]["lr"] = -1.0
        with pytest.raises(ValueError, match="`lr`"):
            twin.step()
    assert "_seen" not in optimizer.state_dict()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, in its compiler
def test_a_compiled_step_refuses_too():
    optimizer, p = stepped(ours.ADANA)
    step = torch.compile(optimizer.step, backend="eager")
    step()
    kept = p.detach().clone()
    for name in ("lr", "kappa"):
        good = optimizer.param_groups[0][name]
        optimizer.param_groups[0][name] = -1.0
        with pytest.raises(ValueError, match=f"`{name}`"):
            step()
        optimizer.param_groups[0][name] = good
    assert torch.equal(p, kept)


def test_options_that_do_not_go_together_are_refused_too():
    optimizer, _ = stepped(ours.ADANA)
    optimizer.param_groups[0].update(foreach=True, fused=True)
    with pytest.raises(ValueError, match="cannot both be True"):
        optimizer.step()


@each
def test_an_option_that_was_taken_out_of_a_group_is_missed_before_anything_moves(case):
    ps = [Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = case.cls([{"params": [p]} for p in ps], lr=0.1)
    for p in ps:
        p.grad = torch.ones(2)
    for name in set(optimizer.defaults) - {"lr"}:
        kept = optimizer.param_groups[1].pop(name)
        with pytest.raises(ValueError, match=f"lost `{name}`"):
            optimizer.step()
        optimizer.param_groups[1][name] = kept
    assert all(torch.equal(p, torch.ones(2)) for p in ps)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_changes_nothing_where_its_base_refuses_an_edit(wrapper):
    p = Parameter(torch.ones(2, 2))
    optimizer = wrapper(ours.DANADecaying([p], lr=0.1))
    p.grad = torch.ones(2, 2)
    optimizer.step()
    kept = p.detach().clone()
    for bad in ({"foreach": True, "fused": True}, {"kappa_3": -1.0}):
        (group,) = optimizer.param_groups
        good = {name: group[name] for name in bad}
        group.update(bad)
        with pytest.raises(ValueError):
            optimizer.step()
        group.update(good)
    assert torch.equal(p, kept)


def test_a_group_that_nobody_touched_costs_microseconds():
    optimizer, _ = stepped(ours.ADANA)
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(200):
            refuse_edits(optimizer)
        best = min(best, (time.perf_counter() - start) / 200)
    assert best < 5e-5  # 2 µs; a step takes hundreds
