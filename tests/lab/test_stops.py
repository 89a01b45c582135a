"""Claims about runs that are stopped, killed or refused: nothing is lost or becomes another."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from forks import fork

from hidim.cli.main import main
from hidim.lab import RunFolder, train
from hidim.lab.sweeps.sweep import Sweep, expand
from hidim.lab.training import entry
from hidim.lab.training.locks import take
from hidim.lab.training.signals import STOPPING
from hidim.lab.training.store import Busy, Metrics, load_checkpoint


def losses(folder):
    rows = RunFolder(folder).rows()
    return [(row["step"], row["train_loss"], row["validation_loss"]) for row in rows]


def signalling(number, at=18):
    def send(row):
        if row["step"] == at:
            signal.raise_signal(number)

    return send


@pytest.mark.parametrize("number", STOPPING, ids=lambda number: signal.Signals(number).name)
def test_every_signal_that_asks_to_stop_saves_and_the_exit_code_says_so(
    number, small, tmp_path, monkeypatch
):
    """Each of HUP, INT, TERM, USR1, USR2, QUIT (and XCPU); of a sweep the slow test below."""
    before = signal.getsignal(number)
    monkeypatch.setattr("hidim.cli.train._Rows", lambda *given: signalling(number, 4))
    flags = f"--width 4 --context 8 --batch-size 8 --steps 8 --lr 1 --data {small.data}".split()
    assert main(["train", "--out", str(tmp_path / "run"), *flags]) == 128 + number
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 5  # the step is ended
    assert signal.getsignal(number) == before
    # That what goes on ends in the same bits is shown in test_training.
    assert train(None, tmp_path / "run", resume=True).status == "ok"


def test_all_six_signals_are_among_those_that_stop():
    asked = {f"SIG{name}" for name in ["HUP", "INT", "TERM", "USR1", "USR2", "QUIT"]}
    assert asked <= {signal.Signals(number).name for number in STOPPING}


def test_a_signal_that_was_ignored_stays_ignored(small, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        end = train(small, tmp_path / "run", loggers=[signalling(signal.SIGHUP)])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert end.status == "ok"


def test_whoever_handles_a_signal_decides_after_the_run_is_saved(small, tmp_path):
    """As submitit does: it queues the job again and exits, or lets it go on."""
    folder, seen = RunFolder(tmp_path / "run"), []

    def handler(number, frame):
        seen.append(folder.checkpoint.exists())
        if len(seen) == 2:
            sys.exit(144)

    before = signal.signal(signal.SIGUSR2, handler)
    try:
        with pytest.raises(SystemExit, match="144"):
            train(
                small,
                folder.path,
                loggers=[signalling(signal.SIGUSR2, 5), signalling(signal.SIGUSR2, 18)],
            )
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [True, True]
    train(None, folder.path, resume=True)
    train(small, tmp_path / "whole")
    assert losses(folder.path) == losses(tmp_path / "whole")


def test_a_signal_and_its_echo_are_one(small, tmp_path):
    twice = [signalling(signal.SIGTERM, 2), signalling(signal.SIGTERM, 2)]
    assert train(small.replace(steps=8), tmp_path / "run", loggers=twice).status == "stopped"


def killed_while_reading(settings, folder, monkeypatch):
    """A run killed -9 while its text is read."""

    def slow(*given, **how):
        time.sleep(60)

    with monkeypatch.context() as patched:
        patched.setattr("hidim.lab.training.entry.load_tokens", slow)
        child = fork(lambda: train(settings, folder))
        while not RunFolder(folder).started:
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_run_killed_while_its_text_is_read_is_the_run_that_resumes(
    small, tmp_path, monkeypatch, capsys
):
    killed_while_reading(small, tmp_path / "run", monkeypatch)
    folder = RunFolder(tmp_path / "run")
    assert folder.settings() == small
    assert not folder.begun
    with pytest.raises(ValueError, match=r"`lr` is 2\.0"):
        train(small.replace(lr=2.0), folder.path, resume=True)
    assert main(["train", "--out", str(folder.path), "--resume"]) == 0
    train(small, tmp_path / "whole")
    assert losses(folder.path) == losses(tmp_path / "whole")
    # Who asks anew, for another run, gets that one.
    killed_while_reading(small, tmp_path / "other", monkeypatch)
    train(small.replace(steps=3), tmp_path / "other")
    assert RunFolder(tmp_path / "other").settings().steps == 3


def test_resuming_nothing_trains_nothing(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").touch()
    for folder in ("run", "never"):
        assert main(["train", "--out", str(tmp_path / folder), "--resume"]) == 2
        error = capsys.readouterr().err
        assert "no run to go on with" in error
        assert len(error.splitlines()) == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


@pytest.mark.parametrize("asked", ["exp/rnu", "epx/run", "./exp/../exp/Run", "exp/run/", "exp"])
def test_a_slip_in_the_folder_trains_nothing_and_is_told_what_is_near(
    asked, small, tmp_path, monkeypatch, capsys
):
    """With settings beside it, too, where these are of the run that was meant."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder("exp/run")
    with folder.claim():
        folder.write_config({"settings": small.to_dict(), "text": {}})
    if asked == "exp/run/":
        assert main(["train", "--out", asked, "--resume", "--steps", "3"]) == 2  # of other steps
        assert "`steps` is 3" in capsys.readouterr().err
        return
    of_the_run = ["--steps", str(small.steps), "--data", small.data]
    for flags in [[], of_the_run] if asked != "exp" else [[]]:
        assert main(["train", "--out", asked, "--resume", *flags]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert ("run' holds one" in error) == (asked != "exp")
        assert "--resume or-begin" in error
        assert len(list(tmp_path.rglob("*"))) == 4  # exp, run, its config and its lock


def test_one_command_begins_and_goes_on(small, tmp_path, capsys):
    flags = ["--width", "4", "--context", "8", "--batch-size", "8", "--steps", "4", "--lr", "1"]
    run = ["train", "--out", str(tmp_path / "run"), "--data", small.data, *flags]
    for word in (["or-begin"], []):  # [] beside a run of nearly that name and other settings, too
        for said in ("a new one begins", ""):
            assert main([*run, "--resume", *word]) == 0
            assert said in capsys.readouterr().err
            RunFolder(tmp_path / "run").result.unlink()
        (tmp_path / "run").rename(tmp_path / f"run{len(run)}")
        run += ["--seed", "1"]


def test_resume_says_where_the_folder_is_given(tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "run"), "--resume", "old/run"]) == 2
    error = capsys.readouterr().err
    assert "--resume takes no folder, only or-begin, and got 'old/run'" in error
    assert not list(tmp_path.iterdir())


