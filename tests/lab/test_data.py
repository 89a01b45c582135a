"""Claims about data one can trust: what is read is said, what leaks is measured, losses compare."""

from __future__ import annotations

import json
import math
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from forks import fork

from hidim.cli.main import main
from hidim.lab import RunFolder, Settings, train
from hidim.lab.sweeps.sweep import Sweep, expand, work
from hidim.lab.text.facts import bits_per_byte, half_width
from hidim.lab.text.kept import load_npz
from hidim.lab.text.overlap import normal, overlap
from hidim.lab.text.sources import read_text
from hidim.lab.text.splits import divide
from hidim.lab.text.tokens import parse_kind
from hidim.lab.training.entry import load_tokens


def prose(lines, seed=0):
    """Lines that are all different."""
    pick = random.Random(seed)
    words = [
        "the",
        "cat",
        "sat",
        "on",
        "a",
        "mat",
        "and",
        "saw",
        "that",
        "rat",
        "had",
        "eaten",
        "hat",
        "of",
        "fat",
        "bat",
    ]
    return "".join(" ".join(pick.choices(words, k=9)) + f" {seed}{i}.\n" for i in range(lines))


@pytest.fixture
def leaking(tmp_path):
    """A text whose last 5 % repeats its first."""
    text = prose(1500)
    fifth = int(len(text) * 0.05)
    path = tmp_path / "leaking.txt"
    path.write_text(text[: -fifth or None] + text[:fifth], encoding="utf-8")
    return path


def test_a_text_that_repeats_itself_is_named_before_training(leaking, small, tmp_path):
    told, rows = [], []

    def tell(line):
        assert not rows
        told.append(line)

    settings = small.replace(data=str(leaking), steps=2)
    train(settings, tmp_path / "run", tell=tell, loggers=[rows.append])
    assert any("100.0 % of" in line and "windows" in line for line in told)
    assert any("measures memory" in line for line in told)
    kept = RunFolder(tmp_path / "run").read_config()["text"]
    assert kept["overlap"]["windows_found"] == kept["overlap"]["windows"] > 40


def test_runs_inside_the_folder_of_the_text_are_no_text(small, text_file, tmp_path, capsys):
    """Else a run that goes on would read what it wrote itself."""
    (tmp_path / "story.txt").write_bytes(text_file.read_bytes())
    run = tmp_path / "tried" / "run"
    settings = small.replace(data=str(tmp_path), steps=3)
    train(settings, run)
    RunFolder(run).result.unlink()
    assert train(None, run, resume=True).status == "ok"
    assert "not read: tried/run" in str(load_tokens(settings).facts["notes"])
    assert load_tokens(settings).fingerprint == load_tokens(small).fingerprint


@pytest.mark.parametrize(
    ("start", "said"),
    [(b"\x1f\x8b\x08\xff", "gunzip"), (b"PK\x03\x04\xff", "unpack"), (b"PAR1\xff", "hub:"),
     (b"\xff\xfea\0", "utf-16"), (b"%PDF-\xff", "PDF"), (b"caf\xe9", "iconv -t utf-8")],
)  # fmt: skip
def test_a_file_that_is_no_text_is_told_what_it_is(start, said, tmp_path):
    (tmp_path / "given").write_bytes(start)
    with pytest.raises(ValueError, match=said) as caught:
        read_text(str(tmp_path / "given"))
    assert "\n" not in str(caught.value)


def test_auto_steps_say_how_often_they_read_the_text(text_file, tmp_path, capsys):
    """A text has its length, and 20 tokens per parameter do not mind it."""
    auto = ["--data", str(text_file), "--layers", "1", "--steps", "auto", "--optimizer", "sgd"]
    for width, many in ((1, False), (6, True)):
        out = tmp_path / f"run{width}"
        assert main(["train", "--out", str(out), *auto, "--lr", "1", "--width", str(width)]) == 0
        (line,) = (one for one in capsys.readouterr().err.splitlines() if "passes" in one)
        settings, text = RunFolder(out).settings(), RunFolder(out).read_config()["text"]
        passes = settings.tokens_before(settings.steps) / text["train_tokens"]
        assert f"{settings.steps} steps are {passes:.2g} passes" in line
        assert many == (passes > 4) == ("beyond 4" in line)
    assert main(["report", str(tmp_path)]) == 0
    assert f"read it {passes:.2g} times" in capsys.readouterr().out


