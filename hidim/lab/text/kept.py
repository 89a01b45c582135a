"""Tokens in a file, so that a text is read once: for a sweep, or where it came through a pipe."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hidim.lab.text.tokens import Tokens, Vocabulary
from hidim.support.files import write_with
from hidim.support.json import plain


def save_npz(path: Path, tokens: Tokens) -> None:
    """Keep tokens, their vocabulary and the facts of the text in one file, whole or not at all."""
    arrays: dict[str, Any] = {
        "vocabulary": np.array(json.dumps(tokens.vocabulary.to_dict())),
        "facts": np.array(json.dumps(plain(dict(tokens.facts)))),
        "train": tokens.train,
        "validation": tokens.validation,
    }
    write_with(path, lambda stream: np.savez(stream, **arrays))


def load_npz(path: Path) -> Tokens:
    """Tokens kept by `save_npz`.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with open(path, "rb") as stream, np.load(stream) as file:
            vocabulary = Vocabulary(**json.loads(str(file["vocabulary"])))
            facts = json.loads(str(file["facts"])) if "facts" in file else {}
            return Tokens(file["train"], file["validation"], vocabulary, facts)
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, ValueError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged ({type(error).__name__}). Delete it: the text is read again."
        ) from None
