"""Which numbers to type for ADANA or DANA, given a run of AdamW or SGD that works?

Published optima of language models (Enoki, context 2048, batches of 32, 20 tokens per parameter,
omega = 4): learning-rate laws in N parameters without embeddings,

    AdamW 12.8 (1.67e4 + N)^-.515,   ADANA at kappa .85 22.5 (1.22e5 + N)^-.618,

and per-size optima from 46 to 664 million parameters. What carries over is their ratio, moved to
the run's length by what the growing term amounts to, 2 + (1 + steps)^(1 - kappa). The loss is flat
there: .009 to .019 nats per unit of log lr squared, so that 30 % cost .002.
Sources: arXiv 2602.05298 and the repository mlexpos/adana (laws, table, guide); 2609.04577 (long
runs, cool-down); batches of 512 from the same group's later runs. Limits: outside the table's
sizes the optima bend in log lr, and the intervals widen; other kinds of models are extrapolation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hidim.support import checks

TABLE_BATCH = 32 * 2048  # tokens
TABLE_TOKENS = 20  # per parameter
# Million parameters in all, then the best learning rates of AdamW and of Dana-MK4.
PER_SIZE = (
    (45.7, 5.90e-3, 7.90e-4), (70.4, 2.33e-3, 5.22e-4), (98.8, 1.71e-3, 3.64e-4),
    (141, 1.08e-3, 2.42e-4), (187, 8.59e-4, 1.61e-4), (254, 6.98e-4, 1.08e-4),
    (323, 6.79e-4, 7.54e-5), (424, 6.09e-4, 5.48e-5), (522, 4.39e-4, 4.00e-5),
    (664, 4.08e-4, 4.30e-5),
)  # fmt: skip
_SMALLEST, _LARGEST = 45.7e6, 664e6
_LONG = 20_000  # updates; three small tasks of 600 and 1500 wanted AdamW's own rate
_SHORT = 600  # updates: of shorter runs nothing was measured, and the power law would go on rising
_FAR = 30.0  # from the published best rate: other tasks' are up to ten times off
_LARGE = 5e5  # tokens a batch
_MEANT = 2000  # updates: below, AdamW is the safer choice (docs/how-to/which-optimizer.md)
_KAPPA, _DELTA, _OMEGA = 0.85, 8.0, 4.0
_T_0_LEAST = 3.0  # times omega: the first update then takes less than a third of a weight
MUCH_LONGER = 6.0  # than lr: twice the first update of a run from the start


@dataclass(frozen=True)
class Transfer:
    """Options for an optimizer, intervals where there are any, and why.

    `verdict` is "meant", "doubtful" or "not meant": whether the run is of the kind that the
    method gains on; of ADANA with an unknown batch "meant if the batch is below 5e5 tokens".
    `sweep` is what to run if only three runs can be afforded.
    """

    optimizer: str
    options: dict[str, Any]
    lr_interval: tuple[float, float]
    warmup: int
    clip: float
    verdict: str
    reasons: tuple[str, ...]
    sweep: tuple[dict[str, float], ...]


def late_start(name: str, initial_step: float, delta: float, longer: float) -> str:
    """What to say of averages that begin at `initial_step`, `longer` being the first g/s."""
    return (
        f"`initial_step` = {initial_step:g} for a state that begins here: {name} does not correct "
        f"its averages for their start, so that the first updates are {longer:.0f} times lr long "
        f"(sqrt(initial_step / delta), delta = {delta:g}). Warm lr up over some hundred updates, "
        "or leave initial_step out."
    )


def without_embeddings(parameters: float) -> float:
    """Non-embedding parameters of a model of the table's shape with so many in all.

    12 w^2 L of w = 64 h and L = 3h/4, embeddings 2 w 50304; below 30 million all are taken.

    >>> round(without_embeddings(141e6) / 1e6)
    64
    """
    if parameters < 3e7:
        return parameters
    low, high = 0.0, parameters
    heads = 1.0
    for _ in range(200):
        heads = (low + high) / 2
        inside = 36864 * heads**3 + 64 * 2 * 50304 * heads
        low, high = (heads, high) if inside < parameters else (low, heads)
    return 36864 * heads**3


def law(name: str, n: float) -> float:
    """The best learning rate of "adamw" or "adana" at n non-embedding parameters.

    >>> round(law("adamw", 64e6), 5), round(law("adana", 64e6), 6)
    (0.00122, 0.000337)
    """
    scale, offset, power = {"adamw": (12.8, 1.67e4, -0.515), "adana": (22.5, 1.22e5, -0.618)}[name]
    return float(scale * (offset + n) ** power)


def adana_from_adamw(
    lr: float,
    *,
    steps: int,
    parameters: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.01,
    batch_tokens: float | None = None,
) -> Transfer:
    """ADANA's numbers from AdamW's.

    Args:
        lr: AdamW's peak learning rate, the best you have found.
        steps: updates of the run.
        parameters: of the model, embeddings included.
        betas: AdamW's; they set nothing, and are compared with ADANA's memory.
        weight_decay: AdamW's; 0 leaves the log-time decay out.
        batch_tokens: per update, for the verdict, which without it says for which batch it holds.

    Raises:
        ValueError: a value outside its range.

    >>> found = adana_from_adamw(6e-4, steps=38_000, parameters=124e6, batch_tokens=65536)
    >>> found.verdict, round(found.options["lr"], 6), found.options["t_0"]
    ('meant', 0.000169, 3800.0)
    """
    _refuse_text(lr=lr, steps=steps, parameters=parameters, weight_decay=weight_decay)
    lr = checks.positive("lr", lr)
    steps = int(checks.whole("steps", steps, minimum=1))
    betas = _two_betas(betas)
    parameters = _at_least_one("parameters", parameters)
    weight_decay = checks.non_negative("weight_decay", weight_decay)
    if batch_tokens is not None:
        batch_tokens = _at_least_one("batch_tokens", batch_tokens)
    held = min(max(parameters, _SMALLEST), _LARGEST)  # beyond the table its ends are the best guess
    n = without_embeddings(held)
    horizon = _reach(TABLE_TOKENS * held / TABLE_BATCH) / _reach(steps)
    if weight_decay:  # omega/(t_0+t) is the stronger, the shorter the run: weights need more lr
        horizon *= max(_LONG / max(steps, _SHORT), 1.0) ** (1 / 3)
    ratio = law("adana", n) / law("adamw", n) * horizon
    outside = max(_SMALLEST / parameters, parameters / _LARGEST, 1.0)
    spread = 1.6 * outside**0.1 * max(_SHORT / steps, 1.0) ** (1 / 3)
    omega = _OMEGA if weight_decay else 0.0
    # A tenth of a run shorter than this would take more than all of a weight at once.
    t_0 = max(steps / 10, _T_0_LEAST * omega, 1.0)
    options = {
        "lr": lr * ratio, "kappa": _KAPPA, "delta": _DELTA, "omega": omega,
        "t_0": t_0, "cooldown": steps,
    }  # fmt: skip
    verdict, why = _verdict(steps, parameters, batch_tokens)
    inside = outside == 1
    reasons = (
        f"lr = {ratio:.3g} x {lr:g}: the published laws' ratio at {n:.3g} non-embedding "
        f"parameters, times {horizon:.2f} for {steps} updates; good to a factor {spread:.1f}"
        + ("" if inside else _beyond(parameters, outside)),
        f"kappa = {_KAPPA}: the authors' value; .75 to .9 differ little once lr is tuned",
        f"delta = {_DELTA:g}: the memory is t/8, {steps / 8:.0f} updates at the end, where "
        f"beta_1 = {betas[0]:g} has {1 / max(1 - betas[0], 1e-9):.0f}",
        f"omega = {omega:g}, t_0 = {t_0:g}: constant across sizes in the source, in "
        "the place of AdamW's weight_decay"
        if omega
        else "omega = 0: the AdamW run had no weight decay; try 4, it mattered more than kappa in "
        "most comparisons",
        f"cooldown = {steps}: long runs gain only with less momentum near the end",
        _published(parameters, spread),
        *_far_off(lr, n, parameters),
        why,
    )
    sweep = tuple({"lr": lr * ratio * factor} for factor in (1.0, 2.0, 0.5))
    band = (lr * ratio / spread, lr * ratio * spread)
    return Transfer("adana", options, band, max(steps // 50, 1), 1.0, verdict, reasons, sweep)


def dana_from_sgd(
    lr: float, *, steps: int, momentum: float = 0.9, weight_decay: float = 0.0
) -> Transfer:
    """DANA-decaying's numbers from SGD's.

    Args:
        lr: SGD's peak learning rate.
        steps: updates of the run.
        momentum: SGD's; its steady state is SGD at lr / (1 - momentum).
        weight_decay: kept, coupled.

    Raises:
        ValueError: a value outside its range.

    >>> dana_from_sgd(0.1, steps=10_000).options["lr"]
    0.5
    """
    _refuse_text(lr=lr, steps=steps, momentum=momentum, weight_decay=weight_decay)
    lr = checks.positive("lr", lr)
    steps = int(checks.whole("steps", steps, minimum=1))
    momentum = checks.finite("momentum", momentum)
    if not 0 <= momentum < 1:
        raise ValueError(f"`momentum` must lie in [0, 1), got {momentum!r}.")
    weight_decay = checks.non_negative("weight_decay", weight_decay)
    factor = 0.5 / (1 - momentum) if momentum >= 0.5 else 1.0
    options = {
        "lr": round(lr * factor, 12), "c_3": 1.0, "kappa_3": _KAPPA, "delta": _DELTA,
        "weight_decay": weight_decay / factor, "cooldown": steps,
    }  # fmt: skip
    room = (
        "half of that leaves DANA's momentum room"
        if momentum > 0.5
        else "half of that would be less than the rate that held, which is kept"
    )
    reasons = (
        f"lr = {factor:.3g} x {lr:g}: momentum {momentum:g} is SGD at lr / (1 - momentum) in the "
        f"long run, and {room}; good to a factor 3",
        f"kappa_3 = {_KAPPA}: safe for 2 alpha >= 1.2; the smallest stable one is fastest and "
        'carries over to larger models. gain="measured" finds it during the run',
        "c_3 = 1, delta = 8: the paper's recipe",
        f"weight_decay = {weight_decay / factor:g}: the same lr x weight_decay",
        f"cooldown = {steps}: less momentum near the end",
        "DANA gains on long runs: a few thousand updates at least"
        + ("" if steps >= _MEANT else f"; at {steps} SGD is the safer choice"),
    )
    sweep: tuple[dict[str, float], ...] = (
        {"lr": options["lr"], "kappa_3": 0.85},
        {"lr": options["lr"], "kappa_3": 0.6},
        {"lr": options["lr"] / 3, "kappa_3": 0.6},
    )
    band = (options["lr"] / 3, options["lr"] * 3)
    verdict = "meant" if steps >= _MEANT else "doubtful" if steps >= _SHORT else "not meant"
    return Transfer(
        "dana-decaying", options, band, max(steps // 50, 1), 1.0, verdict, reasons, sweep
    )


def _refuse_text(**named: Any) -> None:
    """Text that reads as a number is none: what it came from may say more, such as a unit."""
    for name, value in named.items():
        if isinstance(value, str):
            raise ValueError(f"`{name}` must be a number, got {value!r}; drop the quotation marks.")


def _at_least_one(name: str, value: float) -> float:
    value = checks.positive(name, value)
    if value < 1:
        raise ValueError(f"`{name}` must be at least 1, got {value:g}; for example 124e6.")
    return value


def _far_off(lr: float, n: float, parameters: float) -> tuple[str, ...]:
    """What to say of a rate that no run from scratch of a transformer of this size would have."""
    best = law("adamw", n)
    off = max(lr / best, best / lr)
    if off < _FAR:
        return ()
    side = "above" if lr > best else "below"
    guess = "SGD's, or a slip?" if lr > best else "of a fine-tuning run, or a slip?"
    return (
        f"AdamW's {lr:g} is {off:.2g} x {side} the published best at {parameters:.3g} parameters, "
        f"{best:.2g} ({guess}); what carries over was measured near the best, from scratch",
    )


def _two_betas(betas: Any) -> tuple[float, float]:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(
            f"`betas` must be two numbers, got {checks.shown(betas)}; for example (0.9, 0.999)."
        )
    for beta in betas:
        _refuse_text(betas=beta)
        if not 0 <= checks.finite("betas", beta) < 1:
            raise ValueError(
                f"`betas` must lie in [0, 1), got {checks.shown(betas)}; for example (0.9, 0.999)."
            )
    return float(betas[0]), float(betas[1])


def _reach(steps: float) -> float:
    """What gradient, average and growing term together multiply a steady gradient by."""
    return 2 + (1 + steps) ** (1 - _KAPPA)


def _beyond(parameters: float, outside: float) -> str:
    """What to say of a size outside the table."""
    side, end = ("above", "664") if parameters > _LARGEST else ("below", "46")
    return (
        f", wider since {parameters:.3g} parameters are {outside:.3g} x {side} the published "
        f"sizes, 46 to 664 million: the ratio is that of {end} million, and "
        "nothing was measured at yours"
    )


def _published(parameters: float, spread: float) -> str:
    size, adamw, mk4 = min(PER_SIZE, key=lambda row: abs(math.log(row[0] * 1e6 / parameters)))
    least, most = curvature_cost(spread)
    return (
        f"the ends of the interval cost {least:.3f} to {most:.3f} nats by the published curvature; "
        f"best rates at the nearest size, {size:g} million: AdamW {adamw:g}, Dana-MK4 {mk4:g}"
    )


def _verdict(steps: int, parameters: float, batch_tokens: float | None) -> tuple[str, str]:
    if batch_tokens is not None and batch_tokens >= _LARGE and parameters < 2e8:
        return "not meant", (
            "not meant for this batch: at 512 x 2048 tokens ADANA lost to AdamW below about 150 "
            "million parameters (4.435 to 4.225 at 46 million, 3.475 to 3.497 at 141): AdamW, or a "
            "smaller batch and more updates"
        )
    if steps < _SHORT:
        return "not meant", (
            f"not meant for {steps} updates: its gain grows with their number, and of fewer than "
            f"{_SHORT} nothing was measured: AdamW, which is the safer choice below {_MEANT:,}"
        )
    if steps < _MEANT or (batch_tokens is not None and batch_tokens >= _LARGE):
        return "doubtful", (
            f"doubtful at {steps} updates"
            + ("" if batch_tokens is None else f" of {batch_tokens:g} tokens")
            + ": its gain grows with the number of updates, and few or large batches leave little; "
            "AdamW is the safer choice"
        )
    gains = (
        "Published gains in compute over AdamW are 1.23 at 46 million parameters to 1.4 from .7 "
        "billion on, at 65,536 tokens a batch"
    )
    if batch_tokens is None:
        return "meant if the batch is below 5e5 tokens", (
            "meant if the batch is below 5e5 tokens, and of other data small: it was not given, "
            f"and at larger ones ADANA lost to AdamW or gained little. {gains}"
        )
    return "meant", f"meant: many updates of small batches. {gains}"


def curvature_cost(factor: float) -> tuple[float, float]:
    """Nats that a learning rate off by `factor` costs, by the table's curvatures (MK4, AdamW).

    >>> [round(x, 4) for x in curvature_cost(1.3)]
    [0.0006, 0.0013]
    """
    square = math.log(factor) ** 2
    return 0.009 * square, 0.019 * square
