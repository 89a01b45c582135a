"""A run that is not finished: go on where nothing happened, look or stop where something did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.fitting import FittedLaw, Run, fit
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import schedule_law
from hidim.fitting.schedules.unfinished import so_far
from tests.fitting.conftest import TRUTH

Make = Callable[..., Run]
UNITS = Units(time=3e-4 * 23500, steps=24000.0, rate=3e-4)


@pytest.fixture(scope="module")
def law(synthetic: Make) -> FittedLaw:
    return fit(
        [synthetic(name, noise=2e-3, seed=k) for k, name in enumerate(("constant", "stage"))]
    )


def changed(run: Run, factor: float, first: float, last: float = np.inf) -> Run:
    """The run with its losses times a factor between two steps."""
    here = (run.steps >= first) & (run.steps <= last)
    return replace(run, loss=np.where(here, factor, 1.0) * run.measured(), notes=())


def other_rate(run: Run) -> Run:
    """The run as if the schedule had not been followed from step 8,000 on."""
    return replace(run, lr=np.where(run.steps > 8000, 3e-4, run.lr), notes=())


def climbing(run: Run) -> Run:
    """The run as if it diverged slowly from step 9,000 on."""
    return replace(run, loss=run.measured() * (1 + np.maximum(run.steps - 9000, 0) / 25_000))


def rewarmed(run: Run) -> Run:
    """The run as if it had been started again at step 8,000, with a warm-up of its own."""
    rise = np.clip((run.steps - 8000) / 1000, 0.05, 1)
    return replace(run, lr=np.where(run.steps > 8000, rise, 1.0) * run.lr, notes=())


@pytest.mark.parametrize(
    ("change", "verdict", "state", "word"),
    [
        (lambda run: run, "go on", "inside", "inside"),
        (lambda run: changed(run, 1.02, 9000), "stop", "above", "harder data"),
        (lambda run: changed(run, 0.98, 9000), "look", "below", "repeated"),
        (lambda run: changed(run, 1.3, 9000, 9400), "go on", "inside", "a spike at steps 9,"),
        (lambda run: changed(run, 1.3, 13_600), "look", "inside", "not over"),
        (climbing, "stop", "above", "its loss climbs, by +"),
        (other_rate, "stop", "inside", "not the schedule's from step 8,"),
        (rewarmed, "look", "inside", "not the schedule's at steps 8,"),
    ],
)
def test_a_run_is_judged_by_its_band(
    change: Callable[[Run], Run],
    verdict: str,
    state: str,
    word: str,
    law: FittedLaw,
    synthetic: Make,
) -> None:
    whole = synthetic("cosine", noise=2e-3, seed=5)
    log = change(whole.until(14_000))
    if change in (other_rate, rewarmed):
        log = replace(log, loss=law.predict(log))
    found = so_far(law, log, whole)
    assert (found.verdict, found.state) == (verdict, state), found.reasons
    assert word in " ".join(found.reasons)
    if state == "inside":
        assert found.since is None
    else:
        assert found.since == pytest.approx(9000, abs=600)
    if found.verdict == "go on":
        end = float(synthetic("cosine", noise=0.0).measured()[-1])
        assert found.band[0] < end < found.band[1]
        assert found.band[1] - found.band[0] < found.planned_band[1] - found.planned_band[0]


@pytest.mark.parametrize(("factor", "where"), [(0.985, "below"), (1.015, "above")])
def test_a_departure_that_is_over_is_told(
    factor: float, where: str, law: FittedLaw, synthetic: Make
) -> None:
    whole = synthetic("cosine", noise=2e-3, seed=5)
    found = so_far(law, changed(whole.until(14_000), factor, 6000, 9000), whole)
    assert (found.verdict, found.state, found.since) == ("look", "inside", None)
    ((first, last, most),) = found.departures
    assert first == pytest.approx(6000, abs=500)
    assert last == pytest.approx(9000, abs=500)
    assert most == pytest.approx(factor - 1, abs=0.003)
    assert f"it was {where} its band at steps" in found.reasons[0]
    assert so_far(law, whole.until(14_000), whole).departures == ()


def test_a_changed_rate_is_judged_where_its_warm_up_ends_between_rows(
    law: FittedLaw, synthetic: Make
) -> None:
    """The rows say that the warm-up ends at 1,024, the words that it does at 1,000: of the rows
    between, which the words have the law speak of, it says nothing at the rate that was logged."""
    steps = np.arange(128.0, 14_001.0, 128.0)
    share = np.clip((steps - 1000) / 23_000, 0, 1)
    lr = 3e-4 * (0.1 + 0.45 * (1 + np.cos(np.pi * share))) * np.minimum(steps / 1000, 1)
    lr = np.where(steps > 8000, 0.5, 1.0) * lr
    early = Run(steps, lr, 3.0 + 9 / steps)
    known = steps >= law.begins(early)
    loss = np.where(known, law.predict(early), early.measured())
    found = so_far(law, Run(steps, lr, loss), "cosine peak=3e-4 end=3e-5 warmup=1000 steps=24000")
    assert found.verdict == "stop"
    assert found.lr_since == pytest.approx(8064)
    assert np.isfinite(found.loss)


def test_a_run_to_match_at_another_rate_is_told(law: FittedLaw, synthetic: Make) -> None:
    log = synthetic("cosine", noise=2e-3, seed=5).until(14_000)
    found = so_far(law, log, synthetic("cosine"), match=synthetic("stage", noise=2e-3, seed=6))
    assert found.match is not None
    since = log.steps[np.flatnonzero(log.lr < 0.98 * 3e-4)[0]]
    assert found.match["lr_since"] == pytest.approx(since, abs=300)
    assert "was run at another rate from step" in found.reasons[-1]
    same = so_far(law, log, synthetic("cosine"), match=synthetic("cosine", noise=2e-3, seed=6))
    assert "lr_since" not in (same.match or {})


def test_words_with_a_warm_up_of_their_own_do_not_differ_from_the_laws(
    law: FittedLaw, synthetic: Make
) -> None:
    """A law's warm-up of 1,000, read off rows, is no second opinion on what words say."""
    log = synthetic("cosine", noise=2e-3, seed=5).until(14_000)
    plan = "cosine peak=3e-4 end=3e-5 warmup=1010 steps=23936"
    assert so_far(law, log, plan).verdict == "go on"


