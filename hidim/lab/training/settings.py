"""What decides a training run? One frozen record, which is also the run's `config.json`.

Two runs with equal settings, text and versions on one kind of machine give equal losses. Where a
run writes, how often it saves and who watches it are not settings: they change no number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hidim.algorithms.schedules import WSD, Constant, Cosine, RiskMatched, Schedule, Warmup
from hidim.lab.text.splits import DEDUPS, SPLITS
from hidim.lab.text.tokens import parse_kind
from hidim.lab.training.depth import TOKENS_PER_PARAMETER
from hidim.lab.training.names import spelled
from hidim.lab.training.networks.choices import CHOICES, chosen
from hidim.lab.training.networks.shapes import COUNTS, Shape
from hidim.lab.training.ramp import Ramp, parse_ramp
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
_MODELS = tuple(COUNTS)
# Settings that came later, with what was always meant: folders of before keep their names.
_LATER_TEXT = {"split": "document", "dedup": "document"}
_LATER = {**_LATER_TEXT, **dict.fromkeys((*CHOICES, "batch_ramp", "log_every"))}
_SHORT = {"bf16": "bfloat16", "fp32": "float32"}


@dataclass(frozen=True)
class Settings:
    """A training run.

    Args:
        data: source of text, see `hidim.lab.text.sources.read_text`.
        max_mb: at most this much of it, millions of bytes.
        tokens: "byte", "char" or "bpe:SIZE".
        split: what is held out: "document", "file" or "time", see `hidim.lab.text.splits`.
        dedup: what counts twice: "document", "near" or "line".
        model: "lstm", "transformer" or "modern"; `width`, `layers`, `heads` are its size.
        context: inputs per window, tokens.
        batch_size: windows per optimizer step, over all processes and micro-batches.
        accumulation: micro-batches per step.
        steps: optimizer steps; "auto" for 20 tokens per parameter.
        optimizer: name, see `lab.training.optimizers`; `lr` is its peak rate, `options` the rest.
        schedule: "constant", "cosine" (to 0) or "wsd", over `steps`; `warmup` steps from zero. Or
            "risk-matched": over the `warmup` steps the rate rises as the risk's root falls
            (`hidim.RiskMatched` with s = 1/3), and stays.
        clip: largest norm of the whole gradient; 0 does not clip.
        validation_tokens: most held-out tokens per evaluation.
        evaluation_growth: evaluations at steps growth^k, and at the last; None evaluates at ten
            steps, which costs a default run 4 % of its time, and logs the training loss at 1.1^k.
        seed: of the initial weights and of the order of the text.
        precision: "float32", "bfloat16" (autocast, or "bf16") or "auto", bfloat16 where a GPU has
            it.
        compile: pass the model through torch.compile.
        norm, positions, qk_norm, head, mlp, parametrization: choices about the model "modern", see
            `hidim.lab.training.networks.choices`; None takes the usual one.
        batch_ramp: "START:STEPS", the batch doubles from START windows to `batch_size` over the
            first STEPS steps.
        log_every: also log every so many steps, beside 1.1^k.

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
    norm: str | None = None
    positions: str | None = None
    qk_norm: bool | None = None
    head: str | None = None
    mlp: str | None = None
    parametrization: str | None = None
    batch_ramp: str | None = None
    log_every: int | None = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("width", "layers", "heads", "context", "batch_size", "accumulation"):
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
        put("precision", _SHORT.get(hyphenated(self.precision), self.precision))
        for name, known in (
            ("model", _MODELS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("split", SPLITS),
            ("dedup", DEDUPS),
        ):
            put(name, choice(name, hyphenated(getattr(self, name)), known))
        for name, value in chosen(self.model, {key: getattr(self, key) for key in CHOICES}).items():
            put(name, value)
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
        if self.batch_ramp is not None:
            self._check_ramp()
        if self.log_every is not None:
            put("log_every", int(whole("log_every", self.log_every, minimum=1)))
        steps: Any = self.steps
        put("steps", self._auto() if steps == "auto" else int(whole("steps", steps, minimum=1)))

    def _check_ramp(self) -> None:
        ramp = parse_ramp(str(self.batch_ramp), self.batch_size)
        object.__setattr__(self, "batch_ramp", f"{ramp.start}:{ramp.over}")
        if ramp.start % self.accumulation:
            raise ValueError(
                f"`accumulation` must divide the first batch of `batch_ramp`, got "
                f"{self.accumulation} micro-batches for {ramp.start} windows."
            )
        if self.compile and ramp.doublings > 7:
            raise ValueError(
                f"`batch_ramp` has {ramp.doublings + 1} sizes, and `compile` makes at most eight "
                "programs. Start the ramp higher."
            )

    def _auto(self) -> int:
        """Steps of 20 tokens per parameter, rounded up."""
        kind, size = parse_kind(str(self.tokens))
        if kind == "char":
            raise ValueError(
                "`steps` 'auto' counts parameters, which depend on the characters of the text: "
                "give a number, or `tokens` byte or bpe:SIZE."
            )
        tokens = TOKENS_PER_PARAMETER * self.shape(size or 256).parameters
        windows = -(-tokens // self.context)
        ramp = self._ramp
        return ramp.steps_for(windows) if ramp else -(-windows // self.batch_size)

    def shape(self, vocabulary: int) -> Shape:
        """The size of the model on a text of so many different tokens."""
        choices = {name: getattr(self, name) for name in CHOICES}
        size = (self.width, self.layers, self.context, self.heads)
        return Shape(self.model, vocabulary, *size, **choices)

    @property
    def tokens_per_step(self) -> int:
        """Tokens trained on in one optimizer step, of the whole batch."""
        return self.batch_size * self.context

    @property
    def _ramp(self) -> Ramp | None:
        return None if self.batch_ramp is None else parse_ramp(self.batch_ramp, self.batch_size)

    def batch_at(self, step: int) -> int:
        """Windows of step 0, 1, ..."""
        ramp = self._ramp
        return self.batch_size if ramp is None else ramp.at(step)

    def windows_before(self, step: int) -> int:
        """Windows of all steps before this one.

        >>> Settings(batch_ramp="8:100").windows_before(50)
        400
        """
        ramp = self._ramp
        return self.batch_size * step if ramp is None else ramp.before(step)

    def tokens_before(self, step: int) -> int:
        """Tokens trained on before this step."""
        return self.windows_before(step) * self.context

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
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {**plain, "options": deepcopy(dict(sorted(self.options.items())))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from plain data.

        Raises:
            ValueError: an unknown name, with the nearest known one.
        """
        known = cls.__dataclass_fields__
        for name in values.keys() - known.keys():
            choice("setting", name, list(known))
        return cls(**values)

    def replace(self, **changes: Any) -> Settings:
        """The same with some values changed; of another model with that one's usual choices."""
        kept = self.to_dict()
        if changes.get("model", self.model) != self.model:
            kept |= dict.fromkeys(CHOICES)
        return Settings.from_dict({**kept, **changes})

    @cached_property  # plans of hundreds of runs ask for it again and again
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that tell settings apart."""
        return _digest(_as_before(self.to_dict()))

    @cached_property
    def text_fingerprint(self) -> str:
        """Eight hexadecimal digits that tell apart what is read and how it is tokenized."""
        names = ("data", "max_mb", "tokens", *_LATER_TEXT)
        return _digest(_as_before({name: getattr(self, name) for name in names}))


def _as_before(values: dict[str, Any]) -> dict[str, Any]:
    """Without what came later and is as it always was."""
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