def test_a_sweep_says_it_of_its_longest_run_once(text_file, tmp_path, capsys):
    sweep = ["sweep", "--out", str(tmp_path), "--workers", "1", "--data", str(text_file)]
    sweep += ["--width", "2", "--batch-size", "16", "--context", "32", "--lr", "1"]
    for steps, passes in (("2,20", "20 steps are 1.1"), ("40", "40 steps are 2.2")):
        assert main([*sweep, "--grid", f"steps={steps}"]) == 0
        told = capsys.readouterr().err
        assert told.count("passes over") == 1
        assert passes in told
        assert ("held-out text" in told) == (steps == "2,20")


@pytest.mark.parametrize("change", [str.upper, lambda text: text.replace("\n", "  \r\n")])
def test_near_copies_are_found_after_normalisation(change):
    text = prose(300)
    found = overlap([text], [change(text[:5000])])
    assert found.windows_found < 0.1 * found.windows
    assert found.near_windows_found == found.near_windows > 40
    assert found.near_lines_found == found.near_lines > 50
    assert found.near_documents == 1
    assert overlap([text], [prose(100, seed=1)]).share < 0.05


def test_overlap_is_what_a_search_finds():
    seen, held = prose(400), prose(60) + prose(60, seed=1)
    found = overlap([seen], [held])
    held_bytes, seen_bytes = held.encode(), seen.encode()
    count = min(512, len(held_bytes) // 65)
    starts = np.arange(count) * (len(held_bytes) - 65) // (count - 1)
    assert found.windows == count
    assert found.windows_found == sum(held_bytes[s : s + 65] in seen_bytes for s in starts)
    lines = [line for line in held.split("\n") if len(line) >= 30]
    assert found.lines == len(lines)
    assert found.lines_found == sum(line in set(seen.split("\n")) for line in lines)


def test_documents_that_differ_by_blanks_count_once():
    text = prose(20)
    copies = [text, text.replace("\n", "\r\n"), text + " ", prose(20, seed=2)]
    documents = [(copy, str(k)) for k, copy in enumerate(copies)]
    assert sum(map(len, divide(documents))) == 4
    assert sum(map(len, divide(documents, dedup="near"))) == 2


def test_lines_that_are_held_out_are_taken_out_of_training(leaking):
    plain = read_text(str(leaking))
    text = read_text(str(leaking), dedup="line")
    assert text.validation == plain.validation
    assert overlap(text.train, text.validation).lines_found == 0
    lost = {normal(line.encode()) for line in set(plain.train[0].split("\n"))}
    lost -= {normal(line.encode()) for line in set(text.train[0].split("\n"))}
    held = {normal(line.encode()) for line in plain.validation[0].split("\n")}
    assert lost <= held


def test_splits_keep_what_they_promise():
    documents = [(prose(10, seed=k), f"file-{k // 5}") for k in range(100)]
    train_part, held = divide(documents, split="file")
    files = dict(documents)
    assert not {files[text] for text in train_part} & {files[text] for text in held}
    assert len(held) % 5 == 0
    train_part, held = divide(documents, split="time")
    assert "".join((*train_part, *held)) == "".join(text for text, _ in documents)
    assert sum(map(len, held)) / sum(len(text) for text, _ in documents) == pytest.approx(
        0.05, abs=0.01
    )
    with pytest.raises(ValueError, match="`split` file needs more than one"):
        divide(documents[:5], split="file")


def test_a_byte_order_mark_is_no_character(tmp_path):
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf" + prose(50).encode())
    text = read_text(str(tmp_path / "bom.txt"))
    assert "".join((*text.train, *text.validation)) == prose(50)


def test_a_folder_of_two_kinds_is_read_whole_or_said(tmp_path):
    (tmp_path / "a.txt").write_text(prose(50))
    rows = [json.dumps({"text": prose(20, seed=k)}) for k in range(1, 9)]
    (tmp_path / "b.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "c.bin").write_bytes(b"\0")
    (tmp_path / "LICENSE").write_text("none")
    text = read_text(str(tmp_path))
    assert len(text.train) + len(text.validation) == 9
    assert "1 .bin" in text.notes[0]
    assert "1 LICENSE" in text.notes[0]
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n{"body": "b"}\n')
    with pytest.raises(ValueError, match=r"line 2 of .*b\.jsonl"):
        read_text(str(tmp_path))


def piped(text, action):
    """Run an action in a child whose standard input is this text; its exit status."""
    read, write = os.pipe()

    def child():
        os.close(write)
        os.dup2(read, 0)
        action()

    number = fork(child)
    os.close(read)
    with os.fdopen(write, "w") as stream:
        stream.write(text)
    return os.waitpid(number, 0)[1]


def test_standard_input_is_a_text_that_the_run_keeps(tmp_path, small, monkeypatch):
    text, run = prose(300), tmp_path / "run"
    settings = small.replace(data="-", steps=4)

    def action():
        sys.stdin = os.fdopen(0, encoding="utf-8")  # pytest has its own
        train(settings, run)

    assert piped(text, action) == 0
    (tmp_path / "text.txt").write_text(text)
    whole = train(settings.replace(data=str(tmp_path / "text.txt")), tmp_path / "whole")
    assert RunFolder(run).read_result()["validation_loss"] == whole.validation_loss
    RunFolder(run).result.unlink()
    assert train(None, run, resume=True).validation_loss == whole.validation_loss


def test_a_named_pipe_is_read_and_a_device_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = fork(lambda: (tmp_path / "pipe").write_text(prose(30)))
    text = read_text(str(tmp_path / "pipe"))
    os.waitpid(writer, 0)
    assert "".join((*text.train, *text.validation)) == prose(30)
    with pytest.raises(ValueError, match="may never end"):
        read_text("/dev/zero")
    with pytest.raises(ValueError, match="has no text"):
        read_text("/dev/null")


def test_a_vocabulary_smaller_than_asked_for_is_said(text_file):
    pytest.importorskip("tokenizers")
    facts = load_tokens(Settings(data=str(text_file), tokens="bpe:60000")).facts
    assert "not 60,000" in facts["notes"][0]
    assert load_tokens(Settings(data=str(text_file), tokens="bpe:260")).facts["notes"] == []


@pytest.mark.parametrize("tokens", ["bpe:100", "bpe:x", "bpe:3.5", "bpe:-1"])
def test_a_pair_encoding_without_pairs_is_named_as_it_was_written(tokens):
    with pytest.raises(ValueError, match=f"`tokens` '{tokens}' must be bpe:SIZE"):
        parse_kind(tokens)


def test_a_warm_up_that_never_ends_is_refused(small, tmp_path):
    long = small.replace(steps=20, warmup=100)
    with pytest.raises(ValueError, match=r"`warmup` 100 is longer .* 20 `steps`"):
        train(long, tmp_path / "run")
    assert not RunFolder(tmp_path / "run").started
    with pytest.raises(ValueError, match="`warmup`"):
        expand(small, {"warmup": [100]})
    assert Settings.from_dict(long.to_dict()) == long  # what is stored can be read


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\0" * 5000, "one and the same token"),
        ("a" * 30, "one and the same token"),
        ("The quick brown fox jumps over the lazy dog, and again.", "too short"),
    ],
)
def test_a_text_that_can_tell_nothing_is_refused(text, reason, small, tmp_path):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ValueError, match=reason):
        train(small.replace(data=str(tmp_path / "t.txt")), tmp_path / "run")


