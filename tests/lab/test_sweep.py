"""Claims about sweeps: every run once, whoever trains it and whatever is killed when."""

from __future__ import annotations

import math
import os
import random
import signal
import threading
import time

import numpy as np
import pytest
from forks import fork

from hidim.cli.main import main
from hidim.lab import RunFolder, Settings, train
from hidim.lab.sweeps.ladders import Ladder
from hidim.lab.sweeps.presets import LADDERS, ladder
from hidim.lab.sweeps.sweep import Sweep, expand, work
from hidim.lab.text.kept import load_npz


def losses(folder):
    rows = RunFolder(folder).rows()
    return [(row["step"], row["train_loss"], row["validation_loss"]) for row in rows]


def stamps(sweep):
    """When every file of every finished run was last written."""
    return {
        (name, file.name): file.stat().st_mtime_ns
        for name in sweep.finished()
        for file in sweep.folder(name).path.iterdir()
        if not file.name.startswith(".")
    }


def test_a_grid_is_every_combination_once():
    grid = {"optimizer": ["sgd", "dana-decaying"], "kappa_3": [0.6, 0.7], "seed": [0, 1]}
    runs = expand(Settings(), grid)
    assert len(runs) == 6
    assert len({run.fingerprint for run in runs}) == 6


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"kapa_3": [1.0]}, "'kappa_3'"),
        ({"lr": []}, "no value"),
        ({"lr": [-1]}, "`lr`"),
        ({"optimizer": [None]}, "`optimizer`"),
    ],
)
def test_a_grid_that_names_nothing_is_refused(grid, message):
    with pytest.raises(ValueError, match=message):
        expand(Settings(), grid)


def test_runs_added_twice_are_wanted_once(small, tmp_path):
    sweep = Sweep(tmp_path)
    runs = expand(small, {"seed": [0, 1]})
    assert sweep.add(runs) == 2
    assert sweep.add(runs) == 0
    assert sweep.add(expand(small, {"seed": [1, 2]})) == 1
    assert len(sweep.settings()) == 3


def test_a_run_of_a_sweep_is_the_run_alone(small, tmp_path):
    sweep = Sweep(tmp_path / "sweep")
    sweep.add([small])
    outcome = work(sweep)
    (name,) = outcome.trained
    train(small, tmp_path / "alone")
    assert losses(sweep.folder(name).path) == losses(tmp_path / "alone")


def killed_and_finished(small, path, kills, random):
    """A sweep of four runs whose two workers are killed again and again, then finished."""
    sweep = Sweep(path)
    sweep.add(expand(small, {"optimizer": ["sgd", "dana-decaying"], "seed": [0, 1]}))
    done: dict = {}
    for _ in range(kills):
        workers = [fork(lambda: work(sweep, save_seconds=0.0)) for _ in range(2)]
        time.sleep(random.uniform(0.0, 0.4))
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
        assert done.items() <= stamps(sweep).items(), "a finished run was touched again"
        done = stamps(sweep)
    work(sweep)
    assert done.items() <= stamps(sweep).items(), "a finished run was touched again"
    return sweep


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_loses_no_finished_run_and_changes_no_number(kills, small, tmp_path):
    small = small.replace(steps=60 if kills > 5 else 25)
    whole = killed_and_finished(small, tmp_path / "whole", 0, random.Random(0))
    killed = killed_and_finished(small, tmp_path / "killed", kills, random.Random(kills))
    assert len(killed.finished()) == len(whole.finished()) == 4
    for name in whole.finished():
        assert losses(killed.folder(name).path) == losses(whole.folder(name).path), name


def test_many_workers_share_the_runs(small, tmp_path):
    sweep = Sweep(tmp_path)
    sweep.add(expand(small.replace(steps=10), {"seed": range(6)}))
    sweep.tokens(small)

    def worker():
        outcome = work(sweep)
        for name in outcome.trained:
            (tmp_path / f"trained-{name}-{os.getpid()}").touch()

    workers = [fork(worker) for _ in range(3)]
    assert [os.waitpid(one, 0)[1] for one in workers] == [0, 0, 0]
    assert len(sweep.finished()) == 6
    assert len(list(tmp_path.glob("trained-*"))) == 6


