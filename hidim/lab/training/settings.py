"""What decides a training run? One frozen record, which is also the run's `config.json`.

Two runs with equal settings, text and versions on one kind of machine give equal losses. Where a
run writes, how often it saves and who watches it are not settings: they change no number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hidim.algorithms.schedules import WSD, Constant, Cosine, RiskMatched, Schedule, Warmup
from hidim.lab.text.splits import DEDUPS, SPLITS
from hidim.lab.text.tokens import parse_kind
from hidim.lab.training.names import spelled
from hidim.support.checks import (
    choice,
    finite,
    given_seed,
    hyphenated,
    non_negative,
    positive,
    whole,
)

SCHEDULES = ("constant", "cosine", "wsd", "risk-matched")
# The loss above its floor (1.1 nats) of SGD at a constant rate falls so with its tokens on the
# text of `stdlib`, and its best rates are about the reciprocal of the largest curvature.
_RISK_POWER = 1 / 3
PRECISIONS = ("auto", "float32", "bfloat16")
_LATER = {"split": "document", "dedup": "document"}


@dataclass(frozen=True)
class Settings:
    """A training run.

    Args:
        data: source of text, see `hidim.lab.text.sources.read_text`.
        max_mb: at most this much of it, millions of bytes.
        tokens: "byte", "char" or "bpe:SIZE".
        split: what is held out: "document", "file" or "time", see `hidim.lab.text.splits`.
        dedup: what counts twice: "document", "near" or "line".
        model: "lstm" or "transformer"; `width`, `layers`, `heads` are its size.
        context: inputs per window, tokens.
        batch_size: windows per optimizer step, over all processes and micro-batches.
        accumulation: micro-batches per step.
        steps: optimizer steps.
        optimizer: name, see `lab.training.optimizers`; `lr` is its peak rate, `options` the rest.
        schedule: "constant", "cosine" (to 0) or "wsd", over `steps`; `warmup` steps from zero. Or
            "risk-matched": over the `warmup` steps the rate rises as the risk's root falls
            (`hidim.RiskMatched` with s = 1/3), and stays.
        clip: largest norm of the whole gradient; 0 does not clip.
        validation_tokens: most held-out tokens per evaluation.
        evaluation_growth: evaluations at steps growth^k, and at the last; None evaluates at ten
            steps, which costs a default run 4 % of its time, and logs the training loss at 1.1^k.
        seed: of the initial weights and of the order of the text.
        precision: "float32", "bfloat16" (autocast) or "auto", bfloat16 where a GPU has it.
        compile: pass the model through torch.compile.

    Raises:
        ValueError: naming the argument, the value and the remedy.

    >>> Settings(steps=100).tokens_per_step
    2048
    """

    data: str = "stdlib"
    max_mb: float | None = None
    tokens: str = "byte"
    model: str = "lstm"
    width: int = 64
    layers: int = 2
    heads: int = 1
    context: int = 64
    batch_size: int = 32
    accumulation: int = 1
    steps: int = 300
    optimizer: str = "dana-decaying"
    lr: float = 6.0
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    warmup: int = 0
    clip: float = 1.0
    validation_tokens: int = 8192
    evaluation_growth: float | None = None
    seed: int = 0
    precision: str = "auto"
    compile: bool = False
    split: str = "document"
    dedup: str = "document"

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("width", "layers", "heads", "context", "batch_size", "accumulation", "steps"):
            put(name, int(whole(name, getattr(self, name), minimum=1)))
        put("warmup", int(whole("warmup", self.warmup)))
        put("seed", given_seed("seed", self.seed))
        if self.seed >= 2**63:
            raise ValueError(f"`seed` must be below 2^63, got {self.seed}.")
        put("validation_tokens", int(whole("validation_tokens", self.validation_tokens, minimum=1)))
        if self.max_mb is not None:
            put("max_mb", positive("max_mb", self.max_mb))
        put("lr", positive("lr", self.lr))
        put("clip", non_negative("clip", self.clip))
        if self.evaluation_growth is not None:
            put("evaluation_growth", finite("evaluation_growth", self.evaluation_growth))
        if self.evaluation_growth is not None and self.evaluation_growth <= 1:
            raise ValueError(
                f"`evaluation_growth` must exceed 1, got {self.evaluation_growth}; 1.1 is usual."
            )
        parse_kind(str(self.tokens))
        for name, known in (
            ("model", ("lstm", "transformer")),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("split", SPLITS),
            ("dedup", DEDUPS),
        ):
            put(name, choice(name, hyphenated(getattr(self, name)), known))
        for name in ("data", "optimizer"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"`{name}` must be a name, got {getattr(self, name)!r}.")
        if self.schedule == "risk-matched" and not self.warmup:
            raise ValueError(
                "`schedule` is 'risk-matched' and `warmup` is 0: give the steps over which the "
                "rate rises, such as a tenth of `steps`."
            )
        put("optimizer", spelled(self.optimizer))
        put("options", _plain(self.options))
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"`accumulation` must divide `batch_size`, got {self.accumulation} micro-batches "
                f"for {self.batch_size} windows."
            )

    @property
    def tokens_per_step(self) -> int:
        """Tokens trained on in one optimizer step."""
        return self.batch_size * self.context

    def rate(self) -> Schedule:
        """The factor on `lr` at step t = 0, 1, ..."""
        if self.schedule == "risk-matched":
            return RiskMatched(1.0, self.warmup, _RISK_POWER)
        shape: Schedule = Constant(1.0)
        if self.schedule == "cosine":
            shape = Cosine(self.steps)
        elif self.schedule == "wsd":
            shape = WSD(self.steps)
        return Warmup(self.warmup) * shape if self.warmup else shape

    def to_dict(self) -> dict[str, Any]:
        """Plain data, in the order above."""
        return {**dataclasses.asdict(self), "options": dict(sorted(self.options.items()))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from plain data.

        Raises:
            ValueError: an unknown name, with the nearest known one.
        """
        known = [one.name for one in dataclasses.fields(cls)]
        for name in values:
            choice("setting", name, known)
        return cls(**values)

    def replace(self, **changes: Any) -> Settings:
        """The same with some values changed."""
        return Settings.from_dict({**self.to_dict(), **changes})

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell settings apart."""
        return _digest(_as_before(self.to_dict()))

    @property
    def text_fingerprint(self) -> str:
        """Eight hexadecimal digits that tell apart what is read and how it is tokenized."""
        names = ("data", "max_mb", "tokens", *_LATER)
        return _digest(_as_before({name: getattr(self, name) for name in names}))


def _as_before(values: dict[str, Any]) -> dict[str, Any]:
    """Without what came later and is as it always was: folders keep their names."""
    return {key: value for key, value in values.items() if _LATER.get(key, ...) != value}


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as a file gives them back, so that a run resumes with what it began with."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(options), allow_nan=False))
    except (TypeError, ValueError):
        raise ValueError(
            "`options` must hold finite numbers, texts, true, false, none and lists of them, "
            f"got {dict(options)!r}."
        ) from None
    return plain


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
