"""In which spellings do people and trainers write the kind and the numbers of a schedule?

    cosine_with_min_lr lr=3e-4 min_lr_rate=0.1 num_warmup_steps=1000 num_training_steps=24000
    --lr-decay-style cosine --lr 3e-4 --min-lr 3e-5 --lr-warmup-iters 2000 --lr-decay-iters 24000

Every spelling here means one thing; what could mean two is left to be refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from hidim.support.checks import nearest

# Spelling -> the number meant.
_NUMBERS = {
    "peak": "lr max rate learning_rate max_lr peak_lr base_lr peak_value peak_learning_rate "
    "max_learning_rate initial_lr lr_max from lr_peak warmup_max_lr",
    "end": "min min_lr floor final to end_lr final_lr eta_min lr_end min_learning_rate end_value "
    "end_learning_rate min_value lr_min",
    "warmup": "warmup_steps warm warm_up warmup_iters warmup_iterations num_warmup_steps "
    "lr_warmup_steps lr_warmup_iters linear_warmup warm_up_steps t_warmup lr_warmup warmup_length "
    "warmup_num_steps warmup_updates",
    "decay": "decay_steps cooldown anneal tail num_decay_steps cooldown_steps cooldown_iters "
    "anneal_steps decay_iters lr_wsd_decay_iters lr_wsd_decay_steps wsd_decay_iters",
    "steps": "total total_steps max_steps iters iterations length horizon num_training_steps "
    "t_max max_iters train_iters train_steps training_steps total_iters max_step num_steps "
    "transition_steps num_iterations total_training_steps total_iterations total_num_steps "
    "max_train_steps max_update max_updates total_num_update max_duration",
    "until": "lr_decay_iters lr_decay_steps",
    "stable": "stable_steps num_stable_steps flat hold",
    "start": "decay_start start_decay decay_from cooldown_start",
    "at": "milestones drops",
    "factor": "gamma factors",
    "exponent": "power",
    "shape": "decay_shape decay_type lr_decay_type lr_wsd_decay_style wsd_decay_style "
    "anneal_strategy cooldown_type",
    "initial": "initial_value start_lr",
    "rates": "",
    "div_factor": "",
    "final_div_factor": "",
}
# The same for names of shares, whatever their size.
_OF_SHARES = {
    "end": "min_lr_ratio min_lr_rate end_ratio final_ratio lr_ratio final_lr_ratio end_fraction "
    "final_fraction min_lr_factor alpha_f min_lr_fraction min_lr_frac "
    "cosine_learning_rate_final_fraction",
    "warmup": "warmup_ratio warmup_fraction warmup_frac warmup_share lr_warmup_fraction pct_start "
    "warmup_steps_fraction",
    "decay": "decay_ratio decay_fraction decay_frac cooldown_fraction cooldown_frac cooldown_ratio",
}
_WORDED_KINDS = {
    "constant": "flat const constant-with-warmup constantlr get-constant-schedule "
    "get-constant-schedule-with-warmup",
    "cosine": "cos cosine-decay cosine-annealing cosineannealing cosineannealinglr "
    "cosine-with-warmup cosine-warmup cosine-with-min-lr cosine-schedule cosine-annealing-lr "
    "cosine-warmup-with-min-lr get-cosine-schedule-with-warmup warmup-cosine "
    "get-cosine-with-min-lr-schedule-with-warmup warmup-cosine-decay-schedule "
    "cosine-decay-with-warmup cosine-annealing-with-warmup linear-warmup-cosine-decay",
    "linear": "linear-decay linear-with-warmup linear-decay-with-warmup linear-to-zero "
    "get-linear-schedule-with-warmup",
    "polynomial": "poly polynomial-decay polynomiallr polynomial-with-warmup "
    "get-polynomial-decay-schedule-with-warmup polynomial-decay-with-warmup",
    "wsd": "trapezoid trapezoidal warmup-stable-decay warmup-hold-decay get-wsd-schedule",
    "multistep": "multi-step step steps multisteplr step-decay",
    "inverse-sqrt": "isqrt rsqrt noam inverse-sqrt-decay inv-sqrt inverse-square-root inversesqrt "
    "get-inverse-sqrt-schedule",
    "onecycle": "one-cycle 1cycle onecyclelr one-cycle-lr onecycle-lr",
}


def _turned(groups: dict[str, str]) -> dict[str, str]:
    return {spelling: name for name, many in groups.items() for spelling in many.split()}


ALIASES = _turned(_NUMBERS)
SHARES = _turned(_OF_SHARES)
KINDS = _turned(_WORDED_KINDS)
NAMES = {*_NUMBERS, *ALIASES, *SHARES}
# Names whose value is a kind.
_OF_KIND = (
    "lr_scheduler_type lr_decay_style lr_scheduler scheduler scheduler_type schedule schedule_type "
    "lr_schedule decay_style kind lr_policy type"
)
OF_KIND = frozenset(_turned({"": _OF_KIND}))
# Numbers of trainers that change nothing at these values, and are refused at others.
NEUTRAL = {
    "init_value": ("0", "0.0"),
    "lr_warmup_init": ("0", "0.0"),
    "warmup_init_lr": ("0", "0.0"),
    "warmup_min_lr": ("0", "0.0"),
    "start_factor": ("0", "0.0"),
    "num_cycles": ("0.5", ".5"),
    "last_epoch": ("-1",),
    "last_step": ("-1",),
    "warmup_type": ("linear",),
    "warmup_style": ("linear",),
    "decay_lr": ("true", "1"),
    "verbose": ("false", "true"),
    "cycle_momentum": ("false", "true"),
    "three_phase": ("false",),
}
# Settings that one program alone names together, whose schedule they are: nanoGPT's. Megatron
# has `lr_decay_iters` too, and says lr and lr_warmup_iters.
_TOGETHER = {"cosine": frozenset(("learning_rate", "min_lr", "warmup_iters", "lr_decay_iters"))}
# Of some kinds a name means something else than elsewhere.
_OWN = {"warmup-cosine-decay-schedule": {"decay_steps": "steps"}}
# Schedules of libraries that are no kind here, and how to say them.
_KNOTS = "give its knots, steps and rates in file:plan.csv"
_ELSEWHERE = {
    "steplr": "say its drops, 'multistep peak=3e-4 at=8000,16000 factor=0.1 steps=24000'",
    "linearlr": "say 'linear peak=3e-4 end=0 steps=24000', or warmup=2000 of another kind",
    "warmuplr": "say 'constant peak=3e-4 warmup=2000' where its warmup_type is linear, else "
    f"{_KNOTS}",
    "warmupdecaylr": "say 'linear peak=3e-4 warmup=2000 steps=24000' where its warmup_type is "
    f"linear, else {_KNOTS}",
    "warmupcosinelr": "say 'cosine peak=3e-4 warmup=2000 steps=24000' where its warmup_type is "
    f"linear, else {_KNOTS}",
    **dict.fromkeys(("exponentiallr", "exponential", "exponential-decay"), _KNOTS),
    **dict.fromkeys(("lambdalr", "multiplicativelr", "sequentiallr", "chainedscheduler"), _KNOTS),
    **dict.fromkeys(
        ("1-sqrt", "one-minus-sqrt", "minus-sqrt", "1-sqrt-decay", "sqrt"),
        "say 'wsd peak=3e-4 decay=20% shape=sqrt steps=24000', which falls as 1 - sqrt",
    ),
    **dict.fromkeys(("reducelronplateau", "cycliclr"), _KNOTS),
}
_SHAPES = {
    "cos": "cosine",
    "lin": "linear",
    "exp": "exponential",
    **dict.fromkeys(("1-sqrt", "minus-sqrt", "one-minus-sqrt", "1-sqrt-decay"), "sqrt"),
}
_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9}
UNITS = frozenset(("step", "steps", "iter", "iters", "iterations", "updates"))


def spelled(text: str) -> str:
    """A kind as tables write it: `SchedulerType.COSINE_WITH_MIN_LR` as cosine-with-min-lr."""
    return text.strip("\"' :,").rpartition(".")[2].lower().replace("_", "-")


def named(text: str) -> str:
    """A name as tables write it: `--lr-scheduler.warmup-steps` as warmup_steps."""
    return text.strip("\"'").lstrip("-").rpartition(".")[2].lower().replace("-", "_")


def kind_of(text: str) -> str:
    """The kind behind a spelling, in lower case; what is no known spelling as it is."""
    return KINDS.get(spelled(text), spelled(text))


def a_kind(kind: str) -> str:
    """A kind with its article.

    >>> a_kind("inverse-sqrt"), a_kind("onecycle")
    ('an inverse-sqrt', 'a onecycle')
    """
    return f"{'an' if kind[:1] in 'aei' else 'a'} {kind}"


def kind_by(names: Iterable[str]) -> str:
    """The kind of a schedule whose settings have names that one program alone gives them, or "".

    >>> kind_by(["learning_rate", "min_lr", "warmup_iters", "lr_decay_iters"]), kind_by(["min_lr"])
    ('cosine', '')
    """
    given = set(names)
    return next((kind for kind, all_of in _TOGETHER.items() if all_of <= given), "")


def is_neutral(name: str, value: str) -> bool:
    """Whether a setting of `NEUTRAL` has a value that changes nothing, numbers being compared.

    >>> is_neutral("num_cycles", "0.50"), is_neutral("num_cycles", "2")
    (True, False)
    """
    if value.lower() in NEUTRAL[name]:
        return True
    try:
        return any(float(value) == float(one) for one in NEUTRAL[name])
    except ValueError:
        return False


def is_elsewhere(text: str) -> bool:
    """Whether this is a schedule of another library that is said otherwise here.

    >>> is_elsewhere("torch.optim.lr_scheduler.StepLR"), is_elsewhere("Cosine")
    (True, False)
    """
    return spelled(text) in _ELSEWHERE


def no_kind(text: str, kinds: Iterable[str]) -> str:
    """What to say of a word that should be a kind and is none."""
    said = f"{text!r} is no kind of schedule that is known: {', '.join(kinds)}, or file:plan.csv."
    if "restart" in text.lower() or "cyclic" in text.lower():
        return f"{said} Give the knots of its cycles, steps and rates in a file."
    if re.search(r"[/\\]|\.(csv|tsv|txt|jsonl?)$", text, re.IGNORECASE):
        return f"{text!r} is no kind of schedule; a file of steps and rates is file:{text}."
    if (other := _ELSEWHERE.get(spelled(text))) is not None:
        return f"{text!r} is no kind of schedule here: {other}."
    near = nearest(spelled(text), [*kinds, *KINDS])
    return f"{said} Did you mean {near!r}?" if near else said


def meaning(name: str, kind: str = "") -> tuple[str, bool]:
    """The number that a name means, in a kind of this spelling, and whether it is a share.

    >>> meaning("min_lr"), meaning("pct_start"), meaning("decay_steps")
    (('end', False), ('warmup', True), ('decay', False))
    """
    own = _OWN.get(spelled(kind), {})
    if name in own:
        return own[name], False
    return SHARES.get(name, ALIASES.get(name, name)), name in SHARES


def shape_of(value: str) -> str:
    """The shape of a tail, `1-sqrt` being sqrt."""
    shape = spelled(value)
    return _SHAPES.get(shape, shape)


def number_of(name: str, value: str) -> tuple[float, bool]:
    """A number as people write it, NaN where it is none, and whether it is a share.

    >>> number_of("steps", "24k"), number_of("end", "10%"), number_of("end", "0.1x")
    ((24000.0, False), (0.1, True), (0.1, True))
    """
    text, share, scale = value.strip().lower(), False, 1.0
    if text.endswith("%"):
        text, share, scale = text[:-1], True, 0.01
    elif name in ("end", "rates", "initial") and (
        found := re.fullmatch(r"([\d.e+-]+) ?[x*] ?(peak|lr)?", text)
    ):
        text, share = found[1], True
    elif name in ("steps", "warmup", "decay", "at", "start", "stable", "until"):
        text = re.sub(r" ?(steps?|iters?|ba)$", "", text)
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
