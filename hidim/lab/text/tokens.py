"""How does text become numbers? Bytes, characters, or a byte-pair encoding trained on it.

Whatever a vocabulary learns, it learns from the training documents alone. A vocabulary is plain
data (`to_dict`), so a checkpoint carries it and a resumed run can tell that it is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from hidim.lab.text.sources import Text
from hidim.support.checks import whole
from hidim.support.extras import require

_AT_ONCE = 1024  # documents encoded in one call


@dataclass(frozen=True)
class Tokens:
    """A text as numbers, split.

    Attributes:
        train: token of every position, shape (n,), unsigned.
        validation: the same of the held-out documents, shape (m,).
        vocabulary: what the numbers mean.
        facts: what else is known of the text, see `facts.py`.
    """

    train: np.ndarray
    validation: np.ndarray
    vocabulary: Vocabulary
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with any token of either part."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
            digest.update(b"|")
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Vocabulary:
    """The map from text to numbers below `size`.

    Args:
        kind: "byte", "char" or "bpe".
        entries: the characters in order for "char", the trained model as JSON for "bpe".
    """

    kind: str
    entries: str = ""

    @property
    def size(self) -> int:
        """Number of different tokens."""
        if self.kind == "byte":
            return 256
        if self.kind == "char":
            return len(self.entries) + 1  # the last one stands for characters never trained on
        return int(self._bpe().get_vocab_size())

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that tell vocabularies apart."""
        return hashlib.sha256(f"{self.kind}|{self.entries}".encode()).hexdigest()[:12]

    def encode(self, documents: Iterable[str]) -> np.ndarray:
        """The tokens of the documents one after another, shape (n,)."""
        if self.kind == "byte":
            joined = b"".join(text.encode("utf-8", "replace") for text in documents)
            return np.frombuffer(joined, dtype=np.uint8)
        dtype = np.uint16 if self.size <= 2**16 else np.uint32
        if self.kind == "char":
            return self._characters("".join(documents)).astype(dtype)
        bpe, left = self._bpe(), iter(documents)
        parts: list[np.ndarray] = []
        # A few documents at a time: what the library keeps of a token takes a hundred bytes.
        while some := list(islice(left, _AT_ONCE)):
            parts += [np.asarray(one.ids, dtype=dtype) for one in bpe.encode_batch(some)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text behind some tokens; what cannot be shown is a replacement character."""
        numbers = [int(token) for token in tokens]
        if self.kind == "byte":
            return bytes(numbers).decode("utf-8", "replace")
        if self.kind == "char":
            return "".join((self.entries + "\ufffd")[number] for number in numbers)
        return str(self._bpe().decode(numbers))

    def to_dict(self) -> dict[str, str]:
        """Plain data, for a checkpoint."""
        return {"kind": self.kind, "entries": self.entries}

    def _characters(self, text: str) -> np.ndarray:
        known = np.array([ord(c) for c in self.entries], dtype=np.uint32)  # ascending
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        place = np.searchsorted(known, codes)
        found = known[np.minimum(place, len(known) - 1)] == codes
        return np.where(found, place, len(known))

    def _bpe(self) -> Any:
        return require("tokenizers", "lab").Tokenizer.from_str(self.entries)


def parse_kind(tokens: str) -> tuple[str, int]:
    """`byte`, `char` or `bpe:SIZE` as kind and size (0 where the text decides).

    >>> parse_kind("bpe:1024")
    ('bpe', 1024)
    """
    kind, _, size = tokens.partition(":")
    if kind == "bpe":
        try:
            return kind, int(whole("tokens", size or 4096, minimum=257))
        except ValueError:
            raise ValueError(
                f"`tokens` {tokens!r} must be bpe:SIZE with a whole SIZE of 257 or more: the 256 "
                "bytes are tokens, and a pair at least."
            ) from None
    if tokens not in ("byte", "char"):
        raise ValueError(f"`tokens` must be byte, char or bpe:SIZE, got {tokens!r}.")
    return tokens, 0


def tokenize(text: Text, tokens: str = "byte") -> Tokens:
    """Learn a vocabulary from the training documents and encode both parts.

    Args:
        text: the documents.
        tokens: "byte" (256 tokens), "char", or "bpe:SIZE", a byte-level pair encoding.

    Raises:
        ValueError: another name, or a size below 257.
        MissingExtra: a pair encoding without the `tokenizers` package.

    >>> text = Text(("abracadabra",), ("abc?",), "example", "")
    >>> tokenize(text, "char").validation.tolist()
    [0, 1, 2, 5]
    """
    kind, size = parse_kind(tokens)
    if kind == "byte":
        vocabulary = Vocabulary("byte")
    elif kind == "char":
        vocabulary = Vocabulary("char", "".join(sorted(set().union(*map(set, text.train)))))
    else:
        vocabulary = Vocabulary("bpe", _train_bpe(text.train, size))
    return Tokens(vocabulary.encode(text.train), vocabulary.encode(text.validation), vocabulary)


def _train_bpe(documents: Iterable[str], size: int) -> str:
    library: Any = require("tokenizers", "lab")
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        # All 256 bytes, so that no text is ever unknown.
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(documents, trainer)
    return json.dumps(json.loads(tokenizer.to_str()))
