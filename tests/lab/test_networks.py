"""Claims about the modern transformer: each of its parts is what its name says."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from test_models import counted
from torch import nn

from hidim.lab import Settings, Shape, build, train
from hidim.lab.reports.measured import consolidate, measured_runs
from hidim.lab.training.models import next_token_loss
from hidim.lab.training.networks.choices import CHOICES
from hidim.lab.training.networks.modern import Rotary, rms
from hidim.lab.training.rates import rate_groups

WIDE = dict(layers=2, context=12, heads=2)
SINGLE = [{name: value} for name, known in CHOICES.items() for value in known]
SHAPES = [Shape("modern", 61, 16, **WIDE, **choice) for choice in SINGLE]


def awake(shape, seed=0):
    """A model none of whose matrices is zero, as after some training."""
    model = build(shape, seed=seed)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def test_rotary_is_a_rotation_that_knows_distances_alone():
    rotary, generator = Rotary(8, 32), torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, generator=generator).double().unbind()
    at = rotary(q.expand(32, 8)), rotary(k.expand(32, 8))  # (places, size) each
    assert torch.allclose(at[0].norm(dim=-1), q.norm().expand(32), rtol=1e-6)
    assert torch.equal(at[0][0], q)
    products = at[0] @ at[1].T
    for distance in (1, 5, 20):  # float32 tables of cosines
        along = products.diagonal(distance)
        assert torch.allclose(along, along[0].expand_as(along), atol=1e-5)
    assert products[0].std() > 0.1
    # Pair i at place t as a complex number is turned by t / 10000^(2 i / size).
    as_complex = torch.complex(q[:4], q[4:])
    angle = 7 * 10000.0 ** (-torch.arange(4).double() / 4)
    turned = as_complex * torch.exp(1j * angle)
    assert torch.allclose(at[0][7], torch.cat((turned.real, turned.imag)), atol=1e-6)


def test_rms_is_the_plain_formula_and_forgets_the_scale():
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    plain = x / x.square().mean(-1, keepdim=True).sqrt()
    assert torch.allclose(rms(x), plain, rtol=1e-5)
    assert torch.allclose(rms(100 * x), rms(x), rtol=1e-5)


@pytest.mark.parametrize("qk_norm", [True, False])
def test_qk_norm_makes_attention_forget_the_scale_of_queries_and_keys(qk_norm):
    model = awake(Shape("modern", 61, 16, **WIDE, qk_norm=qk_norm))
    tokens = torch.randint(0, 61, (2, 10), generator=torch.Generator().manual_seed(0))
    before = model(tokens)
    for block in model.blocks:
        block.attention.queries_keys_values.weight.data[:32] *= 7.0  # rows of q and k
    same = torch.allclose(model(tokens), before, atol=1e-4)
    assert same is qk_norm


def test_attention_is_the_plain_formula():
    shape = Shape("modern", 61, 16, **WIDE)
    attention = awake(shape).blocks[0].attention
    x = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(0))
    q, k, v = attention.queries_keys_values(x).chunk(3, dim=-1)
    out = []
    for head in (slice(0, 8), slice(8, 16)):
        a, b = attention.rotary(rms(q[..., head])), attention.rotary(rms(k[..., head]))
        logits = a @ b.transpose(1, 2) * math.sqrt(128) / 8
        hidden = torch.ones(12, 12).triu(1).bool()
        out.append(logits.masked_fill(hidden, -math.inf).softmax(-1) @ v[..., head])
    expected = attention.merge(torch.cat(out, dim=-1))
    assert torch.allclose(attention(x), expected, atol=1e-5)


def test_a_tied_head_is_the_embedding():
    tied = build(Shape("modern", 61, 16, **WIDE))
    assert tied.output.weight is tied.embedding.weight
    untied = build(Shape("modern", 61, 16, **WIDE, head="untied"))
    assert untied.output.weight.data_ptr() != untied.embedding.weight.data_ptr()
    size = [sum(p.numel() for p in model.parameters()) for model in (tied, untied)]
    assert size[1] - size[0] == 61 * 16


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.norm}-{s.mlp}-{s.head}")
def test_size_and_cost_are_those_of_the_model_and_the_future_is_unseen(shape):
    model = awake(shape).eval()
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    windows = torch.randint(0, 61, (3, 13), generator=torch.Generator().manual_seed(0))
    assert shape.flops_per_token * 36 == counted(model, windows)
    tokens, changed = windows[:, :12], windows[:, :12].clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 61
    same = torch.isclose(model(tokens), model(changed), atol=1e-6).all(-1)
    assert same[:, :6].all()
    assert not same[:, 6:].any()
    loss = next_token_loss(build(shape), windows).item()
    assert loss == pytest.approx(math.log(61), abs=0.2)


def test_all_choices_together_build_and_learn():
    generator = torch.Generator().manual_seed(0)
    windows = torch.randint(0, 11, (2, 7), generator=generator)
    for values in itertools.product(*CHOICES.values()):
        choices = dict(zip(CHOICES, values, strict=True))
        if choices["parametrization"] == "mup":
            continue  # completep is that and more
        shape = Shape("modern", 11, 8, 1, 6, 2, **choices)
        model = build(shape)
        next_token_loss(model, windows).backward()
        assert all(p.grad is not None for p in model.parameters())


def test_parametrizations_agree_at_the_base_and_share_out_rates_beyond():
    tokens = torch.randint(0, 61, (2, 8), generator=torch.Generator().manual_seed(0))
    models = [
        build(Shape("modern", 61, 64, 2, 8, 2, parametrization=one))
        for one in CHOICES["parametrization"]
    ]
    logits = [model(tokens) for model in models]
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])
    wide = Shape("modern", 61, 256, 8, 8, 8, parametrization="completep", norm="layer")
    model = build(wide)
    names = {id(p): name for name, p in model.named_parameters()}
    for optimizer, expected in (("adamw", {1.0, 0.25}), ("sgd", {4.0, 16.0})):
        groups = rate_groups(model, wide, optimizer)
        assert {factor for factor, _ in groups} == expected
        assert sum(len(own) for _, own in groups) == len(names)
    hidden = dict((f, {names[id(p)] for p in own}) for f, own in rate_groups(model, wide, "adam"))
    assert all(("weight" in n and "blocks" in n and "norm" not in n) for n in hidden[0.25])
    standard = rate_groups(model, Shape("modern", 61, 64), "lion")
    assert [p is q for p, q in zip(standard[0][1], model.parameters(), strict=True)]


def test_settings_of_before_keep_their_names():
    """As they were before there was a modern network; stored sweeps go on."""
    assert Settings().fingerprint == "7d688e8b"
    assert Settings(model="transformer", heads=2, split="file").fingerprint == "3370f07d"
    assert Settings().text_fingerprint == "b4057076"
    told = Settings(model="modern").to_dict()
    assert (told["norm"], told["positions"], told["qk_norm"]) == ("rms", "rotary", True)
    assert Settings(model="modern", mlp="GELU").replace(model="lstm") == Settings()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"norm": "rms"}, "`norm` is a choice about the model 'modern'"),
        ({"model": "modern", "mlp": "swigloo"}, "Did you mean 'swiglu'"),
        ({"model": "modern", "parametrization": "muP2"}, "`parametrization` must be one of"),
        ({"model": "modem"}, "Did you mean 'modern'"),
        ({"model": "modern", "qk_norm": "maybe"}, "`qk_norm`"),
    ],
)
def test_what_is_no_choice_is_refused_in_one_line(wrong, told):
    with pytest.raises(ValueError, match=r".*") as error:
        Settings(**wrong)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_rotary_heads_of_odd_size_are_refused():
    with pytest.raises(ValueError, match="rotary turn pairs"):
        Shape("modern", 61, 15, heads=5)
    assert isinstance(build(Shape("modern", 61, 15, heads=5, positions="learned")), nn.Module)


def test_labels_name_the_model_and_not_all_that_comes_with_it(small, tmp_path):
    base = small.replace(heads=2, steps=2, optimizer="adamw", lr=0.01)
    for name, changes in (
        ("a", {"model": "transformer"}),
        ("b", {"model": "modern"}),
        ("c", {"model": "modern", "batch_ramp": "4:1"}),
    ):
        train(base.replace(**changes), tmp_path / "runs" / name)
    labels = {run.name: run.label for run in measured_runs(tmp_path / "runs")}
    assert labels["b"] == "adamw model=modern batch_ramp=None"
    pytest.importorskip("pyarrow")
    table = measured_runs(consolidate(tmp_path / "runs"))
    assert {run.name: run.label for run in table} == labels
    assert [run.settings for run in table] == [
        run.settings for run in measured_runs(tmp_path / "runs")
    ]
