"""The switches by which these optimizers do what the authors' two code bases do."""

import logging

import numpy as np
import pytest
import torch
from catalogue import data, train
from torch.nn import Parameter

import hidim.torch as ours
from hidim.algorithms import reference

FAMILY = {
    ours.ADANA: reference.ADANA,
    ours.DanaMK4: reference.DanaMK4,
    ours.DanaStar: reference.DanaStar,
    ours.DanaStarMK4: reference.DanaStarMK4,
    ours.LogTimeAdEMAMix: reference.LogTimeAdEMAMix,
}
OPTIONS = {"lr": 0.01, "omega": 4.0, "t_0": 20.0}


@pytest.mark.parametrize("path", [{}, {"foreach": True}, {"fused": True}, {"capturable": True}])
@pytest.mark.parametrize("cls", FAMILY)
def test_the_clock_of_the_jax_code_starts_at_zero(cls, path):
    start, curvature, noise = data(60)
    rule, q = FAMILY[cls](**OPTIONS), start
    if cls is ours.LogTimeAdEMAMix:
        rule.first = -1  # its bias correction counts updates, whatever t is
    rule.t = -1  # the first update has t = 0
    p = Parameter(torch.tensor(start))
    optimizer = cls([p], clock="jax", **OPTIONS, **path)
    train(optimizer, p, 60)
    for t in range(60):
        q = rule.step(q, curvature * q + noise[t])
    np.testing.assert_allclose(p.detach().numpy(), q, rtol=1e-9)


def test_an_offset_of_zero_is_refused_where_time_starts_at_zero():
    with pytest.raises(ValueError, match="t_0"):
        ours.ADANA([Parameter(torch.ones(2))], omega=4.0, t_0=0.0, clock="jax")
    with pytest.raises(ValueError, match="clock"):
        ours.ADANA([Parameter(torch.ones(2))], clock="numpy")


def test_dana_constant_says_what_it_counted(caplog):
    caplog.set_level(logging.INFO, logger="hidim.torch")
    ours.DANAConstant([Parameter(torch.zeros(4, 5)), Parameter(torch.zeros(6))])
    assert "dimension=26, counted over the 2 tensors" in caplog.text
    caplog.clear()
    ours.DANAConstant([Parameter(torch.zeros(4, 5))], dimension=1000)
    assert not caplog.text


def test_a_function_for_a_schedule_is_answered_with_the_schedules_there_are():
    with pytest.raises(ValueError, match=r"PowerLaw, Forgetting.*frozen dataclass"):
        ours.GeneralMomentum([Parameter(torch.ones(2))], gamma_3=lambda t: 1.0)
