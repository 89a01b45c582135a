"""Claims about what is refused: in one line that names it, with nothing overwritten."""

from __future__ import annotations

import errno
import os

import pytest

from hidim.lab import RunFolder, Settings, train
from hidim.lab.sweeps.sweep import Sweep
from hidim.lab.text.sources import read_text
from hidim.lab.training.store import Busy, load_checkpoint
from hidim.support import files


def refused(pattern, settings, out, **how):
    with pytest.raises(ValueError, match=pattern) as caught:
        train(settings, out, **how)
    assert "\n" not in str(caught.value)


def test_empty_text(small, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    refused("no text", small.replace(data=str(tmp_path / "empty.txt")), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_sequence_longer_than_the_text(small, tmp_path):
    refused("`context` must be shorter than the text", small.replace(context=10**6), tmp_path / "r")


def test_a_source_that_is_not_there(small, tmp_path):
    refused("neither a file nor a folder", small.replace(data="/no/such/file"), tmp_path / "run")
    refused("not installed", small.replace(data="package:no_such_package"), tmp_path / "run")


def test_a_folder_that_holds_a_run(small, tmp_path):
    small = small.replace(steps=2)
    train(small, tmp_path / "run")
    refused("already holds a run", small, tmp_path / "run")
    refused("`lr` is 2.0", small.replace(lr=2.0), tmp_path / "run", resume=True)


def test_another_vocabulary_on_resume(small, tmp_path):
    train(small.replace(steps=2), tmp_path / "run")
    RunFolder(tmp_path / "run").result.unlink()
    other = small.replace(steps=2, tokens="byte")
    refused("vocabulary mismatch", other, tmp_path / "run", resume=True)


def test_another_text_on_resume(small, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("abcdefgh \n" * 200)
    settings = small.replace(steps=2, data=str(text))
    train(settings, tmp_path / "run")
    RunFolder(tmp_path / "run").result.unlink()
    text.write_text("abcdefghxyz \n" * 200)
    refused("vocabulary mismatch", None, tmp_path / "run", resume=True)
    text.write_text("abcdhgfe \n" * 200)
    refused("not that of", None, tmp_path / "run", resume=True)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_corrupt_checkpoint_is_named_and_nothing_is_overwritten(damage, small, tmp_path):
    train(small.replace(steps=2), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.result.unlink()
    content = bytearray(folder.checkpoint.read_bytes())
    if damage == "flip":
        place = content.index(b"/data/0") + 200
        content[place] ^= 1
    folder.checkpoint.write_bytes(bytes(content[: {"cut": 5000, "empty": 0}.get(damage)]))
    before = {p.name: p.read_bytes() for p in folder.path.iterdir()}
    refused("checkpoint .*checkpoint.pt.* is corrupt", None, tmp_path / "run", resume=True)
    assert before == {p.name: p.read_bytes() for p in folder.path.iterdir()}


def test_a_disk_full_while_saving_keeps_the_last_good_checkpoint(small, tmp_path, monkeypatch):
    saves = []

    class FullDisk:
        def __init__(self, stream):
            self._stream = stream

        def write(self, data):
            self._stream.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_with(path, writer):
        saves.append(path)
        files.write_with(path, writer if len(saves) < 3 else lambda s: writer(FullDisk(s)))

    monkeypatch.setattr("hidim.lab.training.store.write_with", write_with)
    refused("No space left on device.*kept", small, tmp_path / "run", save_seconds=0.0)
    state = load_checkpoint(RunFolder(tmp_path / "run").checkpoint)
    assert state["step"] == 2
    assert not [p for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]
    monkeypatch.undo()
    end = train(None, tmp_path / "run", resume=True)
    assert end.validation_loss == train(small, tmp_path / "whole").validation_loss


def test_two_processes_on_one_run(small, tmp_path):
    with RunFolder(tmp_path / "run").claim(), pytest.raises(Busy, match="another process"):
        train(small, tmp_path / "run")


def test_an_optimizer_or_option_that_does_not_exist(small, tmp_path):
    refused("Did you mean 'dana-decaying'", small.replace(optimizer="dana-decay"), tmp_path / "r")
    wrong = small.replace(options={"kapa_3": 0.7})
    refused("Did you mean 'kappa_3'", wrong, tmp_path / "r")
    refused("`kappa_3`", small.replace(options={"kappa_3": -1.0}), tmp_path / "r")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("lr", -1),
        ("tokens", "words"),
        ("tokens", None),
        ("schedule", "cosin"),
        ("batch_size", 1.5),
        ("seed", 1e20),
        ("data", 1),
        ("optimizer", None),
        ("options", {"delta": float("inf")}),
        ("options", {"state_dtype": object()}),
    ],
)
def test_bad_settings_name_the_argument(name, value):
    with pytest.raises(ValueError, match=f"`{name}`"):
        Settings(**{name: value})


def test_a_missing_package_is_named(monkeypatch):
    import sys

    from hidim.lab.text.tokens import tokenize
    from hidim.support.extras import MissingExtra

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    text = read_text(__file__)
    with pytest.raises(MissingExtra, match=r"tokenizers is needed.*hidim\[lab\]"):
        tokenize(text, "bpe:300")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"datasets is needed.*hidim\[lab\]"):
        read_text("hub:someone/something", max_mb=1)


def test_options_resume_as_they_were_given(small, tmp_path):
    """A file has lists for tuples: they are one."""
    adam = small.replace(optimizer="adam", lr=1e-3, options={"betas": (0.9, 0.95)}, steps=2)
    first = train(adam, tmp_path / "run")
    assert train(adam, tmp_path / "run", resume=True) == first


def test_a_checkpoint_of_another_run(small, tmp_path):
    for width in (4, 8):
        train(small.replace(width=width, steps=2), tmp_path / str(width))
    run = RunFolder(tmp_path / "8")
    run.result.unlink()
    run.checkpoint.write_bytes(RunFolder(tmp_path / "4").checkpoint.read_bytes())
    refused("is of a run with other settings", None, run.path, resume=True)


def test_a_file_of_torch_that_is_no_checkpoint(tmp_path):
    import torch

    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "model.pt")


def test_a_model_that_does_not_fit_into_memory(small, tmp_path):
    refused("memory of this machine is too small", small.replace(width=10**9), tmp_path / "r")


def test_text_of_one_character(small, tmp_path):
    (tmp_path / "one.txt").write_text("a")
    refused("1 character long", small.replace(data=str(tmp_path / "one.txt")), tmp_path / "r")


def test_a_folder_of_other_files_or_other_encodings(small, tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    refused(r"hub:.* --max-mb", small.replace(data=str(tmp_path)), tmp_path / "r")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    refused(r"latin\.txt' is not UTF-8", small.replace(data=str(tmp_path)), tmp_path / "r")


def test_a_plan_of_a_later_version_is_named(small, tmp_path):
    sweep = Sweep(tmp_path)
    sweep.add([small])
    plan = sweep.plan.read_text(encoding="utf-8")
    sweep.plan.write_text(plan.replace('"seed"', '"novel": 1, "seed"'), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"sweep\.json' is damaged, or of a later version: .*'novel'"
    ):
        sweep.settings()