def test_a_refused_run_leaves_the_folder_free(small, tmp_path):
    with pytest.raises(ValueError, match="neither a file"):
        train(small.replace(data="/no/such/file"), tmp_path / "run")
    train(small.replace(steps=2), tmp_path / "run")


@pytest.fixture
def read_only(small, tmp_path):
    """A finished run whose folder refuses every new file, also to root."""
    train(small.replace(steps=3), tmp_path / "sweep" / "run")
    folder = tmp_path / "sweep"

    def refuse(path, *given, **how):
        raise OSError(30, "Read-only file system", str(path))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hidim.lab.training.store.take", refuse)
        patched.setattr("hidim.lab.reports.tables.write_with", refuse)
        yield folder


def test_a_finished_run_is_read_where_nothing_can_be_written(read_only, small, capsys):
    run = str(read_only / "run")
    assert main(["train", "--out", run, "--resume"]) == 0
    assert "ok: 3 steps" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"`lr` is 2\.0"):
        train(small.replace(steps=3, lr=2.0), run, resume=True)
    pytest.importorskip("duckdb")
    assert main(["report", str(read_only), "--sql", "select max(step) as last from metrics"]) == 0
    shown = capsys.readouterr()
    assert shown.out.split() == ["last", "3"]
    assert "was not written" in shown.err


