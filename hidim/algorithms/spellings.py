"""In which spellings do people and trainers write the kind and the numbers of a schedule?

    wsd(peak=3e-4, warmup=1k, decay=20%, steps=24,000)
    cosine_with_min_lr lr=3e-4 min_lr_rate=0.1 num_warmup_steps=1000 num_training_steps=24000
    cosine --lr 3e-4 --min-lr 0.1x --steps 24k

Every spelling here means one thing; what could mean two is left to be refused.
"""

from __future__ import annotations

import math
import re

_ALIASES = {
    **dict.fromkeys(("lr", "max", "rate", "learning_rate", "max_lr", "peak_lr", "base_lr"), "peak"),
    **dict.fromkeys(("min", "min_lr", "floor", "final", "to", "end_lr", "final_lr"), "end"),
    **dict.fromkeys(("eta_min", "lr_end", "min_learning_rate"), "end"),
    **dict.fromkeys(("warmup_steps", "warm", "warm_up", "warmup_iters"), "warmup"),
    **dict.fromkeys(("num_warmup_steps", "lr_warmup_steps", "lr_warmup_iters"), "warmup"),
    **dict.fromkeys(("decay_steps", "cooldown", "anneal", "tail"), "decay"),
    **dict.fromkeys(("num_decay_steps", "cooldown_steps", "cooldown_iters"), "decay"),
    **dict.fromkeys(("total", "total_steps", "max_steps", "iters", "length", "horizon"), "steps"),
    **dict.fromkeys(("num_training_steps", "t_max", "max_iters", "train_iters"), "steps"),
    **dict.fromkeys(("lr_decay_iters", "train_steps", "training_steps"), "steps"),
    **dict.fromkeys(("stable_steps", "num_stable_steps", "flat", "hold"), "stable"),
    **dict.fromkeys(("decay_start", "start_decay", "decay_from", "cooldown_start"), "start"),
    **dict.fromkeys(("milestones", "drops"), "at"),
    **dict.fromkeys(("gamma", "factors"), "factor"),
    "power": "exponent",
}
# Names of shares, whatever their size.
SHARES = {
    **dict.fromkeys(("min_lr_ratio", "min_lr_rate", "end_ratio", "final_ratio"), "end"),
    **dict.fromkeys(("lr_ratio", "final_lr_ratio", "end_fraction", "final_fraction"), "end"),
    **dict.fromkeys(("warmup_ratio", "warmup_fraction", "warmup_frac", "warmup_share"), "warmup"),
    **dict.fromkeys(("decay_ratio", "decay_fraction", "decay_frac", "cooldown_fraction"), "decay"),
    **dict.fromkeys(("cooldown_frac", "cooldown_ratio"), "decay"),
}
_KINDS = {
    **dict.fromkeys(("flat", "const", "constant-with-warmup", "constantlr"), "constant"),
    **dict.fromkeys(("cos", "cosine-decay", "cosine-annealing", "cosineannealing"), "cosine"),
    **dict.fromkeys(("cosineannealinglr", "cosine-with-warmup", "cosine-warmup"), "cosine"),
    **dict.fromkeys(("cosine-with-min-lr", "cosine-schedule"), "cosine"),
    **dict.fromkeys(("linear-decay", "linear-with-warmup", "polynomial"), "linear"),
    **dict.fromkeys(
        ("trapezoid", "trapezoidal", "warmup-stable-decay", "warmup-hold-decay"), "wsd"
    ),
    **dict.fromkeys(("multi-step", "step", "steps", "multisteplr", "step-decay"), "multistep"),
    **dict.fromkeys(("isqrt", "rsqrt", "noam", "inverse-sqrt-decay", "inv-sqrt"), "inverse-sqrt"),
    **dict.fromkeys(("inverse-square-root", "inversesqrt"), "inverse-sqrt"),
}
_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9}


def kind_and_rest(text: str) -> tuple[str, str]:
    """The kind, in its own spelling where it is a known one, and the words after it.

    >>> kind_and_rest("Cosine decay: peak=1 steps=10")
    ('cosine', 'peak=1 steps=10')
    >>> kind_and_rest("wsd(peak=1, steps=10)")
    ('wsd', 'peak=1, steps=10')
    """
    line = text.strip()
    call = re.fullmatch(r"([A-Za-z_-]+)\s*\((.*)\)", line, re.DOTALL)
    if call and re.match(r"\s*[A-Za-z_]+\s*=", call[2]) and call[1][:1].islower():
        line = f"{call[1]} {call[2]}"
    first, _, rest = line.partition(" ")
    kind = first.lower().replace("_", "-").rstrip(":,")
    second, _, after = rest.strip().partition(" ")
    both = f"{kind}-{second.lower().replace('_', '-').rstrip(':,')}"
    if both in _KINDS or both == "inverse-sqrt":
        return _KINDS.get(both, both), after.strip()
    if f"{both}-{after.strip().partition(' ')[0].lower()}" in _KINDS:
        return kind_and_rest(f"{both}-{after.strip()}")
    known = _KINDS.get(kind, kind)
    return (known if kind in _KINDS or "=" not in first else first), rest


def words_of(text: str, rest: str) -> list[tuple[str, str]]:
    """The pairs of name and value, names in their own spelling.

    Raises:
        ValueError: a word without a value.

    >>> words_of("", "--lr 3e-4 warmup=1,000, at=8000,16000")
    [('peak', '3e-4'), ('warmup', '1,000'), ('at', '8000,16000')]
    """
    # Commas may part words too, but not the numbers of one list.
    line = re.sub(r"\s*[=:]\s*(?=[^\s=:])", "=", rest)
    line = re.sub(r"[,;]\s*(?=-{0,2}[A-Za-z_][\w-]*\s*[= ])", " ", line)
    line = re.sub(r",\s+(?=[\d.\[])", ",", line).rstrip(" ,;")
    # `peak 3e-4` and `--peak 3e-4` name their value as well.
    line = re.sub(r"(?<![\w=.-])-{0,2}([A-Za-z_][\w-]*)\s+(?=[\d.])", r"\1=", line)
    out = []
    for word in line.split():
        name, equals, value = word.partition("=")
        name = name.lstrip("-").lower().replace("-", "_")
        if not equals or not value or not name:
            raise ValueError(f"cannot read {word!r} in the schedule {text!r}: write NAME=VALUE.")
        out.append((_ALIASES.get(name, name), value.strip("\"'")))
    return out


def number_of(name: str, value: str) -> tuple[float, bool]:
    """A number as people write it, NaN where it is none, and whether it is a share.

    >>> number_of("steps", "24k"), number_of("end", "10%"), number_of("end", "0.1x")
    ((24000.0, False), (0.1, True), (0.1, True))
    """
    text, share, scale = value.strip().lower(), False, 1.0
    if text.endswith("%"):
        text, share, scale = text[:-1], True, 0.01
    elif name in ("end", "rates") and (
        found := re.fullmatch(r"([\d.e+-]+) ?[x*] ?(peak|lr)?", text)
    ):
        text, share = found[1], True
    elif name in ("steps", "warmup", "decay", "at", "start", "stable"):
        text = re.sub(r" ?(steps?|iters?)$", "", text)
        if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
            text = text.replace(",", "")
        if text[-1:] in _SUFFIX:
            text, scale = text[:-1], _SUFFIX[text[-1]]
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return math.nan, share
    # Products with .01 keep the digits of a share written in percent.
    return (number / 100 if share and scale != 1.0 else number * scale), share
