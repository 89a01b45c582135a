"""Which form of a law of parameters and tokens do these runs prefer, by what they predict?

Each form is fitted to part of the runs and predicts the rest: the largest half, third and quarter
by compute, and the fifth with the fewest and the fifth with the most tokens per parameter. The form
with the lowest mean error is best; a form with fewer parameters is chosen where its error is within
one standard error of that, over the runs.
Limits: forms that no hold-out tells apart differ where no run was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.fitting.robust import HUBER
from hidim.fitting.sizes.forms import FORMS, SizeForm
from hidim.fitting.sizes.search import log_errors, solve
from hidim.fitting.sizes.tables import SizeTable

_LARGEST = (1 / 2, 1 / 3, 1 / 4)
_EXTREME = 1 / 5


@dataclass(frozen=True)
class FormChoice:
    """The chosen form, and the mean relative error of every form on held-out runs.

    Attributes:
        name: of the chosen form.
        errors: form to mean relative error over all hold-outs.
        reason: one sentence.
    """

    name: str
    errors: dict[str, float]
    reason: str


def choose_form(data: SizeTable, *, delta: float = HUBER, one_sided: bool = False) -> FormChoice:
    """The form of a law of parameters and tokens that predicts held-out runs best.

    Raises:
        ValueError: too few runs to hold any out.

    >>> n, d = np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6))
    >>> loss = 1.8 + 480 * n**-0.35 + 2000 * d**-0.35
    >>> choose_form(SizeTable((n.ravel(), d.ravel()), loss.ravel())).name
    'tied'
    """
    arrays = np.column_stack(data.inputs)
    logs = np.log(arrays / np.exp(np.log(arrays).mean(axis=0)))
    log_loss = np.log(data.loss)
    forms = sorted((f for f in FORMS.values() if f.sized), key=lambda f: len(f.parameters))
    held = [rows for rows in _held_out(logs) if _enough(logs[~rows], forms[-1])]
    if not held:
        raise ValueError(
            f"{len(log_loss)} runs are too few to hold some out and choose a form by them: name "
            f"one with --law ({', '.join(f.name for f in forms)})."
        )
    found = {f.name: _errors(f, logs, log_loss, held, delta, one_sided) for f in forms}
    means = {name: float(error.mean()) for name, error in found.items()}
    best = min(means, key=lambda name: means[name])
    for form in forms:
        apart = found[form.name] - found[best]
        within = float(apart.std(ddof=1) / np.sqrt(len(log_loss))) if len(apart) > 1 else 0.0
        if means[form.name] <= means[best] + within + 1e-5:
            return FormChoice(form.name, means, _reason(form.name, best, means, len(held)))
    raise AssertionError  # the best is within its own error


def _reason(name: str, best: str, means: dict[str, float], count: int) -> str:
    told = ", ".join(f"{form} {error:.3%}" for form, error in means.items())
    why = "the lowest" if name == best else f"not told from {best} and has fewer parameters"
    return f"law {name} chosen by {count} hold-outs ({why}; mean error of {told})"


def _held_out(logs: np.ndarray) -> list[np.ndarray]:
    """Masks of the runs held out, (n,) each."""
    order = np.argsort(np.argsort(logs.sum(axis=1), kind="stable"), kind="stable")
    ratio = np.argsort(np.argsort(logs[:, 1] - logs[:, 0], kind="stable"), kind="stable")
    n = len(logs)
    ends = [order >= n - round(share * n) for share in _LARGEST]
    wide = round(_EXTREME * n)
    return [rows for rows in [*ends, ratio < wide, ratio >= n - wide] if rows.any()]


def _enough(logs: np.ndarray, form: SizeForm) -> bool:
    different = [len(np.unique(x)) >= 3 for x in logs.T]
    return all(different) and len(np.unique(logs, axis=0)) > len(form.parameters)


def _errors(
    form: SizeForm,
    logs: np.ndarray,
    log_loss: np.ndarray,
    held: list[np.ndarray],
    delta: float,
    one_sided: bool,
) -> np.ndarray:
    """Relative errors on the runs of every hold-out, in turn."""
    out = []
    for rows in held:
        vector = solve(form, logs[~rows], log_loss[~rows], delta, one_sided=one_sided)
        out.append(np.abs(np.expm1(log_errors(form, vector, logs[rows], log_loss[rows]))))
    return np.concatenate(out)
