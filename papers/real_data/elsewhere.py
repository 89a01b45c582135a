"""Rows of data that no package ships: loaders for copies of one's own, nothing fetched.

    FOLDER/cifar-10-batches-bin/data_batch_1.bin ...   the binary version of CIFAR-10
    FOLDER/wikitext-2/wiki.train.tokens                WikiText-2, or wikitext-2-raw/wiki.train.raw

FOLDER is what HIDIM_PAPERS_DATA names. The same features are made of text that is at hand, the
standard library's source, so that what is measured on it here is measured on WikiText elsewhere.
"""

from __future__ import annotations

import os
import sysconfig
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hidim.problems import features

VARIABLE = "HIDIM_PAPERS_DATA"
_RECORD, _SIDE = 3073, 32 * 32  # a label and three planes of 32 x 32
_ANIMALS = (2, 3, 4, 5, 6, 7)
_PASSAGE, _STRIDE, _COLUMNS = 1000, 4000, 200
_TEXTS = ("wikitext-2/wiki.train.tokens", "wikitext-2-raw/wiki.train.raw")
Table = tuple[np.ndarray, np.ndarray]


def folder() -> Path | None:
    """Where copies are, or None."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def cifar10(where: Path, *, rows: int = 1500, size: int = 100) -> Table:
    """Random ReLU features of grey pictures; is it an animal?

    Raises:
        ValueError: no batch there, or one that is cut.
    """
    batches = sorted((where / "cifar-10-batches-bin").glob("data_batch_*.bin"))
    if not batches:
        raise ValueError(f"no cifar-10-batches-bin/data_batch_*.bin in {str(where)!r}.")
    parts = []
    for path in batches:
        raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        if raw.size == 0 or raw.size % _RECORD:
            raise ValueError(f"{path.name} is no whole number of records of {_RECORD} bytes.")
        parts.append(raw.reshape(-1, _RECORD))
    records = _some(np.concatenate(parts), rows)
    grey = records[:, 1:].reshape(len(records), 3, _SIDE).mean(axis=1) / 255.0
    X = features.relu(grey, size, seed=0, standardize=False)
    return X, _scaled(np.isin(records[:, 0], _ANIMALS).astype(np.float64))


def wikitext2(where: Path, *, rows: int = 1500) -> Table:
    """Hashed trigram counts of passages; how long are the words that follow?

    Raises:
        ValueError: no such file, or too little text.
    """
    found = [where / name for name in _TEXTS if (where / name).is_file()]
    if not found:
        raise ValueError(f"no {' nor '.join(_TEXTS)} in {str(where)!r}.")
    return passages([found[0].read_text(encoding="utf-8")], rows=rows)


def standard_library(*, rows: int = 1500) -> Table:
    """The same of the source of Python's standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "idlelib", "lib2to3", "site-packages", "idle_test", "__pycache__"}
    paths = [p for p in sorted(root.rglob("*.py")) if not left_out & set(p.relative_to(root).parts)]
    return passages((p.read_text(encoding="utf-8", errors="replace") for p in paths), rows=rows)


def passages(texts: Iterable[str], *, rows: int) -> Table:
    """Hashed trigram counts of passages, centred, and the mean length of the words behind them.

    Raises:
        ValueError: fewer than two passages.
    """
    here, behind = [], []
    for text in texts:
        for start in range(0, len(text) - 2 * _PASSAGE, _STRIDE):
            words = text[start + _PASSAGE : start + 2 * _PASSAGE].split()
            if words:
                here.append(text[start : start + _PASSAGE])
                behind.append(float(np.mean([len(word) for word in words])))
    if len(here) < 2:
        raise ValueError(f"the text holds fewer than two passages of {_PASSAGE} characters.")
    chosen = _some(np.arange(len(here)), rows)
    counts = np.zeros((len(chosen), _COLUMNS))
    for row, index in zip(counts, chosen.tolist(), strict=True):
        code = here[index].encode("utf-8")
        for i in range(len(code) - 2):
            row[zlib.crc32(code[i : i + 3]) % _COLUMNS] += 1.0
    return features.center(counts), _scaled(np.array(behind)[chosen])


def _some(values: np.ndarray, rows: int) -> np.ndarray:
    if len(values) <= rows:
        return values
    return values[np.sort(np.random.default_rng(0).choice(len(values), rows, replace=False))]


def _scaled(target: np.ndarray) -> np.ndarray:
    spread = float(target.std())
    return np.asarray((target - target.mean()) / (spread if spread > 0 else 1.0))
