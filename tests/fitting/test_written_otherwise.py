"""Powers of ten in names, brackets about numbers, decimal commas, samples of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hidim.algorithms.words import read_words
from hidim.fitting import read_run

STEPS = np.arange(100, 6001, 100)
LR = 3e-4 * (1 - 0.9 * (STEPS - 100) / 5900)
LOSS = np.round(2.5 + 4 / np.sqrt(STEPS), 4)
Line = Callable[[int, float, float], str]


def written(path: Path, line: Line, head: str = "") -> Path:
    rows = zip(STEPS.tolist(), LR.tolist(), LOSS.tolist(), strict=True)
    path.write_text(head + "".join(f"{line(*row)}\n" for row in rows))
    return path


def is_read(path: Path, **how: object) -> None:
    run = read_run(path, **how)
    assert np.array_equal(run.steps, STEPS)
    assert np.allclose(run.lr, LR, rtol=1e-4)
    assert np.allclose(run.measured(), LOSS)


@pytest.mark.parametrize(
    "name", ["lr x 1e4", "lr*10^4", "LR (x1e4)", "lr (1e-4)", "1e4 lr", "1e4*lr"]
)
def test_a_rate_is_none_of_thousands(name: str, tmp_path: Path) -> None:
    line: Line = lambda s, r, y: f"{s},{1e4 * r:.6f},{y}"  # noqa: E731
    is_read(written(tmp_path / "log.csv", line, f"step,{name},loss\n"))


@pytest.mark.parametrize(
    "line",
    [
        lambda s, r, y: f"step {s} | loss {y} | lr x 1e4 {1e4 * r:.5f}",
        lambda s, r, y: f"step: {s}, loss: {y}, lr(x1e4): {1e4 * r:.5f}",
        lambda s, r, y: f"step: {s}, loss: {y}, lr: {1e4 * r:.5f} x 1e-4",
        lambda s, r, y: f"step: {s}, loss: {y}, lr: {1e4 * r:.5f} × 10^-4",
        lambda s, r, y: f"Step[{s}] Loss[{y}] LR[{r:.8g}]",
        lambda s, r, y: f"Step<{s}> Loss<{y}> LR<{r:.8g}>",
        lambda s, r, y: f"Step ({s}) Loss ({y}) learning rate ({r:.8g})",
    ],
)
def test_numbers_in_brackets_and_times_a_power_are_read(line: Line, tmp_path: Path) -> None:
    is_read(written(tmp_path / "out.log", line))


def test_a_number_of_a_group_is_no_rate(tmp_path: Path) -> None:
    line: Line = lambda s, r, y: f"step {s} loss {y} (7.1) lr[0]: {r:.8g}"  # noqa: E731
    is_read(written(tmp_path / "out.log", line))


def comma(text: str) -> str:
    return text.replace(".", ",")


@pytest.mark.parametrize(
    ("line", "head"),
    [
        (lambda s, r, y: comma(f"{s};{r:.8f};{y}"), "step;lr;loss\n"),
        (lambda s, r, y: comma(f"{s}\t{r:.6e}\t{y}"), "step\tlr\tloss\n"),
    ],
)
def test_decimal_commas_are_read_where_all_agree(line: Line, head: str, tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", line, head)
    is_read(path)
    assert "decimal commas read" in read_run(path).notes


def test_points_of_thousands_beside_decimal_commas_are_read(tmp_path: Path) -> None:
    def line(s: int, r: float, y: float) -> str:
        return f"{s:,}".replace(",", ".") + ";" + comma(f"{r:.8f};{y}")

    is_read(written(tmp_path / "log.csv", line, "step;lr;loss\n"))


@pytest.mark.parametrize(
    "line",
    [
        lambda s, r, y: f"{s};{r:.8f};{comma(str(y))}",  # points too
        lambda s, r, y: f"{s:,};{r:.8f};{y}",
        lambda s, r, y: f"{10 * s:,};{comma(f'{r:.8f}')};{comma(str(y))}",  # thousands of steps
    ],
)
def test_commas_that_may_be_two_things_are_refused(line: Line, tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", line, "step;lr;loss\n")
    with pytest.raises(ValueError, match=r"not a number: write"):
        read_run(path)


def test_samples_of_an_epoch_are_steps_by_the_batch(tmp_path: Path) -> None:
    def line(s: int, r: float, y: float) -> str:
        epoch, at = divmod(64 * s - 1, 128_000)
        return f"Train Epoch: {epoch + 1} [{at + 1}/128000 ({at / 1280:.0f}%)]\tLoss: {y}\tlr: {r}"

    path = written(tmp_path / "out.log", line)
    with pytest.raises(ValueError, match=r"--columns step=samples, .* --step-scale 1/BATCH"):
        read_run(path)
    is_read(path, columns={"step": "samples"}, step_scale=1 / 64)


def test_settings_of_nanogpt_are_its_cosine() -> None:
    settings = "learning_rate=6e-4 min_lr=6e-5 warmup_iters=2000 lr_decay_iters=500000"
    found = read_words(f"{settings} max_iters=600000 decay_lr=True")
    assert found.meant == "cosine peak=0.0006 end=6e-05 warmup=2000 steps=600000 until=500000"
    with pytest.raises(ValueError, match="begins with its kind"):  # Megatron's, of another kind
        read_words("lr=6e-4 min_lr=6e-5 lr_warmup_iters=2000 lr_decay_iters=600000")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("linear warmup 2000 steps, cosine from 3e-4 to 3e-5 over 24000 steps", "cosine"),
        ("linear warmup 2000 steps then constant peak 3e-4 steps 24000", "constant"),
        ("linear warmup=2000 peak=3e-4 steps=24000", "linear"),
        ("linear peak=3e-4 warmup=2000 steps=24000", "linear"),
    ],
)
def test_a_linear_warm_up_is_no_linear_schedule(words: str, kind: str) -> None:
    found = read_words(words)
    assert found.meant.startswith(f"{kind} peak=0.0003")
    assert found.warmup == 2000