def test_tokens_of_a_run_that_goes_on_are_counted_by_its_rate(
    synthetic: Make, tmp_path: Path, law: FittedLaw, capsys: pytest.CaptureFixture[str]
) -> None:
    log = synthetic("cosine", noise=2e-3, seed=5).until(14_000)
    rows = [
        f"{s * 5e5:.0f},{r:.9g},{y:.6g}"
        for s, r, y in zip(log.steps, log.lr, log.measured(), strict=True)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["step,lr,loss", *rows]))
    law.save(tmp_path / "law.json")
    plan = "cosine peak=3e-4 end=3e-5 warmup=1000 steps=23936"
    command = ["forecast", str(tmp_path / "law.json"), "--so-far", str(tmp_path / "log.csv")]
    assert main([*command, "--schedule", plan]) == 2
    told = capsys.readouterr().err
    assert "makes its rates those of the schedule" in told
    scale = told.partition("--step-scale ")[2].split()[0]
    assert float(scale) == pytest.approx(2e-6, rel=0.01)
    assert main([*command, "--schedule", plan, "--step-scale", scale, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "go on"


def test_a_law_of_another_model_is_told_and_its_band_widened(
    law: FittedLaw, synthetic: Make
) -> None:
    """A smaller model: another floor and scale, so that the log lies off the law throughout."""
    whole = synthetic("cosine", noise=2e-3, seed=5)
    other = replace(whole, loss=(whole.measured() - 0.3) ** 1.05, notes=())
    found = so_far(law, other.until(12_000), whole)
    assert (found.verdict, found.state, found.law_fits) == ("look", "below", False)
    assert "does not fit this log from its first row on" in found.reasons[0]
    assert "Fit one to runs like this" in found.reasons[0]
    clean = synthetic("cosine", noise=0.0).measured()[-1]
    assert found.band[0] < (clean - 0.3) ** 1.05 < found.band[1]
    own = so_far(law, whole.until(12_000), whole).band
    assert np.log(found.band[1] / found.band[0]) > 3 * np.log(own[1] / own[0])
    bits = replace(whole, loss=whole.measured() / np.log(2), notes=())
    with pytest.raises(ValueError, match=r"1\.44 times .*bits\? --loss-scale 0\.693"):
        so_far(law, bits.until(12_000), whole)


@pytest.mark.parametrize("share", [0.15, 0.3])
@pytest.mark.parametrize("how", ["at once", "ever more"])
@pytest.mark.parametrize("every", [1, 4])
def test_a_run_that_diverges_early_is_stopped_and_is_of_no_other_unit(
    share: float, how: str, every: int, law: FittedLaw, synthetic: Make
) -> None:
    """Most rows lie far above the law, as in another unit; the first do not."""
    whole = synthetic("cosine", noise=2e-3, seed=5)
    log = whole.until(16_000)
    since = share * log.steps[-1]
    risen = np.clip(1 + (log.steps - since) / since, 1, 4)
    factor = risen if how == "ever more" else np.where(log.steps > since, 1.6, 1.0)
    rows = slice(None, None, every)
    log = Run(log.steps[rows], log.lr[rows], (factor * log.measured())[rows], log.rate.warmup_steps)
    found = so_far(law, log, whole)
    assert (found.verdict, found.state, found.law_fits) == ("stop", "above", True), found.reasons
    assert found.since == pytest.approx(since, abs=1000)
    assert "diverged" in found.reasons[-1]


@pytest.mark.parametrize(("name", "last"), [("cosine", 14_000), ("stage", 9500)])
def test_a_law_of_another_response_is_told_and_its_band_holds_the_end(
    name: str, last: float, answering: list[FittedLaw], synthetic: Make
) -> None:
    whole = synthetic(name, noise=2e-3, seed=9)
    for wrong in answering:
        found = so_far(wrong, whole.until(last), whole)
        assert not found.law_fits
        assert "answers to the rate otherwise" in found.reasons[0]
        end = float(synthetic(name, noise=0.0).measured()[-1])
        assert found.band[0] < end < found.band[1]


@pytest.fixture(scope="module")
def answering(synthetic: Make) -> list[FittedLaw]:
    """Laws by which the loss gives back half or twice of what it does as the rate falls."""
    runs = [synthetic(n, noise=2e-3, seed=k) for k, n in enumerate(("constant", "stage"))]
    return [fit([_answering(run, factor) for run in runs]) for factor in (0.5, 2.0)]


def _answering(run: Run, factor: float) -> Run:
    """A run whose loss answers to the rate by `factor` of what it does in truth."""
    truth, other = (
        schedule_law("fsl").evaluate(
            TRUTH + shift * (np.arange(len(TRUTH)) == 3), UNITS.clock(run.rate, run.steps)
        )[0]
        for shift in (0.0, np.log(factor))
    )
    return replace(run, loss=run.measured() * other / truth, notes=())


def test_the_band_of_the_end_narrows_with_what_was_seen(law: FittedLaw, synthetic: Make) -> None:
    whole = synthetic("cosine", noise=2e-3, seed=5)
    widths = []
    for last in (4000, 12_000, 20_000):
        band = so_far(law, whole.until(last), whole).band
        widths.append(band[1] - band[0])
    assert widths[0] > widths[1] > widths[2]


def test_a_run_beside_the_one_it_should_repeat(law: FittedLaw, synthetic: Make) -> None:
    whole = synthetic("cosine", noise=2e-3, seed=5)
    match = synthetic("cosine", noise=2e-3, seed=6)
    found = so_far(law, whole.until(14_000), whole, match=match)
    assert found.verdict == "go on"
    assert found.match is not None
    assert abs(found.match["difference"]) < 2 * found.match["error"]
    other = so_far(law, changed(whole.until(14_000), 1.01, 0), whole, match=match)
    assert "does not match" in " ".join(other.reasons)


def test_what_cannot_be_judged_is_refused(law: FittedLaw, synthetic: Make) -> None:
    whole = synthetic("cosine")
    with pytest.raises(ValueError, match="are needed"):
        so_far(law, whole.until(1500), whole)
    with pytest.raises(ValueError, match="beyond the schedule"):
        so_far(law, whole, whole.until(12_000))


def test_the_command_says_stop_or_go_on(
    law: FittedLaw, synthetic: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    law.save(tmp_path / "law.json")
    run = synthetic("wsd", noise=2e-3, seed=7).until(14_000)
    rows = np.stack([run.steps, run.lr, run.measured()], 1)
    for name, factor in (("fine", 1.0), ("late", 1.02)):
        rows[60:, 2] *= factor
        np.savetxt(
            tmp_path / f"{name}.csv", rows, delimiter=",", header="step,lr,loss", comments=""
        )
    words = "wsd peak=3e-4 end=3e-5 warmup=1000 decay=20% shape=exponential steps=24000"
    command = ["forecast", str(tmp_path / "law.json"), "--schedule", words, "--so-far"]
    assert main([*command, str(tmp_path / "fine.csv")]) == 0
    assert "\ngo on: inside its band\n" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "late.csv"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "stop"
    assert answer["since"] == pytest.approx(run.steps[60], abs=600)
    assert answer["band"][0] < answer["loss"] < answer["band"][1]
    assert main(["forecast", "--so-far", str(tmp_path / "fine.csv"), "--schedule", words]) == 2
    assert "has not changed yet" in capsys.readouterr().err
    assert main(["forecast", "--so-far", str(tmp_path / "fine.csv")]) == 2
    assert "needs --schedule" in capsys.readouterr().err
    rows[:, 2] *= 1.1
    np.savetxt(tmp_path / "other.csv", rows, delimiter=",", header="step,lr,loss", comments="")
    assert main(["forecast", str(tmp_path / "law.json"), str(tmp_path / "other.csv")]) == 0
    assert "0% of the measured rows lie in the band" in capsys.readouterr().out


def test_a_run_to_match_has_the_warm_up_of_the_schedule(
    synthetic: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {"match": synthetic("stage", seed=1), "log": synthetic("constant", seed=2).until(7900)}
    for name, run in runs.items():  # rows after the warm-up, of which they say nothing
        rows = np.stack([run.steps, run.lr, run.measured()], 1)[1:]
        np.savetxt(tmp_path / f"{name}.csv", rows, "%.8g", ",", header="step,lr,loss", comments="")
    command = ["forecast", "--so-far", str(tmp_path / "log.csv")]
    command += ["--match", str(tmp_path / "match.csv"), "--schedule"]
    assert main([*command, "constant peak=3e-4 warmup=1000 steps=24000"]) == 0
    out = capsys.readouterr().out
    assert "go on: inside its band" in out
    assert "match is taken to have the schedule's warm-up" in out
