"""A checkpoint that fits and is damaged all the same: named in one line, refused or warned of."""

import copy
import math
import warnings

import pytest
import torch
from catalogue import CLASSES
from torch.nn import Parameter

import hidim.torch as ours

each = pytest.mark.parametrize("case", CLASSES, ids=str)


def decayed_adamw(params, lr=1e-3):
    return ours.LogTimeWeightDecay(params, lr)


def projected_adana(params, lr=1e-3):
    return ours.NormalizeAndProject(params, lr, base=ours.ADANA)


MAKERS = [case.cls for case in CLASSES] + [decayed_adamw, projected_adana]
ALL = pytest.mark.parametrize("make", MAKERS)
ADAPTIVE = [ours.ADANA, ours.DanaStar, decayed_adamw, projected_adana]


def stepped(make, moving=(True, True, True), dtype=torch.float32):
    names = ("a.weight", "b.weight", "c.weight")
    ps = [Parameter(torch.ones(2, 2, dtype=dtype)) for _ in names]
    optimizer = make(list(zip(names, ps, strict=True)))
    for p, moves in zip(ps, moving, strict=True):
        p.grad = torch.ones_like(p) if moves else None
    optimizer.step()
    return optimizer


def fresh(make, dtype=torch.float32):
    return make([Parameter(torch.ones(2, 2, dtype=dtype)) for _ in range(3)])


def buffers(saved):
    return [k for k, x in saved["state"][1].items() if isinstance(x, torch.Tensor) and x.dim()]


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.complex64])
def test_what_is_whole_loads_without_a_word(make, dtype):
    if dtype.is_complex and make in (decayed_adamw, projected_adana):
        return
    for moving in ((True, True, True), (True, False, True), (False,) * 3):
        saved = copy.deepcopy(stepped(make, moving, dtype).state_dict())
        fresh(make, dtype).load_state_dict(saved)


@ALL
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_entries_that_are_no_numbers_are_named_and_loaded(make, bad):
    saved = copy.deepcopy(stepped(make).state_dict())
    for key in buffers(saved):
        broken = copy.deepcopy(saved)
        broken["state"][1][key][0, 1] = bad
        optimizer = stepped(make)
        with pytest.warns(UserWarning, match=rf"^`{key}` of parameter 1 \(b.weight\) [^\n]*$"):
            optimizer.load_state_dict(broken)
        (group,) = optimizer.param_groups
        torch.testing.assert_close(
            optimizer.state[group["params"][1]][key], broken["state"][1][key], equal_nan=True
        )


@pytest.mark.parametrize("make", ADAPTIVE)
def test_a_negative_average_of_squares_is_refused(make):
    saved = copy.deepcopy(stepped(make).state_dict())
    saved["state"][1]["exp_avg_sq"][1, 1] = -1.0
    optimizer = stepped(make)
    before = copy.deepcopy(optimizer.state_dict()["state"])
    with pytest.raises(ValueError, match=r"`exp_avg_sq` of parameter 1 \(b.weight\) is -1, and"):
        optimizer.load_state_dict(saved)
    torch.testing.assert_close(optimizer.state_dict()["state"], before, rtol=0, atol=0)


@ALL
@pytest.mark.parametrize("step", [-3.0, math.nan, math.inf, 2.5])
def test_counts_that_no_run_has_had_are_refused(make, step):
    saved = copy.deepcopy(stepped(make).state_dict())
    saved["state"][1]["step"] = torch.tensor(step)
    if make is decayed_adamw and step == 2.5:
        return  # torch's own to count
    for optimizer in (stepped(make), fresh(make)):
        with pytest.raises(ValueError, match=r"^[^\n]*`step` of parameter 1[^\n]*$"):
            optimizer.load_state_dict(saved)


@ALL
def test_a_buffer_of_another_shape_or_kind_is_refused_before_there_is_a_state(make):
    saved = copy.deepcopy(stepped(make).state_dict())
    for key in buffers(saved):
        broken = copy.deepcopy(saved)
        broken["state"][1][key] = torch.ones(3)
        with pytest.raises(ValueError, match=rf"`{key}` of parameter 1[^\n]* has shape \(3,\)"):
            fresh(make).load_state_dict(broken)
        broken["state"][1][key] = torch.ones(2, 2, dtype=torch.int64)
        if make is not decayed_adamw:
            with pytest.raises(ValueError, match=rf"`{key}` of parameter 1 is torch.int64"):
                fresh(make).load_state_dict(broken)


@ALL
def test_a_state_without_data_is_refused_with_how_to_read_it(make):
    saved = copy.deepcopy(stepped(make).state_dict())
    for entry in saved["state"].values():
        entry.update({k: x.to("meta") for k, x in entry.items() if isinstance(x, torch.Tensor)})
    for optimizer in (stepped(make), fresh(make)):
        with pytest.raises(ValueError, match=r"`\w+` of parameter 0[^\n]*map_location='cpu'"):
            optimizer.load_state_dict(saved)


def test_a_scalar_parameter_and_one_part_of_a_complex_one_are_looked_at():
    for start, part in ((torch.ones(()), 0), (torch.ones(2, dtype=torch.complex64), 1)):
        p = Parameter(start)
        optimizer = ours.ADANA([p])
        p.grad = torch.ones_like(p)
        optimizer.step()
        saved = copy.deepcopy(optimizer.state_dict())
        m = saved["state"][0]["exp_avg"]
        (torch.view_as_real(m) if m.is_complex() else m).view(-1)[part] = math.nan
        with pytest.warns(UserWarning, match="`exp_avg` of parameter 0"):
            optimizer.load_state_dict(saved)


@pytest.mark.parametrize(
    ("make", "kept", "bad"),
    [
        (decayed_adamw, "decay_step", torch.tensor(-1.0)),
        (decayed_adamw, "decay_step", torch.tensor(math.nan)),
        (decayed_adamw, "decay_step", torch.ones(2)),
        (projected_adana, "norms", [1.0]),
        (projected_adana, "norms", [1.0, math.nan, 1.0]),
        (projected_adana, "norms", [1.0, -1.0, 1.0]),
        (ours.DANADecaying, "scaled_by", (math.nan,)),
        (ours.DANADecaying, "scaled_by", (1.0, 0.85, -8.0, None)),
    ],
)
def test_what_a_group_remembers_is_looked_at_too(make, kept, bad):
    saved = copy.deepcopy(stepped(make).state_dict())
    assert kept in saved["param_groups"][0]
    saved["param_groups"][0][kept] = bad
    optimizer = fresh(make)
    with pytest.raises(ValueError, match=rf"^[^\n]*`{kept}`[^\n]*$"):
        optimizer.load_state_dict(saved)


def test_many_that_are_damaged_are_one_line():
    saved = copy.deepcopy(stepped(ours.ADANA).state_dict())
    for number in range(3):
        saved["state"][number]["exp_avg"].fill_(math.nan)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fresh(ours.ADANA).load_state_dict(saved)
    assert [str(w.message).split(" in ")[0] for w in seen] == [
        "`exp_avg` of parameter 0 (a.weight) (and 2 more)"
    ]
    assert seen[0].filename == __file__