def test_where_a_small_document_is_held_out_another_split_is_named(small, tmp_path):
    (tmp_path / "texts").mkdir()
    for name, text in (("a", Path(small.data).read_text()), ("b", "x")):
        (tmp_path / "texts" / name).with_suffix(".txt").write_text(text)
    mixed = small.replace(data=str(tmp_path / "texts"), steps=2)
    with pytest.raises(ValueError, match="or another `split`"):
        train(mixed, tmp_path / "run")
    assert train(mixed.replace(split="time"), tmp_path / "run").status == "ok"


@pytest.mark.parametrize("parts", [1, 20])
def test_where_no_split_would_do_none_is_named(parts, small, tmp_path):
    """All of a text that short is too little, whatever is held out of it."""
    folder = tmp_path / "texts"
    folder.mkdir()
    each = 393 // parts
    for part in range(parts):
        (folder / f"{part}.txt").write_text(f"{part:02} {Path(small.data).read_text()}"[:each])
    data = folder / "0.txt" if parts == 1 else folder
    for split in ("document", "time", *(["file"] if parts > 1 else [])):
        with pytest.raises(ValueError, match=r"too short: of its 3[89]. tokens") as caught:
            train(small.replace(data=str(data), split=split), tmp_path / "run")
        assert "split`" not in str(caught.value)


