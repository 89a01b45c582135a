"""Claims about optimizers by name: every one steps, and is the class that it is called after."""

from __future__ import annotations

import warnings

import pytest
import torch

import hidim.torch
from hidim.lab import Settings
from hidim.lab.training.names import spelled
from hidim.lab.training.optimizers import make_optimizer, names


@pytest.mark.parametrize("name", names())
def test_every_named_optimizer_takes_a_step(name):
    weight = torch.nn.Parameter(torch.ones(3, 2))
    optimizer = make_optimizer(name, [weight], lr=0.01)
    weight.grad = torch.full_like(weight, 0.5)
    with warnings.catch_warnings():
        # torch's ASGD and others may speak of their own future.
        warnings.simplefilter("ignore", DeprecationWarning)
        optimizer.step()
    assert torch.isfinite(weight).all()
    assert (weight != 1).any()


def test_class_names_and_hyphens_name_the_same():
    weight = [torch.nn.Parameter(torch.zeros(2))]
    for name in ("dana-decaying", "DANADecaying", "danadecaying", "dana_decaying", "DANA Decaying"):
        assert type(make_optimizer(name, weight, lr=0.1)) is hidim.torch.DANADecaying
    assert type(make_optimizer("AdamW", weight, lr=0.1)) is torch.optim.AdamW
    for name in ("sgd-momentum", "SGD_Momentum", "sgd momentum"):
        assert make_optimizer(name, weight, lr=0.1).param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    "name", ["DANA-decaying", "dana_decaying", "DANADecaying", "dana decaying"]
)
def test_settings_spell_a_name_in_one_way(name):
    given = Settings(optimizer=name, model="LSTM", schedule="Cosine", precision="Float32")
    usual = Settings(optimizer="dana-decaying", schedule="cosine", precision="float32")
    assert given == usual
    assert given.fingerprint == usual.fingerprint


def test_every_name_is_spelled_as_it_is_listed():
    assert [spelled(name) for name in names()] == names()


@pytest.mark.parametrize("name", ["lbfgs", "sparse-adam", "optimizer", "", "dana"])
def test_what_cannot_take_a_plain_step_is_no_optimizer(name):
    with pytest.raises(ValueError, match="`optimizer` must be one of"):
        make_optimizer(name, [torch.nn.Parameter(torch.zeros(2))], lr=0.1)


def test_what_an_optimizer_itself_refuses_is_one_line():
    vector = [torch.nn.Parameter(torch.zeros(2))]
    with pytest.raises(ValueError) as caught:
        make_optimizer("adamw", vector, lr=0.1, options={"betas": [2.0, 2.0]})
    assert "\n" not in str(caught.value)
