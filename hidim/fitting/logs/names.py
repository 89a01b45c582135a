"""Under which names do programs log step, loss, learning rate and run?

Names are compared in one spelling: lower case, with "_" for blanks, points, dashes and slashes.
"""

from __future__ import annotations

import math
import re

# The most specific first.
ALIASES: dict[str, tuple[str, ...]] = {
    "step": (
        *("step", "steps", "global_step", "train_global_step", "trainer_global_step"),
        *("optimizer_step", "optimizer_steps", "optim_step", "iteration", "iterations", "iter"),
        *("num_updates", "n_updates", "num_update", "update", "updates", "iters", "it"),
        *(
            "train_step",
            "training_step",
            "step_i",
            "itr",
            "train_iter",
            "train_iteration",
            "step_num",
            "n_iter",
        ),
        *(
            "current_steps",
            "current_step",
            "time_batch",
            "completed_steps",
            "opt_step",
            "gradient_step",
        ),
        "_step",  # W&B counts its own calls, which need not be optimizer steps
    ),
    "loss": (
        *("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "lm_loss"),
        *("crossentropyloss", "train_crossentropyloss", "cross_entropy_loss", "ce_loss"),
        *("train_ce_loss", "train_cross_entropy", "train_lm_loss", "train_cross_entropy_loss"),
        *("loss_lm", "loss_step", "train_avg_loss", "avg_loss", "nll_loss", "train_nll_loss"),
        *("loss_metrics_global_avg_loss", "train_loss_epoch", "loss_avg", "mean_loss"),
        *("loss_train_total", "train_loss_train_total", "reduced_train_loss"),
        "risk",  # of hidim predict and hidim simulate
    ),
    "lr": (
        *("lr", "learning_rate", "train_learning_rate", "train_lr", "optim_lr", "optimizer_lr"),
        *("learning_rate_group0", "optim_learning_rate_group0", "lr_group0", "lr_0", "train_lr_0"),
        *("lr_adamw", "lr_adam", "lr_sgd", "lr_muon", "lr_lion", "lr_scheduler_lr", "sched_lr"),
        *("current_lr", "lr_abs", "scheduler_lr", "optim_learning_rate", "optimizer_learning_rate"),
    ),
    "run": ("run", "run_id", "run_name", "experiment", "experiment_name", "model_name"),
}
# Losses that stand in where no training loss is logged.
VALIDATION = ("val_loss", "validation_loss", "eval_loss", "loss_val", "valid_loss", "test_loss")
# In another unit than nats, which any law takes: one unit for all runs.
BITS = (
    *(
        "bpb",
        "bits_per_byte",
        "bits_per_token",
        "bpt",
        "bpc",
        "bits_per_character",
        "bits_per_char",
    ),
    *("train_bpb", "train_bpc", "val_bpb", "nll", "train_nll", "cross_entropy", "xent", "ce"),
)
_RATE = re.compile(r"(?:^|_)(?:lr|learning_?rate)(?:_|$)")
_NOT_RATES = frozenset(
    ("scale", "warmup", "decay", "min", "max", "final", "peak", "base", "mult", "multiplier", "end")
)
_NOT_LOSSES = frozenset(
    (
        *("val", "valid", "validation", "eval", "test", "aux", "scale", "balance", "z"),
        *("min", "max", "best"),
    )
)
_SMOOTH = re.compile(r"(?:^|_)(?:ema|smooth\w*|running|moving)(?:_|$)")


_UNITS = {
    **dict.fromkeys(("thousands", "thousand", "k"), 1e3),
    **dict.fromkeys(("millions", "million", "mio", "m"), 1e6),
    **dict.fromkeys(("billions", "billion", "bn", "b", "g"), 1e9),
    **dict.fromkeys(("trillions", "trillion", "t"), 1e12),
    **dict.fromkeys(("pf_days", "pfdays", "pflop_days", "pflops_days", "petaflop_days"), 8.64e19),
    **dict.fromkeys(("gflops", "gflop", "gigaflops", "gigaflop"), 1e9),
    **dict.fromkeys(("tflops", "tflop", "teraflops", "teraflop"), 1e12),
    **dict.fromkeys(("pflops", "pflop", "petaflops", "petaflop"), 1e15),
    **dict.fromkeys(("exaflops", "exaflop", "eflops", "eflop", "ef"), 1e18),
    **dict.fromkeys(("zettaflops", "zettaflop", "zflops", "zflop", "zf"), 1e21),
}

_BASES = {
    **dict.fromkeys(("log10", "log_10"), 10.0),
    **dict.fromkeys(("ln", "loge", "log_e"), math.e),
    **dict.fromkeys(("log2", "log_2"), 2.0),
    "log": 0.0,
}
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BRACKETED = re.compile(r"(?P<name>.+?)\s*(?:[(\[]|,(?=[^()\[\]]*$))(?P<unit>[^()\[\]]*)[)\]]?")
_TENS = re.compile(r"[x×*]?(?:1e|10\^|10\*\*|1\.0e)(?P<power>[-+−]?\d+)")
_POWER = r"(?:1(?:\.0)?e|10\^|10\*\*)[-+−]?\d+"
_TIMES = re.compile(
    rf"(?P<name>.*\w)\s*[x×*·]\s*(?P<unit>{_POWER})|(?P<before>{_POWER})\s*[x×*·]\s*(?P<of>[A-Za-z].*)"
    r"|(?P<tens>1e\d+)\s*(?P<rate>(?:lr|learning[ _]?rate)\w*)"
)
_PLAIN = {
    *("nats", "nat", "nats/token", "nats/tok", "nat/token", "#", "-", "–", "1", "1/step", "a.u."),
    *("steps", "step", "iterations", "iters", "updates", "count", "bits", "bits/token", "bpt"),
}
_EITHER = "|".join(sorted(_BASES, key=len, reverse=True))
_LOGARITHM = re.compile(
    rf"(?P<base>{_EITHER})(?:_(?:of_)?(?P<of>\w+)|(?P<letter>[a-z]))"
    rf"|(?P<first>\w+)_(?P<last>{_EITHER})"
)


def normal(name: str) -> str:
    """A name as it is compared.

    >>> normal("Train/Loss"), normal("lr-AdamW"), normal("_step")
    ('train_loss', 'lr_adamw', '_step')
    """
    return re.sub(r"[\s./\-:|]+", "_", name.strip().lower())


def is_rate(name: str) -> bool:
    """Whether a normal name is that of a learning rate, of a group of parameters too.

    >>> is_rate("train_learningrate_adamw"), is_rate("warmup_lr")
    (True, False)
    """
    return bool(_RATE.search(name)) and not _NOT_RATES & set(name.split("_"))


def unit_of(name: str) -> float:
    """What one of a column counts, where its name ends in a unit; else 1.

    >>> unit_of("params_M"), unit_of("Tokens (B)"), unit_of("flops_PF-days"), unit_of("tokens")
    (1000000.0, 1000000000.0, 8.64e+19, 1.0)
    """
    return _UNITS.get(_parted(name)[1], 1.0)


def without_unit(name: str) -> str:
    """A normal name without the unit at its end.

    >>> without_unit("Params [millions]"), without_unit("tokens")
    ('params', 'tokens')
    """
    return _parted(name)[0]


def _parted(name: str) -> tuple[str, str]:
    plain = re.sub(r"[_()\[\],]+", "_", normal(name)).strip("_")
    for unit in _UNITS:
        if plain == unit and ("day" in unit or "flop" in unit):  # its own name
            return plain, unit
        if plain.endswith(f"_{unit}") and len(plain) > len(unit) + 1:
            return plain.removesuffix(f"_{unit}").removesuffix("_in"), unit
    return plain, ""


def bare(name: str) -> str:
    """A normal name, of one in camel case too, without a unit in which steps, rates and losses
    usually count.

    >>> bare("Training loss [nats/token]"), bare("globalStep (k)"), bare("loss (val)")
    ('training_loss', 'global_step', 'loss_(val)')
    """
    name = _CAMEL.sub("_", bracketed(name).strip().lstrip("# "))
    if unit_of(name) == 1e3:
        return without_unit(name)
    found = _BRACKETED.fullmatch(name)
    if found is None:
        return normal(name)
    unit = re.sub(r"\s", "", found["unit"].lower())
    return normal(found["name"]) if unit in _PLAIN or _TENS.fullmatch(unit) else normal(name)


def bracketed(name: str) -> str:
    """A name with the power of ten that it is multiplied by in brackets.

    >>> bracketed("lr x 1e4"), bracketed("10^4 * lr"), bracketed("lr"), bracketed("max lr")
    ('lr (1e4)', 'lr (10^4)', 'lr', 'max lr')
    """
    found = _TIMES.fullmatch(name.strip())
    if found is None:
        return name
    of = found["name"] or found["of"] or found["rate"]
    unit = found["unit"] or found["before"] or found["tens"]
    return f"{of} ({unit})"


def counted_in(role: str, name: str) -> float:
    """What the values of a rate or of steps are multiplied by, whether the name says in which power
    of ten they count or by which they were multiplied: no rate counts in thousands, and no steps in
    thousandths.

    >>> counted_in("lr", "lr (1e-4)"), counted_in("lr", "lr x 1e4")
    (0.0001, 0.0001)
    >>> counted_in("step", "step x 1e-3"), counted_in("step", "step")
    (1000.0, 1.0)
    """
    factor = factor_of(name)
    ends = (factor, 1 / factor)
    return min(ends) if role == "lr" else max(ends) if role == "step" else factor


def factor_of(name: str) -> float:
    """The power of ten that a name has in brackets, in which its values count; else 1.

    >>> factor_of("lr (1e-4)"), factor_of("lr [10^-3]"), factor_of("lr"), factor_of("steps_k")
    (0.0001, 0.001, 1.0, 1000.0)
    """
    if unit_of(name) == 1e3:
        return 1e3
    found = _BRACKETED.fullmatch(bracketed(name).strip())
    unit = re.sub(r"\s", "", found["unit"].lower()) if found else ""
    tens = _TENS.fullmatch(unit)
    return 10.0 ** int(tens["power"]) if tens else 1.0


def logarithm_of(name: str) -> tuple[float, str] | None:
    """Base (0 where the name does not say it) and name of what a column is the logarithm of.

    >>> logarithm_of("log10(Params)"), logarithm_of("ln_tokens")[1], logarithm_of("logN")
    ((10.0, 'params'), 'tokens', (0.0, 'n'))
    >>> logarithm_of("logits"), logarithm_of("log")
    (None, None)
    """
    plain = re.sub(r"[_()\[\]]+", "_", normal(name)).strip("_")
    found = _LOGARITHM.fullmatch(plain)
    if found is None:
        return None
    return _BASES[found["base"] or found["last"]], found["of"] or found["letter"] or found["first"]


def is_loss(name: str) -> bool:
    """Whether a normal name is that of a training loss.

    >>> is_loss("batch_loss"), is_loss("eval_loss"), is_loss("loss_scale")
    (True, False, False)
    """
    words = name.split("_")
    return words[-1] == "loss" and not _NOT_LOSSES & set(words)


def of_validation(name: str) -> bool:
    """Whether a column is of validation, which is measured at its step and no mean since the last.

    >>> of_validation("eval/loss"), of_validation("train_loss")
    (True, False)
    """
    return bool({"val", "valid", "validation", "eval", "test"} & set(normal(name).split("_")))


def is_perplexity(name: str) -> bool:
    """Whether a name is that of a perplexity, whose logarithm is the loss in nats.

    >>> is_perplexity("train/ppl"), is_perplexity("Perplexity"), is_perplexity("loss")
    (True, True, False)
    """
    words = normal(name).split("_")
    return bool({"ppl", "perplexity"} & set(words)) and "loss" not in words


def unsmoothed(name: str) -> str:
    """A normal name without the words that say it is a moving average.

    >>> unsmoothed("train_loss_ema"), unsmoothed("loss")
    ('train_loss', 'loss')
    """
    return re.sub(r"__+", "_", _SMOOTH.sub("_", name)).strip("_")


def is_smoothed(name: str) -> bool:
    """Whether a column says that it is a moving average.

    >>> is_smoothed("train/loss_ema"), is_smoothed("train/loss")
    (True, False)
    """
    return bool(_SMOOTH.search(normal(name)))
