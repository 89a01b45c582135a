"""A checkpoint of another optimizer is refused with a remedy; inference mode is no trap."""

from collections import namedtuple

import pytest
import torch
from torch.nn import Parameter

import hidim.torch as ours

OWN = [
    ours.DANADecaying, ours.DANAConstant, ours.GeneralMomentum, ours.AcceleratedSGD,
    ours.StochasticNesterov, ours.ADANA, ours.DanaMK4, ours.DanaStar, ours.DanaStarMK4,
    ours.LogTimeAdEMAMix, ours.SignSGD,
]  # fmt: skip
ADAPTIVE = OWN[5:10]


def stepped(cls, **options):
    p = Parameter(torch.ones(2, 2))
    optimizer = cls([p], **options)
    p.grad = torch.ones(2, 2)
    optimizer.step()
    return optimizer


def refused(cls, state_dict, words):
    optimizer = cls([Parameter(torch.ones(2, 2))])
    line = rf"^this state_dict cannot [^\n]*{words}[^\n]* Nothing has been changed\.$"
    with pytest.raises(ValueError, match=line):
        optimizer.load_state_dict(state_dict)


@pytest.mark.parametrize("cls", OWN)
def test_whose_it_is_and_what_carries_its_numbers_over_is_said(cls):
    adam, sgd = stepped(torch.optim.AdamW), stepped(torch.optim.SGD, momentum=0.9)
    makes = "of its numbers" if cls in ADAPTIVE else ""
    refused(cls, adam.state_dict(), rf"It is AdamW's: .*`from_adamw\(.*makes an ADANA[^\n]*{makes}")
    refused(cls, sgd.state_dict(), r"It is SGD's: .*`from_sgd\(params, lr=")
    for other in OWN:
        saved = stepped(other).state_dict()
        if other is not cls and not _loads(cls, saved):
            refused(cls, saved, f"It is {other.__name__}'s: load it into {other.__name__}")


def _loads(cls, saved):
    """SignSGD's options are those of every class."""
    return cls is ours.SignSGD and set(saved["state"][0]) == {"step"}


@pytest.mark.parametrize("cls", [ours.ADANA, ours.DANADecaying, ours.LogTimeWeightDecay])
def test_what_holds_a_state_dict_or_is_none_is_told_by_what_it_is(cls):
    inside = stepped(torch.optim.AdamW).state_dict()
    refused(cls, {"model": {}, "optimizer": inside}, "give its 'optimizer' entry")
    refused(cls, {"optimizer_states": [inside]}, r"give its 'optimizer_states'\[0\] entry")
    refused(cls, torch.nn.Linear(2, 2).state_dict(), "It is a model's")
    adana = namedtuple("AdanaState", ("count", "m", "v"))(7, (), ())
    for state in (adana, ((), adana)):
        refused(cls, state, "It is Optax's, after 7 updates")
    refused(cls, {"state": {}}, r"\(is it truncated\?\)|no 'param_groups'")


def test_wrappers_and_what_they_wrap_name_each_other():
    adam = stepped(torch.optim.AdamW).state_dict()
    refused(ours.LogTimeWeightDecay, adam, r"wrap it then: `LogTimeWeightDecay\(base, initial_step")
    refused(ours.NormalizeAndProject, adam, r"wrap it then: `NormalizeAndProject\(base\)`")
    for wrapper in (ours.LogTimeWeightDecay, ours.NormalizeAndProject):
        refused(ours.DANADecaying, stepped(wrapper).state_dict(), f"through {wrapper.__name__}")


@pytest.mark.parametrize("path", [{}, {"foreach": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("cls", [*OWN, ours.NormalizeAndProject])
def test_what_was_stepped_or_loaded_in_inference_mode_goes_on_outside(cls, path):
    options = {"base": ours.ADANA, **path} if cls is ours.NormalizeAndProject else path
    first, second = (stepped(cls, **options) for _ in range(2))
    with torch.inference_mode():
        second.load_state_dict(first.state_dict())
        p = Parameter(torch.ones(2, 2))
    q = Parameter(torch.ones(2, 2))
    third = cls([q], **options)
    q.grad = torch.ones(2, 2)
    with torch.inference_mode():
        for _ in range(3):
            third.step()
    for _ in range(3):
        second.step()
        third.step()
    (kept,) = second.param_groups[0]["params"]
    assert torch.isfinite(kept).all()
    assert torch.isfinite(q).all()
    p.grad = torch.ones(2, 2)
    with pytest.raises(RuntimeError, match=r"^[^\n]*inside torch.inference_mode[^\n]*clone"):
        cls([p], **options).step()
