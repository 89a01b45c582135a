"""Lines without a step stand where the progress bar beside them, however seldom drawn, says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import read_run

STEPS = np.arange(50, 24_001, 50)
LR = 3e-4 * (0.1 + 0.45 * (1 + np.cos(np.pi * np.clip((STEPS - 2000) / 22_000, 0, 1))))
LR = np.where(STEPS < 2000, 3e-4 * STEPS / 2000, LR)
LOSS = np.round(2.5 + 4 / np.sqrt(STEPS / 10), 4)
END = "{'train_runtime': 20000.0, 'train_loss': 2.9, 'epoch': 3.0}\n"


def bar(step: int, total: int = 24_000) -> str:
    return f"\r  9%|#    | {step}/{total} [10:00<3:20:00,  1.20it/s]"


def printed(drawn: Callable[[int], bool], *, first: int = 0, extra: str = "") -> str:
    """What the Hugging Face Trainer prints, with its bar where `drawn` says of a step."""
    out = [bar(first)]
    for step, lr, loss in zip(STEPS.tolist(), LR.tolist(), LOSS.tolist(), strict=True):
        if step > first:
            out += [bar(s) for s in range(step - 49, step + 1) if drawn(s)]
            record = {"loss": loss, "grad_norm": 0.5, "learning_rate": lr, "epoch": step / 8000}
            out.append(f"\n{record}\n{extra}")
    return "".join(out)


def kilo(step: int) -> bool:
    return step % 1000 == 0


@pytest.mark.parametrize(
    "text",
    [
        printed(kilo),
        printed(kilo) + END + bar(24_000),
        printed(lambda s: s % 300 == 0),
        printed(lambda s: s % 7919 == 0) + bar(24_000),
        printed(kilo, extra=bar(40, 125) + bar(125, 125) + "\n{'eval_loss': 3.0, 'epoch': 1.0}\n"),
        bar(50_000, 50_000) + "\n" + printed(kilo) + END,
    ],
    ids=["kilo", "ended", "every 300", "seldom", "validation", "data first"],
)
def test_a_bar_drawn_seldom_tells_the_distance_of_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "hf.log").write_text(text)
    run = read_run(tmp_path / "hf.log", averaged="no")
    assert np.array_equal(run.steps, STEPS)
    assert np.allclose(run.measured(), LOSS)
    assert np.allclose(run.lr, LR)
    assert any("a line every 50 agrees" in note for note in run.notes)


def test_a_resumed_part_begins_at_its_bar(tmp_path: Path) -> None:
    (tmp_path / "hf.log").write_text(printed(kilo, first=6000) + END)
    run = read_run(tmp_path / "hf.log", averaged="no")
    assert np.array_equal(run.steps, STEPS[STEPS > 6000])


def test_where_bars_say_too_little_the_remedy_works(tmp_path: Path) -> None:
    lines = printed(lambda _: False).replace(bar(0), "")
    (tmp_path / "hf.log").write_text("".join(map(bar, range(0, 24_001, 1000))) + lines + END)
    with pytest.raises(ValueError, match=r"every how many steps .* --step-scale N"):
        read_run(tmp_path / "hf.log")
    run = read_run(tmp_path / "hf.log", averaged="no", step_scale=50)
    assert np.array_equal(run.steps, STEPS)
    assert np.allclose(run.measured(), LOSS)


def test_a_run_that_repeats_some_steps_asks_for_them(tmp_path: Path) -> None:
    before = printed(kilo).partition("'loss': 2.8322")[0]  # step 1,450
    before = before[: before.rindex("{")]
    (tmp_path / "hf.log").write_text(before + printed(kilo, first=1000) + END)
    with pytest.raises(ValueError, match="resumed run: write a column of steps"):
        read_run(tmp_path / "hf.log")
