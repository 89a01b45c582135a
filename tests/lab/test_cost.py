"""What a run is said to cost is what it takes."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hidim.cli.main import main
from hidim.lab import Settings, Shape
from hidim.lab.sweeps.budget import budget, table
from hidim.lab.sweeps.gpu import GPU
from hidim.lab.sweeps.presets import LADDERS, ladder
from hidim.lab.sweeps.sweep import Sweep, work
from hidim.lab.training import cost
from hidim.lab.training.models import build, next_token_loss


def really_kept(shape, rows):
    """Bytes that a forward pass keeps, of a model that is there."""
    model, kept = build(shape), {}
    own = {p.untyped_storage()._cdata for p in model.parameters()}

    def keep(x):
        storage = x.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = (storage.nbytes(), storage)
        return x

    windows = torch.zeros(rows, shape.context + 1, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        next_token_loss(model, windows)
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize(
    ("shape", "near"),
    [
        (Shape("transformer", 256, 32, 3, 48, 2), 0.001),
        (Shape("transformer", 600, 16, 1, 20, 1), 0.001),
        (Shape("lstm", 256, 32, 2, 64), 0.15),
        (Shape("lstm", 500, 48, 3, 16), 0.15),
    ],
)
def test_memory_of_a_forward_pass_is_what_it_keeps(shape, near, rows):
    settings = Settings(
        model=shape.kind, tokens=f"bpe:{shape.vocabulary}" if shape.vocabulary > 256 else "byte",
        width=shape.width, layers=shape.layers, heads=shape.heads, context=shape.context,
        batch_size=2 * rows, accumulation=2, optimizer="sgd",
    )  # fmt: skip
    assert cost.expected_shape(settings) == shape
    weights = 8 * shape.parameters
    logits = 8 * rows * shape.context * shape.vocabulary
    found = cost.cost_of(settings).memory - weights - logits
    assert found == pytest.approx(really_kept(shape, rows), rel=near)


@pytest.mark.parametrize(
    ("optimizer", "options", "each"),
    [
        ("sgd", {}, 0),
        ("sgd-momentum", {}, 4),
        ("adamw", {}, 8),
        ("adana", {}, 8),
        ("log-time-ademamix", {}, 12),
    ],
)
def test_memory_holds_what_an_optimizer_keeps(optimizer, options, each):
    bare = cost.cost_of(Settings(optimizer="sgd"))
    found = cost.cost_of(Settings(optimizer=optimizer, options=options))
    assert found.memory - bare.memory == each * bare.parameters


def test_mixed_precision_takes_less_and_accumulation_a_part():
    base = {"model": "transformer", "width": 32, "context": 64, "batch_size": 32}
    whole = cost.cost_of(Settings(**base)).memory
    assert cost.cost_of(Settings(**base, precision="bfloat16")).memory < 0.8 * whole
    assert cost.cost_of(Settings(**base, accumulation=8)).memory < 0.2 * whole


def test_flops_and_time_add_up():
    runs = [Settings(seed=seed, steps=steps) for seed in range(3) for steps in (100, 300)]
    short, long = budget(runs, tflops=2.0)
    assert (short.runs, short.steps, long.steps) == (3, 100, 300)
    assert (
        long.cost.flops
        == 3 * short.cost.flops
        == 300 * 2048 * Shape("lstm", 256, 64).flops_per_token
    )
    assert long.seconds == pytest.approx(long.cost.flops / 2e12)
    assert "6 runs, 2.46e+06 tokens" in table([short, long]).splitlines()[-1]
    (left,) = budget(runs, runs[:5], tflops=2.0)
    assert (left.runs, left.steps) == (1, 300)


def test_a_network_is_tried_out_where_that_is_short():
    (here,) = budget([Settings(width=8, layers=1, context=8, steps=10)])
    assert 0 < here.seconds < 10
    (far,) = budget([Settings(model="transformer", width=768, layers=12, batch_size=512)])
    assert far.seconds is None
    assert "give --tflops" in table([far])


@pytest.mark.parametrize("name", LADDERS)
def test_the_plan_of_a_ladder_is_what_it_comes_to_want(name):
    plan, first = ladder(name), list(ladder(name).stage(Sweep("/nowhere")))
    planned = plan.planned()
    assert {run.fingerprint for run in first} <= {run.fingerprint for run in planned}
    finals = [run for run in planned if run.steps == plan.base.steps]
    several = len(plan.entries) + plan.matched
    assert len(finals) == several * len(plan.widths) * len(plan.seeds)


def test_a_dry_run_says_what_is_left(text_file, tmp_path, capsys):
    flags = f"--data {text_file} --tokens char --width 4 --context 8 --batch-size 4".split()
    command = ["sweep", "--out", str(tmp_path), *flags, "--steps", "3", "--grid", "seed=0,1"]
    assert main([*command, "--dry-run", "--tflops", "1"]) == 0
    assert "2 runs" in capsys.readouterr().out
    assert main([*command, "--workers", "1"]) == 0
    assert main([*command, "--dry-run"]) == 0
    assert "nothing is left to train" in capsys.readouterr().out
    for wrong in (["--tflops", "1"], ["--dry-run", "--tflops", "0"]):
        assert main([*command, *wrong]) == 2
        assert "tflops" in capsys.readouterr().err


@pytest.mark.parametrize("name", GPU)
def test_what_is_meant_for_a_gpu_says_what_it_costs_and_runs_at_toy_scale(
    name, text_file, tmp_path, capsys
):
    command = ["sweep", "--out", str(tmp_path), "--preset", name, "--dry-run", "--tflops", "400"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "123,568,128" in shown
    assert " h one after another" in shown
    tiny = {
        "data": str(text_file), "max_mb": None, "tokens": "byte", "width": 8, "layers": 1,
        "heads": 1, "context": 8, "batch_size": 4, "accumulation": 1, "precision": "float32",
        "compile": False, "validation_tokens": 64, "steps": 4, "warmup": 1,
        "evaluation_growth": 4.0,
    }  # fmt: skip
    plan = GPU[name]
    toy = replace(plan, base=plan.base.replace(**tiny), seeds=(0,))
    if name == "gpu-speedrun":
        toy = replace(toy, widths=(8,))
    else:
        toy = replace(toy, horizons=(1, 2), searched=2, most=1, finals=(), unit=2)
    sweep = Sweep(tmp_path / "toy")
    while sweep.add(toy.stage(sweep)):
        assert not work(sweep, save_seconds=60.0).failed
    methods = {run.optimizer for run in sweep.settings().values()}
    assert methods == {"adamw", "muon", "adana"}
    longest = max(run.steps for run in sweep.settings().values())
    finals = [run for run in sweep.settings().values() if run.seed == 0 and run.steps == longest]
    assert len(finals) == 3


def test_a_dry_run_says_what_a_stored_study_leaves(tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(Path(__file__).parents[2] / "docs/results/horizons-lstm.parquet")
    stored = tmp_path / "some.parquet"
    parquet.write_table(table.slice(0, 80), stored)
    finished = len(set(table.slice(0, 80)["run"].to_pylist()))
    command = ["sweep", "--out", str(tmp_path / "s"), "--preset", "horizons-lstm", "--dry-run"]
    assert main([*command, "--tflops", "0.01"]) == 0
    whole = capsys.readouterr().out
    assert main([*command, "--tflops", "0.01", "--from", str(stored)]) == 0
    left = capsys.readouterr().out
    assert "would be taken over" in left

    def runs(text):
        return int(re.findall(r"^(\d+) runs, ", text, re.M)[0])

    assert runs(left) == runs(whole) - finished
    assert not (tmp_path / "s").exists()
    assert main([*command, "--from", str(tmp_path / "none.parquet")]) == 2
    assert "there is no file" in capsys.readouterr().err
