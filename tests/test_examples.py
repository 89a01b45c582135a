"""Every program of examples/ runs as printed and learns something.

Those that need packages beyond hidim's own extras run where these are installed:
`pip install -c constraints.txt '.[clients,loggers]'`.
"""

import ast
import json
import os
import re
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def needs(path):
    """The top-level packages that a program imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module.removeprefix("torch.utils."))  # tensorboard, of its own
    return {name.split(".")[0] for name in names}


def run(path, folder):
    """The program in an empty folder, or a skip where a package is absent."""
    absent = [name for name in needs(path) if find_spec(name) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    root = str(path.parents[1])
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_its_losses_fall(path, tmp_path):
    printed = run(path, tmp_path)
    pairs = re.findall(r"loss (\d+\.\d+) -> (\d+\.\d+)", printed)
    if not pairs:  # a line for each of a few steps
        losses = re.findall(r"loss (\d+\.\d+)", printed)
        pairs = [(losses[0], losses[-1])] if losses else []
    assert pairs or path.stem == "optax_plain_loop", printed  # which prints risks
    assert all(float(last) < 0.9 * float(first) for first, last in pairs), printed


def events_of_tensorboard(folder, _):
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = module.EventAccumulator(str(folder / "runs"))
    found.Reload()
    return {
        name: {event.step: event.value for event in found.Scalars(name)}
        for name in found.Tags()["scalars"]
    }


def rows_of_wandb(folder, _):
    """Of an offline run: records of protobuf in LevelDB's log, in blocks of 2^15 bytes."""
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    content, at, record, found = path.read_bytes(), 7, b"", {}
    while at < len(content):
        if 2**15 - at % 2**15 < 7:  # padding
            at += 2**15 - at % 2**15
            continue
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        record += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or its last part
            history = proto.Record.FromString(record).history
            for item in history.item:
                name = item.key or "/".join(item.nested_key)
                found.setdefault(name, {})[history.step.num] = json.loads(item.value_json)
            record = b""
    return found


def rows_of_trainer(_, printed):
    """In the order they were logged: the loss of a step, then what was measured in it."""
    rows = [ast.literal_eval(line) for line in printed.splitlines() if line.startswith("{")]
    assert ["loss" in row for row in rows[:-1]] == [True, False] * (len(rows) // 2)
    found = {}
    for count, row in enumerate(rows[:-1]):
        for name, value in row.items():
            found.setdefault(name, {})[15 * (count // 2 + 1)] = float(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read", "steps"),
    [
        ("tensorboard", events_of_tensorboard, range(20, 201, 20)),
        ("wandb", rows_of_wandb, range(20, 201, 20)),
        ("trainer", rows_of_trainer, range(15, 61, 15)),
    ],
)
def test_a_logger_is_told_of_every_group_and_of_all_at_every_nth_update(
    name, read, steps, tmp_path
):
    printed = run(EXAMPLES[0].with_name(f"monitor_{name}.py"), tmp_path)
    found = read(tmp_path, printed)
    for measure in ("gradient_norm", "update_norm", "momentum_share", "decay_share", "loss"):
        assert list(found[measure]) == list(steps), measure
    for measure in ("gradient_norm", "update_norm", "weight_norm"):
        parts = [found[f"group_{number}/{measure}"] for number in (0, 1)]
        for step, value in found[measure].items():
            # float32 of TensorBoard; four digits of what the Trainer prints.
            assert value == pytest.approx(sum(part[step] ** 2 for part in parts) ** 0.5, rel=1e-3)
    assert min(found["group_0/decay_share"].values()) > 0
    assert set(found["group_1/decay_share"].values()) == {0.0}


def test_every_example_says_how_to_run_it_and_stands_in_the_documentation():
    pages = "".join(
        page.read_text(encoding="utf-8") for page in (EXAMPLES[0].parents[1] / "docs").rglob("*.md")
    )
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        assert f"`python examples/{path.name}`" in text, path.name
        assert f"examples/{path.name}" in pages, path.name
        assert len(text.splitlines()) <= 100, path.name
