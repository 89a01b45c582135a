"""TensorBoard's files: resumed runs, rates logged seldom, folders of trainers, and speed."""

from __future__ import annotations

import math
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import read_run

STEPS = list(range(100, 6001, 100))


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def block(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def plain(value: float) -> bytes:
    """A simple value, as torch writes it."""
    return varint(2 << 3 | 5) + struct.pack("<f", value)


def tensor(value: float) -> bytes:
    """A scalar tensor with its metadata, as TensorFlow 2 writes it."""
    return block(8, b"\x08\x01\x12\x00" + block(5, struct.pack("<f", value))) + block(
        9, block(1, block(1, b"scalars"))
    )


def event(step: int, tag: str, value: bytes) -> bytes:
    body = varint(9) + struct.pack("<d", 1.0 + step) + varint(16) + varint(step)
    body += block(5, block(1, block(1, tag.encode()) + value))
    return struct.pack("<Q", len(body)) + b"\0" * 4 + body + b"\0" * 4


def rate(step: int) -> float:
    return 3e-4 * min(step / 1000, 1.0)


def loss(step: int) -> float:
    return 2.5 + 30 * step**-0.5


def write(path: Path, steps: list[int], *, every: int = 1, add: float = 0.0, form=plain) -> None:
    """Losses at all steps and the rate at every so many of them."""
    out = b""
    for k, step in enumerate(steps):
        out += event(step, "train/loss", form(loss(step) + add))
        if k % every == 0:
            out += event(step, "train/lr", form(rate(step)))
    path.write_bytes(out)


def check(run, steps=STEPS) -> None:
    assert run.steps.tolist() == steps
    assert np.allclose(run.measured(), [loss(s) for s in steps], rtol=1e-6)
    assert np.allclose(run.lr, [rate(s) for s in steps], rtol=1e-6)


@pytest.mark.parametrize("form", [plain, tensor])
def test_both_ways_to_write_a_scalar_are_read(form, tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1", STEPS, form=form)
    check(read_run(tmp_path))


def test_a_later_file_takes_the_place_of_what_an_earlier_one_logged_of_its_steps(
    tmp_path: Path,
) -> None:
    write(tmp_path / "events.out.tfevents.1", STEPS[:30])
    write(tmp_path / "events.out.tfevents.2", STEPS[20:])
    write(tmp_path / "events.out.tfevents.3", STEPS[40:])
    (tmp_path / "events.out.tfevents.1").write_bytes(
        (tmp_path / "events.out.tfevents.1").read_bytes()
        + event(STEPS[30], "train/loss", plain(99.0))
    )
    run = read_run(tmp_path)
    check(run)
    assert "resumed" in run.notes[0]


def test_a_rate_logged_every_tenth_time_is_read_between(tmp_path: Path) -> None:
    steps = list(range(10, 6001, 10))
    write(tmp_path / "events.out.tfevents.1", steps, every=10)
    run = read_run(tmp_path)
    assert run.steps.tolist() == steps[:591]  # after the last of the rates nobody says it
    assert np.allclose(run.lr, [rate(s) for s in steps[:591]], atol=3e-6)  # it bends between two
    assert "straight between" in run.notes[0]
    write(tmp_path / "events.out.tfevents.1", STEPS, every=15)
    with pytest.raises(ValueError, match=r"no lr at step 200.*--schedule"):
        read_run(tmp_path)


def test_one_file_with_two_values_of_a_step_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1", [100, 200, 200, 300])
    data = (tmp_path / "events.out.tfevents.1").read_bytes()
    (tmp_path / "events.out.tfevents.1").write_bytes(data + event(200, "train/lr", plain(1.0)))
    with pytest.raises(ValueError, match="two values of 'train/lr' at step 200"):
        read_run(tmp_path)


def test_events_one_level_down_are_found(tmp_path: Path) -> None:
    (tmp_path / "runs" / "Jan01_host").mkdir(parents=True)
    write(tmp_path / "runs" / "Jan01_host" / "events.out.tfevents.1", STEPS)
    check(read_run(tmp_path))


@pytest.mark.parametrize("main", ["loss", "Model/Loss", "train/loss"])
def test_tags_that_were_written_apart_are_put_together(main: str, tmp_path: Path) -> None:
    """As `add_scalars(main, {"train": ..., "val": ...})` of torch writes them."""
    run = tmp_path / "runs"
    for name, add in (("train", 0.0), ("val", 0.5)):
        folder = run / f"{main.replace('/', '_')}_{name}"
        folder.mkdir(parents=True)
        steps = STEPS if name == "train" else STEPS[::6]
        body = b"".join(event(s, main, plain(loss(s) + add)) for s in steps)
        (folder / "events.out.tfevents.2.host.1").write_bytes(body)
    rates = b"".join(event(s, "lr", plain(rate(s))) for s in STEPS)
    (run / "events.out.tfevents.1.host.0").write_bytes(rates)
    check(read_run(run))
    val = read_run(run, columns={"loss": f"val/{main}"})
    assert np.allclose(val.measured(), [loss(s) + 0.5 for s in STEPS[::6]])
    other = tmp_path / "other"
    other.mkdir()
    write(other / "events.out.tfevents.1", STEPS)
    with pytest.raises(ValueError, match=r"several TensorBoard runs.*other.*runs"):
        read_run(tmp_path)


@pytest.mark.slow
def test_four_million_scalars_are_read_within_a_minute(tmp_path: Path) -> None:
    count = 2_000_000
    with (tmp_path / "events.out.tfevents.1").open("wb") as stream:
        for step in range(1, count + 1):
            lr = 3e-4 * (0.55 + 0.45 * math.cos(math.pi * step / count))
            stream.write(event(step, "train/lr", plain(lr)))
            stream.write(event(step, "train/loss", plain(loss(step))))
    start = time.process_time()
    run = read_run(tmp_path)
    assert time.process_time() - start < 60  # 9 s measured
    assert len(run.steps) == count


def test_of_several_folders_the_one_with_a_course_is_read_or_all_are_named(tmp_path: Path) -> None:
    for name in ("a/hparams", "b", "stopped"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    write(tmp_path / "runs" / "a" / "events.out.tfevents.1.host", STEPS)
    write(tmp_path / "runs" / "a" / "hparams" / "events.out.tfevents.2.host", [100])
    write(tmp_path / "runs" / "stopped" / "events.out.tfevents.3.host", STEPS[:2])
    run = read_run(tmp_path / "runs")
    check(run)
    assert any("read from a, the only one of 3" in note for note in run.notes)
    write(tmp_path / "runs" / "b" / "events.out.tfevents.4.host", STEPS[10:])
    with pytest.raises(ValueError, match=r"a, steps 100 to 6000.*b, steps 1100 to 6000.*give"):
        read_run(tmp_path / "runs")
