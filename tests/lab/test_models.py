"""Claims about size and cost: what is stated is what is there."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hidim.lab import Shape, build
from hidim.lab.training.models import next_token_loss

SHAPES = [
    Shape("lstm", 61, 12, layers=1),
    Shape("lstm", 256, 16, layers=2),
    Shape("transformer", 61, 12, layers=1, context=10, heads=3),
    Shape("transformer", 256, 16, layers=3, context=32, heads=2),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_stated_parameters_are_those_of_the_model(shape):
    assert shape.parameters == sum(p.numel() for p in build(shape).parameters())


def counted(model, windows):
    """Flops of one forward and backward pass, counted by torch operator by operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        next_token_loss(model, windows).backward()
    return counter.get_total_flops()


class CellByCell(nn.Module):
    """The LSTM as its cells, whose matrix products torch's counter sees."""

    def __init__(self, model, shape):
        super().__init__()
        self.model = model
        self.cells = nn.ModuleList(
            nn.LSTMCell(shape.width, shape.width) for _ in range(shape.layers)
        )
        for layer, cell in enumerate(self.cells):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(cell, name).data = getattr(model.lstm, f"{name}_l{layer}").data

    def forward(self, tokens):
        inputs = list(self.model.embedding(tokens).unbind(1))
        for cell in self.cells:
            state, outputs = None, []
            for x in inputs:
                state = cell(x, state)
                outputs.append(state[0])
            inputs = outputs
        return self.model.output(torch.stack(inputs, 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_stated_flops_are_those_torch_counts(shape):
    model = build(shape)
    context = 16 if shape.kind == "lstm" else shape.context
    windows = torch.randint(0, shape.vocabulary, (3, context + 1))
    if shape.kind == "lstm":
        cells = CellByCell(model, shape)
        assert torch.allclose(cells(windows), model(windows), atol=1e-5)
        # The first state is zero and learned by nobody: its product has no gradient for the input.
        expected = counted(cells, windows)
        slack = 2.0 / context
    else:
        expected, slack = counted(model, windows), 1e-12
    stated = shape.flops_per_token * windows[:, 1:].numel()
    assert stated == pytest.approx(expected, rel=slack)


def test_a_token_is_predicted_from_the_past_alone():
    for shape in SHAPES:
        model = build(shape).eval()
        tokens = torch.randint(0, shape.vocabulary, (2, 10))
        changed = tokens.clone()
        changed[:, 6:] = (changed[:, 6:] + 1) % shape.vocabulary
        same = torch.isclose(model(tokens), model(changed), atol=1e-6).all(-1)
        assert same[:, :6].all()
        assert not same[:, 6:].any()


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="`heads` must divide `width`"):
        Shape("transformer", 256, 16, heads=3)
