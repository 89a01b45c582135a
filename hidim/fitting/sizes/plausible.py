"""Can these rows be finished runs of one family, and does the fitted law deserve trust?

A wrong column, shuffled losses or a table of several data sets fit something, and that something is
wrong without a sign. What cannot be right is refused; rows and sizes that lie apart, and a formula
that bends away from the runs, are named in warnings that stay with the law.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from shlex import quote

import numpy as np

from hidim.fitting.robust import HUBER
from hidim.fitting.sizes.forms import SizeForm
from hidim.fitting.sizes.identified import check_identified
from hidim.fitting.sizes.search import log_errors, solve

_EXPLAINED = 0.5  # share of the spread of log loss that a law must explain
_FAR = 6.0  # robust standard deviations from the law
_APART = 0.01  # and at least this fraction of the loss
_SHIFTED = 0.003  # a size or a class lies apart from this on, where noise does not explain it
_BENT = 1e-3  # chance below which residuals bend
_NAMED = 3
_COUNTED = 1e4  # parameters or tokens below are not counted one by one


@dataclass(frozen=True)
class Fitted:
    """A fit as the checks see it: the form, its parameters, the runs over `units`, noise."""

    form: SizeForm
    vector: np.ndarray
    logs: np.ndarray
    log_loss: np.ndarray
    units: np.ndarray
    noise: float

    @property
    def errors(self) -> np.ndarray:
        """Log of measured over predicted loss, shape (n,)."""
        return -log_errors(self.form, self.vector, self.logs, self.log_loss)

    def named(self, row: int) -> str:
        """A run by its inputs and loss."""
        inputs = np.exp(self.logs[row]) * self.units
        said = [f"{x:.3g} {n}" for n, x in zip(self.form.inputs, inputs, strict=True)]
        return f"{', '.join(said)}: loss {math.exp(self.log_loss[row]):.4g}"


def check_sizes(
    fit: Fitted,
    delta: float,
    *,
    traits: Mapping[str, np.ndarray] | None = None,
    one_sided: bool = False,
    force: bool = False,
) -> tuple[str, ...]:
    """Warnings about rows, sizes, classes and the formula.

    Raises:
        ValueError: the law explains too little, or does not tell parameters and data apart, and
            `force` is not set.
    """
    out = []
    refusals = [_unexplained(fit, traits or {})]
    if not refusals[0]:
        refusal, warning = check_identified(fit.form, fit.vector, fit.logs, fit.units, fit.noise)
        refusals.append(refusal)
        out.append(warning)
    for refusal in filter(None, refusals):
        if not force:
            raise ValueError(f"{refusal} (force, --force, fits all the same.)")
        out.append(refusal)
    out += [_counted(fit), _repeats(fit), _far(fit, delta, one_sided=one_sided)]
    if not any(refusals):
        out += [*_classes(fit, traits or {}), *_sizes(fit), _bent(fit)]
    return tuple(filter(None, out))


def _unexplained(fit: Fitted, traits: Mapping[str, np.ndarray]) -> str:
    n, p = len(fit.log_loss), len(fit.vector)
    spread = 1.4826 * float(np.median(np.abs(fit.log_loss - np.median(fit.log_loss))))
    # p parameters pass near p rows whatever these are
    left = fit.noise**2 * (n - 1) / max(n - p, 1)
    explained = 1.0 - left / max(spread**2, 1e-300)
    if explained >= _EXPLAINED or fit.noise < 1e-5:
        return ""
    columns = np.column_stack([np.ones(n), fit.logs])
    line, *_ = np.linalg.lstsq(columns, fit.log_loss, rcond=None)
    left = float(np.var(fit.log_loss - columns @ line))
    if np.all(line[1:] > 0) and left < 0.7 * float(np.var(fit.log_loss)):
        return (
            f"the loss rises with {' and '.join(fit.form.inputs)}: an accuracy in the place of the "
            "loss? Name the column of the loss with --columns loss=NAME."
        )
    kinds = _classes(fit, traits)
    return (
        f"law {fit.form.name!r} explains {max(explained, 0.0):.0%} of the spread of these losses "
        f"(rows lie {fit.noise:.1%} from it): "
    ) + (
        kinds[0]
        if kinds
        else "shuffled rows, a wrong column, an accuracy, or runs of too few sizes for their noise?"
    )


def _counted(fit: Fitted) -> str:
    """Parameters and tokens in millions and billions fit as well, but no budget counts so."""
    columns = np.exp(fit.logs) * fit.units
    few = []
    for name, x in zip(fit.form.inputs, columns.T, strict=True):
        broken = np.mean(np.abs(x - np.round(x)) > 1e-6 * x) > 0.1
        if name in ("params", "tokens") and x.max() < _COUNTED and (broken or name == "tokens"):
            few.append(f"{name} end at {x.max():.4g}")
    if not few:
        return ""
    return (
        f"{' and '.join(few)}: counted in millions or billions? Budgets in flops are 6 x "
        "parameters x tokens, each counted one by one."
    )


def _repeats(fit: Fitted) -> str:
    rows = np.column_stack([fit.logs, fit.log_loss])
    _, first, count = np.unique(rows, axis=0, return_index=True, return_counts=True)
    if count.max() == 1:
        return ""
    return (
        f"{int(np.sum(count - 1))} row(s) repeat another in every number, as "
        f"{fit.named(int(first[np.argmax(count)]))}: given twice, they count twice and make "
        "intervals too narrow."
    )


def _far(fit: Fitted, delta: float, *, one_sided: bool) -> str:
    """Rows far from the law, and what the law would be without them."""
    error, noise = fit.errors, fit.noise
    if delta > _FAR * noise:  # rows far off have pulled such a fit towards them
        robust = replace(fit, vector=solve(fit.form, fit.logs, fit.log_loss, HUBER))
        error = robust.errors
        noise = max(float(1.4826 * np.median(np.abs(error))), 1e-6)
    far = np.abs(error) > max(_FAR * noise, _APART)
    if not far.any():
        return ""
    order = np.flatnonzero(far)[np.argsort(-np.abs(error[far]))]
    named = "; ".join(f"{fit.named(i)}, {np.expm1(error[i]):+.1%}" for i in order[:_NAMED])
    more = "; ..." if len(order) > _NAMED else ""
    lie = "lies" if len(order) == 1 else "lie"
    text = f"{len(order)} of {len(error)} runs {lie} far from the law ({named}{more})"
    kept = ~far
    if len(np.unique(fit.logs[kept], axis=0)) > len(fit.vector):
        again = solve(
            fit.form,
            fit.logs[kept],
            fit.log_loss[kept],
            delta,
            near=fit.vector,
            one_sided=one_sided,
        )
        text += _moved(fit, again)
    above = int(np.count_nonzero(error[far] > 0))
    if min(above, len(order) - above) >= max(0.25 * len(order), 2):
        return f"{text}: some rows shuffled, or wrong numbers?"
    if above <= len(order) / 2:
        return f"{text}: a wrong number, or runs of another family?"
    highest = np.argsort(-fit.log_loss)[: len(order)]
    drop = f"--drop-highest {len(order)} leaves them out, " if far[highest].all() else ""
    remedy = f"{drop}--loss one-sided counts losses above the law little"
    return f"{text}: diverged, or badly tuned? {remedy}."


def _moved(fit: Fitted, again: np.ndarray) -> str:
    """How exponents move without the rows that lie far."""
    told = []
    for i, p in enumerate(fit.form.parameters):
        if p.name.startswith("exponent") and abs(again[i] - fit.vector[i]) > 0.02:
            told.append(f"{p.name} is {again[i]:.3f}, not {fit.vector[i]:.3f}")
    return f"; without them {', '.join(told)}" if told else "; without them the exponents stay"


def _classes(fit: Fitted, traits: Mapping[str, np.ndarray]) -> list[str]:
    """Columns of text whose values lie apart: several families in one table."""
    from scipy.special import fdtrc

    out = []
    error = np.clip(fit.errors, -4 * fit.noise, 4 * fit.noise)
    for name, kinds in traits.items():
        _, which, count = np.unique(kinds, return_inverse=True, return_counts=True)
        means = np.bincount(which, error) / count
        left = len(error) - len(count)
        if left < 4:
            continue
        inside = float(np.sum((error - means[which]) ** 2)) / left
        between = float(np.sum(count * (means - error.mean()) ** 2)) / (len(count) - 1)
        chance = float(fdtrc(len(count) - 1, left, between / max(inside, 1e-300)))
        if chance < _BENT and np.abs(means).max() > _SHIFTED:
            out.append(
                f"column {name!r} sorts the runs into {len(count)} kinds that lie up to "
                f"{np.abs(np.expm1(means)).max():.1%} from the one law over all: fit them apart "
                f"with --by {quote(name)}, or one of them with --where {quote(name + '=VALUE')}."
            )
    return out


def _sizes(fit: Fitted) -> list[str]:
    """Sizes all of whose runs lie above the law."""
    if not fit.form.sized:
        return []
    sizes, kinds = np.unique(np.round(fit.logs[:, 0], 6), return_inverse=True)
    out = []
    for kind, shift in _shifts(fit, kinds, least=3).items():
        if shift > 0:
            size = math.exp(sizes[kind]) * fit.units[0]
            out.append(
                f"the {np.count_nonzero(kinds == kind)} runs of {size:.3g} parameters lie "
                f"{np.expm1(shift):.1%} above the law: badly tuned at this size?"
            )
    return out


def _shifts(fit: Fitted, kinds: np.ndarray, *, least: int) -> dict[int, float]:
    """Median error of the kinds that lie apart by more than noise explains, of few kinds."""
    error = fit.errors
    noise = max(fit.noise, 1e-4)
    found = {}
    for kind in np.unique(kinds):
        rows = error[kinds == kind]
        if least <= len(rows) <= len(error) / 1.5:
            shift = float(np.median(rows))
            if abs(shift) > max(5 * 1.25 * noise / math.sqrt(len(rows)), _SHIFTED):
                found[int(kind)] = shift
    return found


def _bent(fit: Fitted) -> str:
    """Whether the residuals follow squares and products of the inputs, beyond noise."""
    from scipy.special import fdtrc

    error = np.clip(fit.errors, -4 * fit.noise, 4 * fit.noise)
    value, slope = fit.form.function(fit.vector, fit.logs)
    own = slope / np.maximum(value, 1e-12)[:, None]
    n = fit.logs
    products = [n[:, i] * n[:, j] for i in range(n.shape[1]) for j in range(i, n.shape[1])]
    cubes = [x**3 for x in n.T] if n.shape[1] == 1 else []
    columns = np.column_stack([own, np.ones(len(n)), n, *products, *cubes])
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    few, many = _explained(own, error), _explained(columns, error)
    extra, left = many[1] - few[1], len(error) - many[1]
    if extra < 1 or left < 4:
        return ""
    ratio = max(few[0] - many[0], 0.0) / extra / max(many[0] / left, 1e-300)
    size = math.sqrt(max(few[0] - many[0], 0.0) / len(error))
    if size < 1e-3 or float(fdtrc(extra, left, ratio)) > _BENT:
        return ""
    other = {
        "power": "saturating (a floor) or broken",
        "saturating": "broken",
        "tied": "chinchilla or interaction",
        "chinchilla": "interaction",
    }.get(fit.form.name, "a narrower range of sizes")
    return (
        f"the runs bend away from law {fit.form.name!r} by {size:.1%}, more than their noise "
        f"explains: extrapolate with care, or try {other}"
        + (" (--law sizes compares the forms)." if fit.form.sized else ".")
    )


def _explained(columns: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Sum of squares that a regression leaves, and the rank of its columns."""
    scale = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    solution, _, rank, _ = np.linalg.lstsq(columns / scale, y, rcond=1e-8)
    left = y - columns / scale @ solution
    return float(left @ left), int(rank)
