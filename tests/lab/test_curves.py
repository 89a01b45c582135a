"""Claims about runs as curves: what was logged, how it went, and no more."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from test_report import plant

from hidim.cli.main import main
from hidim.curve import Curve
from hidim.fitting import Run, fit, read_run
from hidim.lab import RunFolder, Settings, Shape, train
from hidim.lab.reports.measured import consolidate, measured_runs

PLANTED = Settings(optimizer="sgd", lr=1.0, seed=3, batch_size=4, options={"momentum": 0.5})


def planted(folder, loss=lambda t: 2.0 + 1 / t, settings=PLANTED, **how):
    plant(folder, settings, loss, **how)
    return RunFolder(folder)


def test_a_curve_holds_what_the_run_logged(small, tmp_path):
    train(small, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    curve, rows = folder.curve(), folder.rows()
    assert curve.status == "ok"
    assert curve.steps.tolist() == [row["step"] for row in rows]
    for name, key in (("test", "validation_loss"), ("lr", "lr"), ("tokens", "tokens"),
                      ("train", "train_loss"), ("gradient_norm", "gradient_norm")):  # fmt: skip
        wanted = [math.nan if row[key] is None else row[key] for row in rows]
        np.testing.assert_array_equal(curve.columns[name], wanted)
    np.testing.assert_array_equal(curve.risk, curve.columns["test"])
    assert np.isnan(curve.columns["train"][0])  # no step, no loss of one
    assert np.all(curve.columns["gradient_norm"][1:] > 0)
    assert curve.provenance["settings"] == small.to_dict()
    assert curve.provenance["seed"] == small.seed
    assert curve.dimension == folder.read_config()["parameters"]
    assert curve.label == "dana-decaying"
    curve.save(tmp_path / "curve.json")
    assert Curve.load(tmp_path / "curve.json") == curve  # what was not read included


def test_the_norm_of_the_gradient_is_that_before_clipping(small, tmp_path):
    for clip in (0.0, 1e-3, 1e9):
        train(small.replace(clip=clip, steps=1), tmp_path / f"{clip}")
    norms = [RunFolder(tmp_path / f"{c}").curve().columns["gradient_norm"][1]
             for c in (0.0, 1e-3, 1e9)]  # fmt: skip
    np.testing.assert_allclose(norms, norms[0], rtol=1e-6)
    assert norms[0] > 1e-2


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_curve_of_a_run_is_saved_equals_its_copy_and_is_read_anywhere(tmp_path, suffix):
    curve = planted(tmp_path / "a").curve()
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere")
    assert RunFolder(tmp_path / "elsewhere").curve() == curve
    other = planted(tmp_path / "b", settings=PLANTED.replace(seed=4)).curve()
    assert other != curve
    curve.save(tmp_path / f"c{suffix}")
    assert Curve.load(tmp_path / f"c{suffix}") == curve
    at = curve.at(curve.steps.reshape(-1, 4))
    np.testing.assert_allclose(at, curve.risk.reshape(-1, 4), rtol=1e-12)
    assert curve.to_csv().splitlines()[0] == "step,risk,train,lr,tokens,test,flops"


def test_compute_is_that_of_the_report_from_folders_and_from_the_table(tmp_path):
    pytest.importorskip("pyarrow")
    folder = planted(tmp_path / "run")
    curve, config = folder.curve(), folder.read_config()
    assert curve.flops[-1] == PLANTED.steps * PLANTED.tokens_per_step * config["flops_per_token"]
    for runs in (measured_runs(tmp_path), measured_runs(consolidate(tmp_path))):
        np.testing.assert_array_equal(runs[0].flops, curve.flops)
        np.testing.assert_array_equal(runs[0].loss, curve.risk)
        assert replace(runs[0].curve, provenance={}) == replace(curve, provenance={})


def test_a_live_run_is_unfinished_and_a_lost_one_diverged(tmp_path):
    live = planted(tmp_path / "live")
    live.result.unlink()
    with open(live.metrics, "a", encoding="utf-8") as stream:
        stream.write('{"step": 999, "validation')  # being written
    curve = live.curve()
    assert (curve.status, curve.diverged_at) == ("unfinished", None)
    assert "unfinished" in repr(curve)
    assert curve.steps[-1] == PLANTED.steps
    lost = planted(tmp_path / "lost", lambda t: np.nan if t > 1000 else 2.0).curve()
    assert (lost.status, lost.diverged_at) == ("diverged", PLANTED.steps)
    assert lost.risk[-1] == math.inf
    given_up = planted(tmp_path / "wild", status="diverged").curve()
    assert given_up.status == "diverged"


def test_a_folder_that_is_no_run_or_has_not_logged_is_refused_in_one_line(tmp_path):
    begun, damaged, foreign = (planted(tmp_path / name) for name in ("begun", "damaged", "foreign"))
    begun.result.unlink()
    begun.metrics.unlink()
    damaged.config.write_text('{"settings": {}, "parameters": 3}')
    foreign.config.write_text('{"architectures": ["GPT2LMHeadModel"]}')
    for folder, message in (
        (RunFolder(tmp_path / "nowhere"), "holds no run"),
        (RunFolder(tmp_path), "holds no run"),
        (foreign, "holds no run"),
        (begun, "has not logged yet"),
        (damaged, "damaged"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            folder.curve()
        assert "\n" not in str(caught.value)


def test_a_fit_reads_a_run_as_its_folder_its_curve_or_its_path(tmp_path, capsys):
    settings = PLANTED.replace(schedule="cosine", steps=400)
    folder = planted(tmp_path / "run", lambda t: 2.0 + t**-0.3, settings)
    runs = [Run.of(folder.curve()), read_run(folder.path)]
    for run in runs:
        np.testing.assert_array_equal(run.measured(), folder.curve().risk)
        np.testing.assert_array_equal(run.lr, folder.curve().columns["lr"])
    assert read_run(folder.path, columns={"loss": "train_loss"}).measured()[0] == 1.0
    laws = [fit(given, "intrinsic-time") for given in (folder, folder.curve(), folder.path)]
    assert main(["fit", str(folder.path), "--law", "intrinsic-time", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    for law in laws:
        assert law.parameters == pytest.approx(answer["parameters"], rel=1e-12)
    folder.result.unlink()
    assert main(["fit", str(folder.path), "--law", "intrinsic-time"]) == 0
    assert "the curve is unfinished" in capsys.readouterr().out
    planted(tmp_path / "wild", status="diverged")
    assert main(["fit", str(tmp_path / "wild"), "--law", "intrinsic-time"]) == 2
    assert "diverged" in capsys.readouterr().err


def test_a_frontier_takes_runs_that_are_under_way(tmp_path, capsys):
    for width in (8, 12, 16, 24, 32, 48, 64):
        settings = Settings(optimizer="sgd", width=width, steps=3000)
        size = Shape("lstm", 256, width).parameters / 1e4

        def loss(tokens, size=size):
            return size**-0.5 + (tokens / 1e6) ** -0.5

        plant(tmp_path / str(width), settings, loss)
    whole = _frontier(tmp_path, capsys)
    assert "unfinished" not in whole[1]
    live = RunFolder(tmp_path / "64")
    live.result.unlink()
    lines = live.metrics.read_text().splitlines(keepends=True)
    live.metrics.write_text("".join(lines[:-4]))
    assert main(["fit", "--law", "chinchilla", str(tmp_path), "--bootstrap", "0"]) == 2
    assert "tokens" in capsys.readouterr().err  # one length of all runs shows no power of it
    answer, said = _frontier(tmp_path, capsys)
    assert "1 unfinished run(s) count as far as they are" in said
    assert answer["sizes"] == whole[0]["sizes"] == 7
    assert answer["eta"] == pytest.approx(whole[0]["eta"], abs=0.02)


def test_a_law_of_sizes_takes_the_ends_of_a_sweep_of_one_optimizer(tmp_path, capsys):
    for width, steps in (
        (8, 500),
        (12, 200),
        (16, 900),
        (24, 300),
        (32, 800),
        (48, 400),
        (64, 600),
    ):
        settings = Settings(optimizer="sgd", width=width, steps=steps)
        size = Shape("lstm", 256, width).parameters
        plant(tmp_path / "one" / str(width), settings, lambda t, n=size: 9 * n**-0.3 + 9 * t**-0.3)
    command = ["fit", "--law", "chinchilla", "--bootstrap", "0"]
    assert main([*command, str(tmp_path / "one")]) == 0
    out = capsys.readouterr().out
    assert "7 runs" in out
    assert "the last points of curves" in out
    plant(tmp_path / "two", Settings(optimizer="adamw"), lambda t: 2.0)
    assert main([*command, str(tmp_path)]) == 2
    assert "holds runs of sgd, adamw" in capsys.readouterr().err


def _frontier(folder, capsys):
    assert main(["frontier", "--runs", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    (row,) = json.loads(out)["rows"]
    return {"sizes": row["sizes"], "eta": row["eta"]["value"]}, err
