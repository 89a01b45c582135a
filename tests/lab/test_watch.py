"""Claims about what a run says of itself, the batch that grows, and the dial of depth."""

from __future__ import annotations

import json
import os
import random
import signal

import numpy as np
import pytest
import torch
from test_training import killed_and_resumed

from hidim.cli.main import main
from hidim.lab import RunFolder, Settings, train
from hidim.lab.sweeps.sweep import expand
from hidim.lab.training.depth import at_depth
from hidim.lab.training.entry import check_new
from hidim.lab.training.ramp import Ramp
from hidim.lab.training.store import load_checkpoint
from hidim.lab.training.watch import Watch, peak_flops

_TIMED = ("tokens_per_second", "flops_per_second", "flops_used", "peak_flops")


def rows(folder):
    """Every row without what a clock says."""
    return [
        {name: value for name, value in row.items() if name not in _TIMED}
        for row in RunFolder(folder).rows()
    ]


@pytest.fixture
def modern(small):
    return small.replace(
        model="modern", heads=2, optimizer="adana", lr=3e-3, clip=0.5, parametrization="mup",
        batch_ramp="2:10", log_every=7,
    )  # fmt: skip


def test_ramp_counts_as_if_every_step_were_taken():
    for start, over, batch in ((1, 1, 2), (8, 100, 64), (2, 7, 32), (4, 2, 64)):
        ramp = Ramp(start, over, batch)
        sizes = [ramp.at(step) for step in range(over + 5)]
        assert sizes[0] in (start, 2 * start) or over < ramp.doublings
        assert sizes == sorted(sizes)
        assert sizes[over:] == [batch] * 5
        sums = np.cumsum([0, *sizes]).tolist()
        assert [ramp.before(step) for step in range(over + 6)] == sums
        for windows in (1, sums[-1] // 3, sums[-1]):
            steps = ramp.steps_for(windows)
            assert ramp.before(steps) >= windows > ramp.before(steps - 1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("3:10", "2, 4, 8, ... times as many"),
        ("8", "START:STEPS"),
        ("8:x", "START:STEPS"),
        ("32:4", "2, 4, 8, ... times as many"),
        ("0:4", "`batch_ramp`"),
    ],
)
def test_a_ramp_that_is_none_is_refused(wrong, told):
    with pytest.raises(ValueError, match="batch_ramp") as error:
        Settings(batch_ramp=wrong)
    assert told in str(error.value)


def test_a_ramp_that_never_ends_or_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="would never be reached"):
        check_new(Settings(batch_ramp="8:400"))
    with pytest.raises(ValueError, match="must divide the first batch"):
        Settings(batch_ramp="2:9", accumulation=4)


def test_steps_auto_are_twenty_tokens_per_parameter():
    for more in ({}, {"batch_ramp": "4:50"}, {"model": "modern", "tokens": "bpe:300"}):
        s = Settings(steps="auto", width=16, **more)
        wanted = 20 * s.shape(300 if more.get("tokens") else 256).parameters
        assert s.tokens_before(s.steps) >= wanted > s.tokens_before(s.steps - 1)
    with pytest.raises(ValueError, match="depend on the characters"):
        Settings(steps="auto", tokens="char")
    runs = expand(Settings(model="modern"), {"width": [16, 32], "steps": ["auto"]})
    assert [run.steps for run in runs] == [
        Settings(model="modern", width=width, steps="auto").steps for width in (16, 32)
    ]


def test_depth_is_one_dial_that_may_be_overruled_but_not_contradicted():
    s = Settings.from_dict(at_depth(3))
    assert (s.layers, s.width, s.heads, s.parametrization) == (3, 96, 3, "completep")
    assert s.tokens_before(s.steps) == pytest.approx(20 * s.shape(256).parameters, rel=1e-2)
    assert Settings.from_dict(at_depth(3, {"steps": 7, "lr": 0.5})).steps == 7
    depths = expand(Settings(), {"depth": [1, 2], "seed": [0, 1]})
    assert [(run.layers, run.width) for run in depths] == [(1, 32), (1, 32), (2, 64), (2, 64)]
    for wrong, told in (
        ({"width": 32}, "`depth` decides `width`"),
        ({"layers": 3}, "`depth` decides `layers`"),
        ({"model": "lstm"}, "`model` is 'lstm'"),
        ({"optimizer": "sgd"}, "give `lr`"),
    ):
        with pytest.raises(ValueError, match="depth") as error:
            at_depth(3, wrong)
        assert told in str(error.value)