@pytest.mark.parametrize("line", ["[1,2]", "{}", '{"step": "x"}', "7", "\xff"])
def test_a_last_line_that_is_no_row_is_named(line, small, tmp_path):
    train(small.replace(steps=2), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.result.unlink()
    with open(folder.metrics, "ab") as stream:
        stream.write(line.encode("latin-1") + b"\n")
    with pytest.raises(ValueError, match=r"line 4 of .*metrics\.jsonl' is damaged"):
        train(None, folder.path, resume=True)


@pytest.mark.parametrize("name", ["config.json", "result.json"])
@pytest.mark.parametrize("content", ["[]", "{}", '{"settings": 3}', '{"settings": {"steps": {}}}'])
def test_damaged_records_are_one_line(name, content, small, tmp_path, capsys):
    train(small.replace(steps=2), tmp_path / "run")
    (tmp_path / "run" / name).write_text(content)
    assert main(["train", "--out", str(tmp_path / "run"), "--resume"]) == 2
    error = capsys.readouterr().err
    assert "is damaged" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("size", [0, 3000])
def test_a_limit_on_file_sizes_names_the_file(size, small, tmp_path):
    """Ends in one line that names a file of the run; without the limit the run goes on."""
    run = tmp_path / "run"

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        with pytest.raises((OSError, ValueError), match=str(run)) as caught:
            train(small, run, resume=True)
        assert "\n" not in str(caught.value)

    assert os.waitpid(fork(limited), 0)[1] == 0
    assert train(small, run, resume=True).status == "ok"


@pytest.mark.parametrize("lost", ["full", "left"])
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_reader_that_left_ends_no_training(lost, command, small, tmp_path):
    """Its rows are in the folder: `| head`, and a log on a full disk, lose a view alone."""
    if lost == "full" and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")

    def unseen():
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(os.open("/dev/full", os.O_WRONLY) if lost == "full" else writer, 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        flags = f"--width 4 --context 8 --batch-size 4 --steps 4 --lr 1 --data {small.data}"
        more = ["--workers", "1", "--grid", "seed=0,1"] if command == "sweep" else []
        assert main([command, "--out", str(tmp_path / "it"), *flags.split(), *more]) == 0

    assert os.waitpid(fork(unseen), 0)[1] == 0
    assert len(list((tmp_path / "it").rglob("result.json"))) == (2 if command == "sweep" else 1)


def test_what_a_logger_raises_costs_no_step(small, tmp_path):
    def full(row):
        if row["step"] == 18:
            raise OSError(28, "No space left on device", "events")

    with pytest.raises(OSError, match="events"):
        train(small, tmp_path / "run", loggers=[full])
    rows = RunFolder(tmp_path / "run").rows()
    train(None, tmp_path / "run", resume=True)
    train(small, tmp_path / "whole")
    assert [row["step"] for row in rows][-1] == 18
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 40
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_lock_that_was_cleared_away_is_held_again_or_known_to_be_lost(small, tmp_path):
    """As by what removes old files from scratch disks."""
    folder = RunFolder(tmp_path / "run")
    lock = folder.path / "lock"

    def remove(row):
        if row["step"] == 2:
            lock.unlink()

    train(small.replace(steps=4), folder.path, save_seconds=0.0, loggers=[remove])
    assert lock.exists()
    with folder.claim():
        lock.unlink()
        other = take(lock, wait=False)
        with pytest.raises(Busy, match="was removed, and another process"):
            folder.keep()
        other.release()


def test_no_file_is_written_once_the_lock_is_lost(small, tmp_path, monkeypatch):
    """Nor is another run renamed by one whose text took as long to read."""
    folder = RunFolder(tmp_path / "run")
    with folder.claim():
        folder.write_config({"settings": {}})
        metrics = Metrics(folder)
        folder.path.joinpath("lock").unlink()
        other = take(folder.path / "lock", wait=False)
        for write in (
            lambda: folder.write_config({"settings": {"lr": 2.0}}),
            lambda: folder.write_result({"status": "ok"}),
            lambda: metrics.append({"step": 0}),
            lambda: Metrics(folder),
        ):
            with pytest.raises(Busy, match="was removed, and another process"):
                write()
        metrics.close()
        other.release()
    assert folder.read_config() == {"settings": {}}
    assert folder.rows() == []
    assert not folder.finished

    def read(*given, **how):
        (tmp_path / "slow" / "lock").unlink()
        if finished:
            train(small.replace(steps=2), tmp_path / "slow")
        else:
            held.append(take(tmp_path / "slow" / "lock", wait=False))
        return load_tokens(small)

    load_tokens, held = entry.load_tokens, []
    for finished in (False, True):
        monkeypatch.setattr(entry, "load_tokens", lambda *given: monkeypatch.undo() or read())
        with pytest.raises(Busy):
            train(small, tmp_path / "slow")
        assert RunFolder(tmp_path / "slow").settings().steps == (2 if finished else small.steps)
        if held:
            held.pop().release()


@pytest.mark.parametrize("left", ["result.json", "checkpoint.pt"])
def test_what_another_process_did_while_the_lock_was_lost_is_not_overwritten(left, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.claim():
        folder.save({"step": 1})
        (folder.path / "lock").unlink()
        folder.keep()  # nobody came
        (folder.path / "lock").unlink()
        other = RunFolder(folder.path)
        with other.claim():
            other.save({"step": 2}) if left == "checkpoint.pt" else other.write_result({})
        with pytest.raises(Busy, match="went on with the run meanwhile"):
            folder.keep()


def test_a_disk_that_is_full_is_a_failed_run_of_a_sweep(small, tmp_path, monkeypatch):
    from hidim.lab.sweeps.sweep import work

    sweep = Sweep(tmp_path)
    sweep.add([small.replace(steps=2)])

    def full(self, row):
        raise OSError(28, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr("hidim.lab.training.store.Metrics.append", full)
    (reason,) = work(sweep).failed.values()
    assert "metrics.jsonl" in reason


@pytest.mark.parametrize(
    "question",
    [
        "from read_text('/etc/passwd')",
        "from '/etc/passwd'",
        "from rows",
        "copy metrics to 'out.csv'",
        "attach 'new.db'",
        "export database 'out'",
        "install httpfs",
        "load httpfs",
        "from 'http://127.0.0.1:9/a.csv'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "select 1; copy (select 1) to 'out.csv'",
        "create persistent secret s (type s3)",
        "",
        "--",
    ],
)
def test_a_question_sees_the_table_and_nothing_else(question, small, tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    from test_report import plant

    from hidim.lab.reports.measured import query

    plant(tmp_path / "runs" / "one", small, lambda tokens: 2.0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="`sql`") as caught:
        query("runs", question)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert query("runs", "select count(distinct run) from metrics")[1] == [(1,)]


@pytest.fixture
def long_sweep(text_file, tmp_path):
    flags = f"--data {text_file} --tokens char --width 8 --context 8 --batch-size 8 --steps 200000"
    command = [sys.executable, "-m", "hidim", "sweep", "--out", str(tmp_path / "s")]
    return [*command, "--workers", "2", *flags.split(), "--grid", "seed=0,1"]


def workers_of(folder):
    """Process ids of the workers of a sweep."""
    shown = subprocess.check_output(["ps", "-eww", "-o", "pid,args"], text=True)
    lines = [line for line in shown.splitlines() if f"sweep --out {folder} --worker" in line]
    return [int(line.split()[0]) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_workers_die_with_their_parent(training, long_sweep, tmp_path):
    """Parent killed by -9, while workers start and while they train: none is left after 10 s."""
    parent = subprocess.Popen(long_sweep)
    runs = tmp_path / "s" / "runs"
    while len(workers_of(tmp_path / "s")) < 2 or (
        training and len(list(runs.glob("*/metrics.jsonl"))) < 2
    ):
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    killed = time.monotonic()
    while workers_of(tmp_path / "s"):
        assert time.monotonic() - killed < 10
        time.sleep(0.1)
    if training:
        assert len(list(runs.glob("*/checkpoint.pt"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", STOPPING, ids=lambda number: signal.Signals(number).name)
def test_a_sweep_passes_signals_on_and_its_exit_code_says_so(number, long_sweep, tmp_path):
    """Each of HUP, INT, TERM, USR1, USR2, QUIT sent to the command: every worker's run is saved."""
    parent = subprocess.Popen(long_sweep)
    runs = tmp_path / "s" / "runs"
    while len(list(runs.glob("*/metrics.jsonl"))) < 2:
        time.sleep(0.1)
    parent.send_signal(number)
    assert parent.wait(timeout=30) == 128 + number
    assert len(list(runs.glob("*/checkpoint.pt"))) == 2
    assert not workers_of(tmp_path / "s")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("interrupted", ["preempted", "out of time"])
def test_a_job_of_submitit_is_queued_again_and_goes_on(interrupted, small, tmp_path):
    """By its local executor, which runs jobs, signals them and queues them again as Slurm does."""
    pytest.importorskip("submitit")
    from hidim.lab.sweeps.executors import submit_workers

    alone, sweep = Sweep(tmp_path / "alone"), Sweep(tmp_path / "jobs")
    runs = expand(small.replace(steps=2500), {"seed": [0, 1]})
    for one in (alone, sweep):
        one.add(runs)
    # Submitit takes a signal in the last fifth or ten minutes of the time asked for as its end.
    minutes = 60 if interrupted == "preempted" else 5
    (job,) = submit_workers(sweep, 1, cluster="local", parameters={"timeout_min": minutes})
    while not list(sweep.path.glob("runs/*/metrics.jsonl")):
        time.sleep(0.1)
    time.sleep(0.5)
    # To the job itself, as Slurm does; the first process is submitit's controller.
    (worker,) = subprocess.check_output(["pgrep", "-P", job.job_id], text=True).split()
    os.kill(int(worker), signal.SIGTERM)
    os.kill(int(worker), signal.SIGUSR2)
    outcome = job.result()
    assert len(sweep.finished()) == 2
    assert outcome.signal is None
    log = job.paths.stderr.read_text()
    assert f"this job is {interrupted.replace('out of time', 'timed-out')}" in log
    from hidim.lab.sweeps.sweep import work

    work(alone)
    for name in alone.finished():
        assert losses(sweep.folder(name).path) == losses(alone.folder(name).path)
