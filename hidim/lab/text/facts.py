"""What should a reader know of a text before trusting a loss on it?

    train_bytes, validation_bytes   so that nats per token become bits per byte, which compare
    documents                       trained on and held out
    data_fingerprint                of the text itself, whatever its tokens
    overlap                         see `overlap.py`
    half_width                      of the 95 % interval of a loss on all held-out tokens, nats:
                                    1.96 s / sqrt(n), s the spread of a unigram's loss, at least 1
    notes                           a line each

A held-out part too short to tell anything is refused: the loss on 3 tokens is their accident.
Limits: neighbouring tokens are taken as independent, so the interval is rather wider.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hidim.lab.text.overlap import from_dict, overlap
from hidim.lab.text.sources import Text
from hidim.lab.text.splits import HELD_OUT
from hidim.lab.text.tokens import Tokens

_WIDEST = 0.25  # nats: a half-width beyond which no loss is worth measuring
_WIDE = 0.05  # beyond which one is told
MANY_PASSES = 4.0  # over a text, beyond which repeats teach ever less (arXiv 2305.16264)
_MUCH = 0.15  # of the text held out, where 5 % is meant


def facts_of(text: Text, tokens: Tokens, *, asked: int = 0) -> dict[str, Any]:
    """The facts of a text and its tokens, as plain data.

    Args:
        text: the documents.
        tokens: of them.
        asked: size of the vocabulary that was asked for, 0 for any.
    """
    notes = list(text.notes)
    if tokens.vocabulary.size < asked:
        notes.append(
            f"the vocabulary has {tokens.vocabulary.size:,} tokens, not {asked:,}: "
            "the text has no more pairs to merge"
        )
    unknown = int(np.sum(tokens.validation == tokens.vocabulary.size - 1))
    if tokens.vocabulary.kind == "char" and unknown:
        notes.append(f"{unknown:,} held-out characters are not in the training part: one token")
    train, held = _size(text.train), _size(text.validation)
    if held > _MUCH * (train + held):
        notes.append(f"{held / (train + held):.0%} of the text is held out: it has few parts")
    return {
        "train_bytes": train,
        "validation_bytes": held,
        "documents": [len(text.train), len(text.validation)],
        "data_fingerprint": _fingerprint(text),
        "overlap": overlap(text.train, text.validation).to_dict(),
        "half_width": half_width(tokens),
        "notes": notes,
    }


def half_width(tokens: Tokens) -> float:
    """Half of the 95 % interval of a loss on all held-out tokens, nats; a rough measure."""
    if not len(tokens.validation):
        return math.inf
    size = tokens.vocabulary.size
    counts = np.bincount(tokens.train, minlength=size).astype(np.float64) + 1.0
    loss = -np.log(counts / counts.sum())[np.minimum(tokens.validation, size - 1)]
    return 1.96 * max(float(loss.std()), 1.0) / math.sqrt(len(loss))


def check_enough(tokens: Tokens, source: str) -> None:
    """Refuse a text whose validation loss would say nothing.

    Raises:
        ValueError: all its tokens are one and the same, or too few are held out.
    """
    if len(tokens.train) and np.all(tokens.train == tokens.train[0]):
        raise ValueError(
            f"`data` {source!r} repeats one and the same token: there is nothing to learn."
        )
    half = tokens.facts.get("half_width", None)
    half = half_width(tokens) if half is None else half
    if half > _WIDEST:
        held, every = len(tokens.validation), len(tokens.validation) + len(tokens.train)
        more = math.ceil((half / _WIDEST) ** 2)
        other = ", or another `split`" if _another_would_do(tokens, source, half) else ""
        raise ValueError(
            f"`data` {source!r} is too short: of its {every} tokens {held} are held out, from "
            f"which a loss is known to ± {half:.1g} nats. Give {more} times as much text or "
            f"more{other}."
        )


def _another_would_do(tokens: Tokens, source: str, half: float) -> bool:
    """Whether the share that is meant to be held out, or one usual document, would be enough.

    Of several documents a whole small one may be what is held out; one alone every split cuts at
    the same place.
    """
    documents = sum(tokens.facts.get("documents", ()))  # two parts of one, too
    several = documents > 2 or (documents == 2 and not (source == "-" or Path(source).is_file()))
    held, every = len(tokens.validation), len(tokens.validation) + len(tokens.train)
    likely = every * max(HELD_OUT, 1 / max(documents, 1))
    return several and half * math.sqrt(max(held, 1) / likely) <= _WIDEST


def lines_of(facts: Mapping[str, Any], *, evaluated: int) -> list[str]:
    """What to tell before training starts.

    Args:
        facts: of the text.
        evaluated: most held-out tokens per evaluation.
    """
    found = from_dict(facts.get("overlap"))
    told = [*facts.get("notes", ())]
    if found is not None:
        told += [str(found), *([found.caution] if found.caution else [])]
    half = facts.get("half_width")
    held = facts.get("validation_tokens", evaluated)
    if half is not None and held > evaluated:
        half *= math.sqrt(held / evaluated)
    if half is not None and half > _WIDE:
        told.append(
            f"a validation loss on {min(held, evaluated):,} tokens of this text is known to about "
            f"± {half:.2g} nats: smaller differences may be this text's alone"
        )
    return told


def line_of_passes(trained: int, tokens: int, *, steps: int) -> str:
    """How often a run reads its text, and whether that is too often.

    Args:
        trained: tokens that the run trains on.
        tokens: of the training part.
        steps: of the run.

    >>> line_of_passes(204_800, 1_000_000, steps=100)
    '100 steps are 0.2 passes over the 1,000,000 tokens of the training part'
    """
    passes = trained / tokens
    shown = f"{passes:,.0f}" if passes >= 10 else f"{passes:.2g}"
    verb = "step is" if steps == 1 else "steps are"
    what = "pass" if shown == "1" else "passes"
    line = f"{steps:,} {verb} {shown} {what} over the {tokens:,} tokens of the training"
    if passes <= MANY_PASSES:
        return f"{line} part"
    return (
        f"{line} part: beyond {MANY_PASSES:.0f} repeats teach ever less than new text "
        "(arXiv 2305.16264). Give more text, or fewer steps"
    )


def bits_per_byte(text: Mapping[str, Any], kind: str) -> float | None:
    """Bits per byte of a loss of 1 nat per token; None where a run has no byte counts.

    Args:
        text: of the run's `config.json`.
        kind: of its tokens.

    >>> round(bits_per_byte({}, "byte"), 4)
    1.4427
    >>> bits_per_byte({"validation_tokens": 10, "validation_bytes": 40}, "bpe:500") * math.log(2)
    0.25
    """
    per_byte = 1.0
    if kind != "byte":
        tokens, size = text.get("validation_tokens"), text.get("validation_bytes")
        if not tokens or not size:
            return None
        per_byte = tokens / size
    return per_byte / math.log(2)


def _size(documents: tuple[str, ...]) -> int:
    return sum(len(document.encode("utf-8", "replace")) for document in documents)


def _fingerprint(text: Text) -> str:
    found = hashlib.sha256()
    for part in (text.train, text.validation):
        for document in part:
            found.update(document.encode("utf-8", "replace"))
            found.update(b"\0")
        found.update(b"|")
    return found.hexdigest()[:12]
