"""Claims about text: nothing leaks across the split, order and vocabulary are fixed."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from hidim.lab.text.batches import Batches, validation_windows
from hidim.lab.text.sources import Text, read_text, split
from hidim.lab.text.tokens import Vocabulary, tokenize


@pytest.fixture(scope="module")
def library():
    return read_text("stdlib", max_mb=3)


def test_the_default_text_is_real_and_on_every_machine(library):
    assert library.megabytes == pytest.approx(3, rel=0.01)
    assert any("def " in document for document in library.train)


def test_no_document_is_on_both_sides(library):
    assert not set(library.train) & set(library.validation)
    share = sum(map(len, library.validation)) / sum(map(len, library.train + library.validation))
    assert 0.03 < share < 0.15


def test_the_split_does_not_depend_on_the_order_or_on_copies():
    documents = [f"document {i} " + "x" * (i % 7) for i in range(100)]
    shuffled = documents * 2
    random.Random(1).shuffle(shuffled)
    assert split(documents) == split(shuffled)


def test_one_document_is_cut_at_a_line():
    lines = [f"line {i}\n" for i in range(1000)]
    (train,), (validation,) = split(["".join(lines)])
    assert train + validation == "".join(lines)
    assert train.endswith("\n")
    assert len(validation) / len(train) == pytest.approx(0.05, abs=0.01)


def test_an_epoch_visits_every_token_once_and_order_repeats():
    tokens = np.arange(1000)
    batches = Batches(tokens, context=10, seed=3)
    epoch = batches.windows(0, batches.per_epoch)
    inputs = epoch[:, :-1].ravel()
    assert len(set(inputs.tolist())) == len(inputs) >= 980
    assert (np.diff(epoch, axis=1) == 1).all()
    again = Batches(tokens, context=10, seed=3)
    # Asked for in any pieces, from any position, across the end of an epoch.
    late = again.windows(150, 90)
    assert (late == batches.windows(0, 240)[150:]).all()
    assert (batches.windows(0, 50) != Batches(tokens, context=10, seed=4).windows(0, 50)).any()


@pytest.mark.parametrize("length", [11, 12, 20, 21, 35])
def test_a_text_of_few_windows_is_used(length):
    batches = Batches(np.arange(length), context=10, seed=0)
    windows = batches.windows(0, 7)
    assert windows.min() >= 0
    assert windows.max() < length


def test_validation_windows_are_spread_over_the_held_out_text():
    windows = validation_windows(np.arange(10_001), context=10, limit=100)
    assert windows.shape == (10, 11)
    assert windows[-1, -1] > 9000


@pytest.mark.parametrize("kind", ["byte", "char", "bpe:300"])
def test_decoding_gives_the_text_back(kind, library):
    pytest.importorskip("tokenizers")
    text = Text(library.train[:5], ("x = 'y'  # ok\n",), "example", "")
    tokens = tokenize(text, kind)
    assert tokens.vocabulary.decode(tokens.validation) == text.validation[0]
    assert tokens.train.max() < tokens.vocabulary.size
    again = Vocabulary(**json.loads(json.dumps(tokens.vocabulary.to_dict())))
    assert again.fingerprint == tokens.vocabulary.fingerprint
    assert (again.encode(text.train) == tokens.train).all()


def test_a_pair_encoding_is_shorter_and_of_the_size_asked_for(library):
    pytest.importorskip("tokenizers")
    text = Text(library.train[:20], library.validation[:2], "example", "")
    pairs = tokenize(text, "bpe:512")
    assert pairs.vocabulary.size == 512
    assert len(pairs.train) < 0.7 * len(tokenize(text, "byte").train)


def test_characters_never_trained_on_share_one_token():
    tokens = tokenize(Text(("ab",), ("aé漢",), "example", ""), "char")
    assert tokens.validation.tolist() == [0, 2, 2]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_hub_set_streams_and_stops_at_max_mb(suffix, tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    rows = [{"text": f"document {i}: " + "word " * 40, "url": str(i)} for i in range(200)]
    path = tmp_path / "set" / f"train.{suffix}"
    path.parent.mkdir()
    if suffix == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pandas = pytest.importorskip("pandas")
        pandas.DataFrame(rows).to_parquet(path)
    text = read_text(f"hub:{path.parent}", max_mb=0.01)
    assert text.megabytes == pytest.approx(0.01, rel=0.01)
    assert text == read_text(f"hub:{path.parent}", max_mb=0.01)
    documents = {row["text"] for row in rows}
    whole = [d for d in (*text.train, *text.validation) if d in documents]
    assert len(whole) >= 40
    with pytest.raises(ValueError, match="needs `max_mb`"):
        read_text(f"hub:{path.parent}")


def test_a_hub_set_without_text_or_out_of_reach_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text('{"body": "x"}\n')
    with pytest.raises(ValueError, match="no column `text`; it has body"):
        read_text(f"hub:{tmp_path / 'set'}", max_mb=1)
    with pytest.raises(ValueError, match="cannot be read"):
        read_text(f"hub:{tmp_path / 'nothing'}", max_mb=1)


def test_a_folder_is_read_whatever_its_order(tmp_path):
    for name in ("b.txt", "a.md", "c.bin"):
        (tmp_path / name).write_text(f"I am {name}\n")
    text = read_text(str(tmp_path))
    assert sorted(text.train + text.validation) == ["I am a.md\n", "I am b.txt\n"]
