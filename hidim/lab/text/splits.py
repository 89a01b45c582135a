"""Which part of the text is held out, and what counts twice?

    split document   whole documents by a hash of their content; a single one is cut at a line's end
          file       whole files by a hash, so that no file's documents are on both sides
          time       the last part in the order of files and rows, as of logs named by their dates
    dedup document   documents that are equal count once
          near       those that are equal without case, blanks and digits, too
          line       near, and training lines of 30 bytes or more that are held out are left out

The held-out part is the same with near and with line, so their losses compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from hidim.lab.text.overlap import LINE_BYTES, long_lines, normal
from hidim.support.checks import choice

HELD_OUT = 0.05  # share of the text that is never trained on
SPLITS = ("document", "file", "time")
DEDUPS = ("document", "near", "line")
Parts = tuple[tuple[str, ...], tuple[str, ...]]


def divide(
    documents: Iterable[tuple[str, str]],
    *,
    split: str = "document",
    dedup: str = "document",
    source: str = "",
) -> Parts:
    """Training and validation documents.

    Args:
        documents: text and file of each.
        split: "document", "file" or "time".
        dedup: "document", "near" or "line".
        source: named in refusals.

    Raises:
        ValueError: there is no text, or too little of it for this split.

    >>> divide([("one", "a"), ("two", "b"), ("one", "c")], split="time")
    (('one', 'tw'), ('o',))
    """
    choice("split", split, SPLITS)
    choice("dedup", dedup, DEDUPS)
    key = digest if dedup == "document" else _near_digest
    unique: dict[bytes, tuple[str, str]] = {}
    for text, file in documents:
        if text.strip():
            unique.setdefault(key(text), (text, file))
    if not unique:
        raise ValueError(f"`data` {source!r} has no text: nothing to train on.")
    if split == "time":
        train, validation = _by_time([text for text, _ in unique.values()], source)
    elif split == "file":
        train, validation = _by_file(unique, source)
    else:
        train, validation = _by_document(unique, source)
    return _without_lines(train, validation) if dedup == "line" else (train, validation)


def _by_document(unique: dict[bytes, tuple[str, str]], source: str) -> Parts:
    # Hash order is a shuffle that everyone repeats; equal documents fall together.
    ordered = [unique[key][0] for key in sorted(unique)]
    if len(ordered) == 1:
        return cut(ordered[0], source)
    count, order = _held([len(text) for text in ordered])
    ordered = [ordered[place] for place in order]
    return tuple(ordered[count:]), tuple(ordered[:count])


def _held(sizes: Sequence[int]) -> tuple[int, list[int]]:
    """How many of the first parts are held out, and the order that puts them first."""
    order, total = list(range(len(sizes))), sum(sizes)
    taken, count, turned = 0, 0, 0
    while count < len(order) - 1 and taken < HELD_OUT * total and turned < len(order):
        # What is held out must not swallow the training text.
        if sizes[order[count]] > 0.5 * total:
            order.append(order.pop(count))
            turned += 1
            continue
        taken += sizes[order[count]]
        count += 1
    return count, order


def _by_file(unique: dict[bytes, tuple[str, str]], source: str) -> Parts:
    files: dict[str, list[str]] = {}
    for text, file in unique.values():
        files.setdefault(file, []).append(text)
    if len(files) == 1:
        raise ValueError(
            f"`split` file needs more than one file, and `data` {source!r} is one: take "
            "split=document or split=time."
        )
    ordered = sorted(files.values(), key=lambda texts: digest("\0".join(texts)))
    count, order = _held([sum(map(len, texts)) for texts in ordered])
    parts = [ordered[place] for place in order]
    train, validation = (
        tuple(text for texts in side for text in texts) for side in (parts[count:], parts[:count])
    )
    return train, validation


def _by_time(ordered: Sequence[str], source: str) -> Parts:
    place = int(sum(map(len, ordered)) * (1 - HELD_OUT))
    for number, text in enumerate(ordered):
        if place < len(text):
            (before,), (after,) = _cut_at(text, place, source)
            return (*ordered[:number], before), (after, *ordered[number + 1 :])
        place -= len(text)
    raise AssertionError("unreachable: 95 % of a text lies within it")


def cut(text: str, source: str) -> Parts:
    """A single document, its last part held out from the end of a line on."""
    return _cut_at(text, int(len(text) * (1 - HELD_OUT)), source)


def _cut_at(text: str, place: int, source: str) -> tuple[tuple[str], tuple[str]]:
    if len(text) == 1:
        raise ValueError(f"`data` {source!r} is {len(text)} character long: give more text.")
    place = max(place, 1)
    end_of_line = text.find("\n", place)
    if 0 <= end_of_line < len(text) - 1:
        place = end_of_line + 1
    return (text[:place],), (text[place:],)


def _without_lines(train: Iterable[str], validation: Iterable[str]) -> Parts:
    """The training documents without the long lines that the held-out ones have."""
    held: set[bytes] = set()
    for text in validation:
        held.update(map(_plain, long_lines(_bytes(text))))
    kept = []
    for text in train:
        lines = text.splitlines(keepends=True)
        rest = "".join(line for line in lines if not _known(_bytes(line), held))
        if rest.strip():
            kept.append(rest)
    return tuple(kept), tuple(validation)


def _known(line: bytes, held: set[bytes]) -> bool:
    return len(line.rstrip(b"\r\n")) >= LINE_BYTES and _plain(line) in held


def _plain(line: bytes) -> bytes:
    return normal(line).strip(b"\n")


def digest(text: str) -> bytes:
    """Sixteen bytes that tell documents apart."""
    return hashlib.blake2b(_bytes(text), digest_size=16).digest()


def _near_digest(text: str) -> bytes:
    plain = normal(_bytes(text)).replace(b"\n", b"")
    return hashlib.blake2b(plain, digest_size=16).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