def test_a_run_that_cannot_go_on_does_not_stop_the_others(small, tmp_path, capsys):
    sweep = Sweep(tmp_path)
    sweep.add(expand(small.replace(steps=5), {"seed": [0, 1, 2]}))
    broken = list(sweep.settings())[1]
    work(sweep)
    sweep.folder(broken).result.unlink()
    sweep.folder(broken).checkpoint.write_bytes(b"broken")
    outcome = work(sweep)
    assert list(outcome.failed) == [broken]
    assert "corrupt" in outcome.failed[broken]
    assert main(["sweep", "--out", str(tmp_path), "--workers", "1"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_without_its_package_does_not_stop_the_others(small, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    sweep = Sweep(tmp_path)
    sweep.add(expand(small.replace(steps=2), {"tokens": ["bpe:300", "char"]}))
    outcome = work(sweep)
    assert len(outcome.trained) == 1
    assert "tokenizers is needed" in next(iter(outcome.failed.values()))


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("--lr 0.5,1", "--grid lr=0.5,1"),
        ("--lr=0.5,1", "--grid lr=0.5,1"),
        ("--lr -0.5,1 --steps 3", "--grid lr=-0.5,1"),
        ("--lr 0.5 1", "--grid lr=0.5,1"),
        ("--lr 0.5 1 2 --steps 3", "--grid lr=0.5,1,2"),
        ("--lrs 0.5,1", "--grid lr=0.5,1"),
        ("--lrs", "--grid lr=A,B"),
        ("--seeds 0 1 2", "--grid seed=0,1,2"),
        ("--seed 0, 1", "--grid seed=0,1"),
        ("--steps 100,200", "--grid steps=100,200"),
        ("--batch_size 8,16", "--grid batch_size=8,16"),
        ("--optimizer sgd,adamw", "--grid optimizer=sgd,adamw"),
        ("--optimizers sgd adamw", "--grid optimizer=sgd,adamw"),
        ("--model lstm,transformer", "--grid model=lstm,transformer"),
        ("--tokens byte,char", "--grid tokens=byte,char"),
        ("--depth 2,4", "--grid depth=2,4"),
    ],
)
def test_several_values_of_a_setting_are_a_grid_and_the_remedy_says_so(words, remedy, capsys):
    for command, said in (("sweep", "; for several runs give "), ("train", "hidim sweep ")):
        assert main([command, "--out", "never", *words.split()]) == 2
        error = capsys.readouterr().err
        assert error.endswith(f"{said}{remedy}\n")
        assert error.count("\n") == 1


@pytest.mark.parametrize("words", ["--workers 1,2", "--lr x", "--steps 1e", "--lrr 1", "--dta a b"])
def test_other_slips_are_no_grid(words, capsys):
    assert main(["sweep", "--out", "never", *words.split()]) == 2
    assert "--grid" not in capsys.readouterr().err


def test_no_workers_is_not_all_of_them(small, tmp_path, capsys):
    Sweep(tmp_path).add([small])
    assert main(["sweep", "--out", str(tmp_path), "--workers", "0"]) == 2
    assert "`workers` must be at least 1" in capsys.readouterr().err


def test_a_damaged_text_is_named(small, tmp_path):
    sweep = Sweep(tmp_path)
    sweep.path.mkdir(exist_ok=True)
    sweep.tokens(small)
    (path,) = tmp_path.glob("text-*.npz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is damaged"):
        load_npz(path)


@pytest.fixture
def tiny(small):
    """SGD, SGD with momentum and DANA-constant at two sizes with two seeds."""
    base = LADDERS["lstm-ladder"]
    return Ladder(
        "", small.replace(steps=8, evaluation_growth=8.0), (4, 8), base.entries[:3], seeds=(0, 1)
    )


def test_a_ladder_tunes_and_then_trains_the_best_rate(tiny, tmp_path):
    sweep = Sweep(tmp_path)
    first = list(tiny.stage(sweep))
    assert len(first) == 3 * 2 * 3  # optimizers, sizes, rates
    work(sweep, stage=tiny.stage)
    runs = list(sweep.settings().values())
    losses = {sweep.settings()[n].fingerprint: r["validation_loss"] for n, r in
              sweep.finished().items()}  # fmt: skip
    finals = [run for run in runs if run.steps == 8]
    for entry in tiny.entries:
        for width in tiny.widths:
            own = [r for r in runs if (r.optimizer, r.width) == (entry.optimizer, width)]
            tried = [run for run in own if run.steps == 4]
            best = min(tried, key=lambda run: losses[run.fingerprint]).lr
            assert {run.seed for run in finals if run in own and run.lr == best} == {0, 1}
            # Inside the rates that were tried, or as far as a ladder goes.
            rates = sorted(run.lr for run in tried)
            assert rates[0] < best < rates[-1] or len(rates) == 3 + 4
            assert np.allclose(np.diff(np.log2(rates)), 1)
            if entry.optimizer == "sgd":
                matched = [r for r in finals if r.optimizer == "sgd-momentum" and r.width == width]
                assert {run.seed for run in matched if run.lr == pytest.approx(best / 10)} == {0, 1}
    assert work(sweep, stage=tiny.stage).trained == []


def test_a_sweep_remembers_the_ladder_it_climbs(tmp_path, capsys):
    ladder_runs = list(ladder("lstm-ladder").stage(Sweep(tmp_path / "none")))
    sweep = Sweep(tmp_path / "ladder")
    assert sweep.preset is None
    sweep.add(ladder_runs[:2], preset="lstm-ladder")
    sweep.add(ladder_runs[:3])
    assert (sweep.preset, len(sweep.settings())) == ("lstm-ladder", 3)
    # Without its name: the rest of the ladder is wanted all the same.
    assert main(["sweep", "--out", str(sweep.path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert (shown.count("wanted"), shown.count("new")) == (3, len(ladder_runs) - 3)


def test_a_worker_stays_when_another_was_first_to_ask_for_more(small, tmp_path):
    sweep = Sweep(tmp_path)
    more = [small.replace(seed=seed, steps=2) for seed in range(2)]

    def stage(sweep):
        sweep.add(more)  # as another worker does between our question and our answer
        return more

    assert len(work(sweep, stage=stage).trained) == 2


@pytest.mark.parametrize(("best", "tried"), [(5.0, 3), (0.6, 6), (1e3, 7), (1e-9, 7)])
def test_tuning_widens_until_the_best_rate_is_inside(tiny, tmp_path, best, tried):
    sweep = Sweep(tmp_path)
    for _ in range(20):
        wanted = [run for run in tiny.stage(sweep) if run.steps == 4]
        if not sweep.add(wanted):
            break
        for name, run in sweep.settings().items():
            folder = sweep.folder(name)
            folder.path.mkdir(parents=True, exist_ok=True)
            distance = abs(math.log(run.lr / best))
            folder.write_result({"status": "ok", "validation_loss": distance})
    rates = [r.lr for r in wanted if r.optimizer == "sgd" and r.width == 4]
    assert len(rates) == tried


def test_the_ladders_are_as_large_as_they_say():
    from hidim.lab import Shape

    for name in LADDERS:
        plan = ladder(name)
        b = plan.base
        sizes = [
            Shape(b.model, 256, width, b.layers, b.context, b.heads).parameters
            for width in plan.widths
        ]
        assert len(sizes) >= 4
        if name.startswith("lstm"):
            assert sizes[-1] >= 16 * sizes[0]
        assert b.steps * b.tokens_per_step >= 2e6
        list(plan.stage(Sweep("/nowhere")))


def test_the_command_trains_lists_and_joins(text_file, tmp_path, capsys):
    out = ["--out", str(tmp_path / "sweep")]
    flags = f"--data {text_file} --tokens char --width 4 --context 8 --batch-size 4 --steps 3"
    grid = ["--grid", "seed=0,1", "--grid", "lr=0.5"]
    assert main(["sweep", *out, *flags.split(), *grid, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("new") == 2
    assert main(["sweep", *out, *flags.split(), *grid, "--workers", "1"]) == 0
    assert "2 of 2 runs finished, 2 of them now" in capsys.readouterr().out
    assert main(["sweep", *out, "--workers", "1"]) == 0
    assert "2 of 2 runs finished, 0 of them now" in capsys.readouterr().out
    assert main(["sweep", "--out", str(tmp_path / "none"), "--workers", "1"]) == 2
    assert "holds no sweep" in capsys.readouterr().err


@pytest.mark.slow
def test_worker_processes_finish_a_sweep_and_leave_on_sigterm(text_file, tmp_path):
    import subprocess
    import sys

    flags = f"--data {text_file} --tokens char --width 8 --context 8 --batch-size 8 --steps 4000"
    command = [sys.executable, "-m", "hidim", "sweep", "--out", str(tmp_path / "s"), "--workers"]
    first = subprocess.Popen([*command, "2", *flags.split(), "--grid", "seed=0,1,2"])
    runs = tmp_path / "s" / "runs"
    while len(list(runs.glob("*/metrics.jsonl"))) < 2:
        time.sleep(0.2)
    first.terminate()
    assert first.wait() == 128 + signal.SIGTERM
    assert len(list(runs.glob("*/checkpoint.pt"))) == 2
    subprocess.run([*command, "2"], check=True)
    assert len(Sweep(tmp_path / "s").finished()) == 3


# submitit leaves the logs of its debug executor open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_jobs_go_through_submitit(small, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from hidim.lab.sweeps.executors import submit_workers

    sweep = Sweep(tmp_path)
    sweep.add([small.replace(steps=2)])
    (job,) = submit_workers(sweep, 1, cluster="debug")
    assert len(job.result().trained) == 1
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="cannot be submitted to slurm"):
        submit_workers(sweep, 1, cluster="slurm", parameters={"timeout_min": 1})


def test_a_job_is_queued_again_where_it_stood():
    pytest.importorskip("submitit")
    from hidim.lab.sweeps.executors import Worker

    worker = Worker("sweep", "lstm-ladder")
    assert worker.checkpoint().function == worker


def test_an_executor_trains_every_run_and_what_is_wanted_next(small, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from hidim.lab.sweeps.executors import train_with

    alone, sweep = Sweep(tmp_path / "alone"), Sweep(tmp_path / "apart")
    runs = expand(small.replace(steps=5), {"seed": [0, 1]})
    more = expand(small.replace(steps=5), {"seed": [2]})
    alone.add([*runs, *more])
    work(alone)
    sweep.add(runs)
    with ThreadPoolExecutor(2) as threads:
        outcome = train_with(sweep, threads, stage=lambda sweep: more)
    assert not outcome.failed
    assert sorted(outcome.trained) == sorted(alone.finished())
    for name in outcome.trained:
        assert losses(sweep.folder(name).path) == losses(alone.folder(name).path)
    broken = outcome.trained[0]
    sweep.folder(broken).result.unlink()
    sweep.folder(broken).checkpoint.write_bytes(b"broken")
    with ThreadPoolExecutor(1) as threads:
        assert "corrupt" in train_with(sweep, threads).failed[broken]
    with pytest.raises(ValueError, match="`executor`"):
        train_with(sweep, "slurm")


@pytest.mark.slow
def test_dask_workers_that_are_killed_change_no_number(small, tmp_path):
    distributed = pytest.importorskip("distributed")
    from hidim.lab.sweeps.executors import train_with

    alone, sweep = Sweep(tmp_path / "alone"), Sweep(tmp_path / "dask")
    runs = expand(small.replace(steps=100), {"seed": range(4)})
    for one in (alone, sweep):
        one.add(runs)
    work(alone)

    def kill(client):
        while not list(sweep.path.glob("runs/*/checkpoint.pt")):
            time.sleep(0.05)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        killer = threading.Thread(target=kill, args=(client,))
        killer.start()
        outcome = train_with(sweep, client, save_seconds=0.0)
        killer.join()
    assert len(outcome.trained) == 4
    for name in outcome.trained:
        assert losses(sweep.folder(name).path) == losses(alone.folder(name).path)