def test_depth_and_its_contradictions_on_the_command_line(text_file, tmp_path, capsys):
    tiny = f"--data {text_file} --steps 2 --batch-size 2 --context 8 --validation-tokens 64"
    out = ["train", "--out", str(tmp_path / "a")]
    assert main([*out, "--depth", "1", *tiny.split(), "--no-qk-norm", "--autocast", "fp32"]) == 0
    kept = RunFolder(tmp_path / "a").read_config()["settings"]
    assert (kept["width"], kept["qk_norm"], kept["precision"]) == (32, False, "float32")
    assert main([*out, "--resume"]) == 0
    capsys.readouterr()
    for wrong in ("--depth 2 --width 8", "--steps auto --tokens char", "--steps soon"):
        assert main(["train", "--out", str(tmp_path / "b"), *wrong.split()]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    dry = ["sweep", "--out", str(tmp_path / "s"), "--dry-run", "--lr", "0.02"]
    assert main([*dry, "--grid", "depth=1,2"]) == 0
    assert "lr0.02" in capsys.readouterr().out
    assert main([*dry, "--width", "8", "--grid", "depth=1,2"]) == 2


def test_a_modern_run_is_killed_and_resumed_to_the_bit(modern, tmp_path):
    """Ramp, muP, clipping and rows by the step among what is counted."""
    modern = modern.replace(steps=25)
    train(modern, tmp_path / "whole")
    killed_and_resumed(modern, tmp_path / "killed", 2, random.Random(0))
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    weights = [
        load_checkpoint(tmp_path / n / "checkpoint.pt")["model"] for n in ("whole", "killed")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_rows_count_tokens_under_a_ramp_and_say_what_was_clipped(modern, tmp_path):
    modern, bounds = modern.replace(steps=15), {}
    for clip in (1e9, 1e-9, 0.0):
        folder = tmp_path / str(clip)
        result = train(modern.replace(clip=clip), folder)
        bounds[clip] = rows(folder)[1:]
        assert result.tokens == sum(modern.batch_at(t) for t in range(modern.steps)) * 8
    assert {row["clipped"] for row in bounds[1e9]} == {0.0}
    assert {row["clipped"] for row in bounds[1e-9]} == {1.0}
    assert not any("clipped" in row for row in bounds[0.0])
    for row in bounds[0.0]:
        assert row["tokens"] == modern.tokens_before(row["step"])
        assert row["gradient_norm"] > 0
        assert (
            ("update_to_weight" in row) == ("validation_loss" in row) == ("momentum_share" in row)
        )
    assert {7, 14} <= {row["step"] for row in bounds[0.0]}
    curve = RunFolder(tmp_path / "1e-09").curve()
    assert curve.columns["clipped"][-1] == 1.0
    assert 0 < curve.columns["update_to_weight"][-1] < 1


def test_update_to_weight_is_what_the_weights_did():
    p = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    model = torch.nn.ParameterList([p])
    watch = Watch(model, torch.optim.SGD(model.parameters(), lr=0.1), clip=5.0)
    p.grad = torch.tensor([6.0, 8.0])
    watch.clip(True)
    watch.step(True)
    assert watch.evaluated(None)["update_to_weight"] == pytest.approx(0.1, rel=1e-5)
    assert watch.row() == {"gradient_norm": 10.0, "clipped": 1.0}
    assert watch.row()["clipped"] is None  # no step since


def test_flops_used_are_a_share_of_what_is_said(small, text_file, tmp_path, capsys):
    train(small.replace(steps=3), tmp_path / "run", peak_flops=1e12)
    row = RunFolder(tmp_path / "run").rows()[-1]
    cost = RunFolder(tmp_path / "run").read_config()["flops_per_token"]
    assert row["flops_per_second"] == pytest.approx(row["tokens_per_second"] * cost)
    assert row["flops_used"] == pytest.approx(row["flops_per_second"] / 1e12)
    assert peak_flops("measure", torch.device("cpu"), False) > 1e8
    flags = f"--data {text_file} --steps 2 --width 8 --batch-size 2 --context 8"
    out = ["train", "--out", str(tmp_path / "b"), *flags.split()]
    assert main([*out, "--peak-flops", "measure"]) == 0
    assert "GFlop/s, measured by the product" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # inside torch.compile
@pytest.mark.parametrize("change", [{"compile": True}, {"precision": "bf16"}])
def test_compiled_and_bfloat16_runs_resume_to_the_bit_across_a_ramp(change, modern, tmp_path):
    settings = modern.replace(**change, steps=30)
    train(settings, tmp_path / "whole")

    def terminate(row):
        if row["step"] == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(settings, tmp_path / "cut", loggers=[terminate]).status == "stopped"
    torch.compiler.reset()  # as another process would begin
    train(None, tmp_path / "cut", resume=True)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_log_every_changes_no_number(small, tmp_path):
    small = small.replace(steps=12)
    often = train(small.replace(log_every=1), tmp_path / "often")
    few = train(small, tmp_path / "few")
    assert often.validation_loss == few.validation_loss
    assert len(RunFolder(tmp_path / "often").rows()) == small.steps + 1
    json.dumps(often.to_dict())


def test_momentum_cools_down_by_an_option_also_after_a_stop(small, tmp_path):
    cooled = small.replace(options={"cooldown": small.steps})

    def terminate(row):
        if row["step"] == 18:
            os.kill(os.getpid(), signal.SIGTERM)

    train(cooled, tmp_path / "cut", loggers=[terminate])
    train(None, tmp_path / "cut", resume=True)
    train(cooled, tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    train(small, tmp_path / "warm")
    last = [rows(tmp_path / name)[-1]["momentum_share"] for name in ("whole", "warm")]
    assert last[0] < 0.3 * last[1]