def test_where_a_cut_fell_badly_no_other_is_named(small, tmp_path):
    (tmp_path / "t.txt").write_text("abc def " * 5000 + "\nend")
    with pytest.raises(ValueError, match=r"too short: .* more\.$"):
        train(small.replace(data=str(tmp_path / "t.txt")), tmp_path / "run")


def test_the_interval_is_that_of_many_texts():
    """Losses of a unigram on texts of 400 tokens scatter as the half-width says."""
    from hidim.lab.text.tokens import Tokens, Vocabulary

    random_ = np.random.default_rng(0)
    share = np.arange(1, 31.0) ** -1.5
    draw = lambda n: random_.choice(30, n, p=share / share.sum()).astype(np.uint8)  # noqa: E731
    train_part = draw(20_000)
    law = -np.log(np.bincount(train_part, minlength=256) / len(train_part) + 1e-9)
    losses = [law[draw(400)].mean() for _ in range(400)]
    known = half_width(Tokens(train_part, draw(400), Vocabulary("byte")))
    # 400 draws know their spread to 4 %, and one held-out part knows it to some 10 %.
    assert known == pytest.approx(1.96 * np.std(losses), rel=0.25)


def test_bits_per_byte_compare_vocabularies(small, tmp_path, capsys):
    pytest.importorskip("tokenizers")
    for tokens in ("byte", "char", "bpe:300"):
        run = tmp_path / tokens.replace(":", "")
        result = train(small.replace(tokens=tokens, steps=2), run)
        text = RunFolder(run).read_config()["text"]
        known = text["validation_tokens"] / text["validation_bytes"] / math.log(2)
        assert bits_per_byte(text, tokens) == pytest.approx(known)
        assert main(["train", "--out", str(run), "--resume"]) == 0
        bits = result.validation_loss * known
        assert f"({bits:.4f} bits per byte)" in capsys.readouterr().out
    assert len({text["data_fingerprint"], text["vocabulary_fingerprint"]}) == 2


def test_settings_of_before_keep_their_names():
    """Folders of stored sweeps are found again under the fingerprint in their name."""
    before = Settings(evaluation_growth=1.1)
    assert before.fingerprint == "343393d4"
    assert before.text_fingerprint == "b4057076"
    later = before.replace(dedup="line")
    assert later.fingerprint != before.fingerprint
    assert later.text_fingerprint != before.text_fingerprint
    old = {key: value for key, value in before.to_dict().items() if key not in ("split", "dedup")}
    assert Settings.from_dict(old) == before


def test_a_sweep_reads_a_pipe_once_and_says_what_its_text_is_worth(
    leaking, small, tmp_path, capsys
):
    sweep = Sweep(tmp_path / "sweep")
    sweep.add([small.replace(data=str(leaking), steps=1)])
    assert main(["sweep", "--out", str(sweep.path), "--workers", "1"]) == 0
    assert "measures memory" in capsys.readouterr().err
    (kept,) = sweep.path.glob("text-*.npz")
    assert load_npz(kept).facts["overlap"]["windows_found"] > 0
    os.mkfifo(tmp_path / "pipe")
    piped_sweep = Sweep(tmp_path / "piped")
    runs = expand(small.replace(data=str(tmp_path / "pipe"), steps=1), {"seed": [0, 1]})
    piped_sweep.add(runs)
    writer = fork(lambda: (tmp_path / "pipe").write_text(prose(300)))
    assert main(["sweep", "--out", str(piped_sweep.path), "--workers", "1"]) == 0
    os.waitpid(writer, 0)
    assert len(piped_sweep.finished()) == 2
    assert work(piped_sweep).failed == {}
