"""What of a table of runs deserves a look before a law is fitted to it?

Parameters and tokens in different units, flops of another count, losses that no language model of
these sizes has, data seen more than once, rows that are the course of one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

import numpy as np

from hidim.fitting.logs.names import normal
from hidim.fitting.sizes.rows import matching
from hidim.fitting.sizes.transformer import body_of, flops_per_token
from hidim.support.checks import is_number

_SIX = 6.0  # training flops per token, per parameter
# Chinchilla's law of text (Hoffmann et al. 2022), as a rule of thumb for losses in nats a token.
_TEXT = 1.69, 406.4, 0.34, 410.7, 0.28
_LANGUAGE = 1e6, 1e7  # parameters and tokens from which on a table may be of language models
_ABOVE = 2.0  # times that rule, from which on a loss is no cross-entropy in nats
_SWEPT = 0.3  # of the sizes with several losses are a sweep
_APART = 0.003  # by which these differ in the middle; seeds differ by less
_COUNTED = 1e4  # parameters and tokens below are not counted one by one
_TRIED = 3  # values of a sweep; two are two families
_NO_DIAL = ("seed", "run", "run_id", "id", "name", "step", "steps", "date", "time", "")
RATIOS = 0.01, 1e6  # tokens per parameter that somebody may have trained with


def doubted_units(
    params: np.ndarray,
    tokens: np.ndarray,
    flops: np.ndarray | None,
    cost: np.ndarray | None,
    *,
    by_flops: bool = False,
) -> tuple[str, ...]:
    """Complaints about parameters and tokens in different units, or flops of another count.

    Args:
        params: shape (n,).
        tokens: shape (n,).
        flops: a column of them beside tokens, shape (n,), or None.
        cost: flops per token where they are not 6 x parameters, shape (n,).
        by_flops: tokens were worked out from flops.
    """
    out = []
    if min(params.min(), tokens.min()) <= 0:
        return ()  # refused by the fit, with the value
    ratio = float(np.median(tokens / params))
    if ratio < RATIOS[0] and by_flops:
        out.append(
            f"flops / (6 x parameters) gives {ratio:.2g} tokens per parameter: flops in another "
            "unit, PF-days (8.64e19) or zettaflops (1e21)? Budgets would be wrong by that factor."
        )
    elif not RATIOS[0] <= ratio <= RATIOS[1]:
        out.append(
            f"{ratio:.2g} tokens per parameter in the middle of the runs: is one of them in "
            "millions or billions, and the other not? Budgets would be wrong by that factor."
        )
    elif ratio < 1 and max(params.max(), tokens.max()) > _COUNTED:  # else both are in units
        out.append(
            f"{ratio:.2g} tokens per parameter in the middle of the runs, less than one: are the "
            "columns of parameters and tokens exchanged? --columns params=...,tokens=... says which"
            " is which."
        )
    if flops is not None:
        each = _SIX * params if cost is None else cost
        count = float(np.median(flops / (each * tokens)))
        if not 0.5 < count < 2:
            out.append(
                f"the column of flops holds {count:.3g} times what counts here, "
                f"{'6 x parameters' if cost is None else 'exact flops'} x tokens: another count?"
            )
    return tuple(out)


def doubted_losses(params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> tuple[str, ...]:
    """A complaint about losses that are perplexities, sums or percentages by their level."""
    if (
        not len(loss)
        or min(params.min(), tokens.min()) <= 0
        or np.median(params) < _LANGUAGE[0]
        or np.median(tokens) < _LANGUAGE[1]
    ):
        return ()
    if not np.all(np.isfinite(loss)) or np.any(loss <= 1):
        return ()
    floor, scale, exponent, scale_2, exponent_2 = _TEXT
    text = floor + scale * params**-exponent + scale_2 * tokens**-exponent_2
    if float(np.median(loss / text)) < _ABOVE:
        return ()
    i = int(np.argsort(loss)[len(loss) // 2])
    logs = np.log(loss) / text
    # A sum or a share falls as the loss does, by factors; a perplexity as the exponential of it.
    likelier = np.std(np.log(logs)) <= np.std(np.log(loss / text))
    about = (
        "their logarithms would be: are they perplexities? Fit log(perplexity), the loss in nats"
        if 0.5 < float(np.median(logs)) < 1.5 and likelier
        else "are they summed, in percent, or of something else than text?"
    )
    return (
        f"a loss of {loss[i]:.4g} at {params[i]:.3g} parameters and {tokens[i]:.3g} tokens is no "
        f"cross-entropy of text in nats a token (about {text[i]:.2g}); {about}",
    )


def several_losses(
    inputs: tuple[np.ndarray, ...], loss: np.ndarray, others: Mapping[str, Any]
) -> tuple[str, ...]:
    """What to say of a sweep: several losses at one size and data, which another column explains.

    Args:
        inputs: each (n,).
        loss: shape (n,).
        others: columns beside those, of n cells each.
    """
    _, which = np.unique(np.column_stack(inputs), axis=0, return_inverse=True)
    which = which.ravel()
    cells = [np.flatnonzero(which == i) for i in range(which.max() + 1)]
    many = [rows for rows in cells if len(rows) > 1]
    if len(many) < _SWEPT * len(cells):
        return ()
    apart = np.array([np.ptp(loss[rows]) / loss[rows].min() for rows in many])
    if float(np.median(apart)) < _APART:
        return ()
    swept = [
        name
        for name, column in others.items()
        if normal(name) not in _NO_DIAL
        and is_number(str(column[0]))
        and len({str(cell) for cell in column}) >= _TRIED
        and all(len({str(column[i]) for i in rows}) > 1 for rows in many)
    ]
    if not swept:
        return ()
    return (
        f"{len(many)} of {len(cells)} sizes have several losses, {np.median(apart):.1%} apart, as "
        f"{', '.join(map(repr, swept[:3]))} differs: a sweep? A law of tuned runs wants the lowest "
        f"loss of each size alone, or --where '{swept[0]}=...'; --law "
        f"{quote('best:' + swept[0])} fits its best value against size.",
    )


def repeated_data(column: Any, tokens: np.ndarray) -> tuple[str, ...]:
    """What to say of runs that saw their data more than once."""
    epochs, condition = column("epochs", needed=False), f"{column.name('epochs', needed=False)}<=1"
    if epochs is None:
        unique = column("unique_tokens", needed=False)
        epochs = np.ones(len(tokens)) if unique is None else tokens / unique
        names = [column.name(role, needed=False) for role in ("tokens", "unique_tokens")]
        condition = f"{names[0]}<={names[1]}"
    many = epochs > 1.001
    if not many.any():
        return ()
    try:
        kept = np.array_equal(matching(column.table, condition, column.source)[column.keep], ~many)
    except ValueError:  # no such columns, or no row that is left
        kept = False
    remedy = f", --where '{condition}'" if kept else ""
    return (
        f"{np.count_nonzero(many)} of {len(many)} runs repeat their data (up to {epochs.max():.3g} "
        "epochs): a repeated token is worth less than a new one, soon after 4 epochs almost "
        f"nothing, and this law counts all alike. Leave them out{remedy}.",
    )


def exact_cost(
    column: Any, params: np.ndarray, source: str, exact: bool
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Exact flops per token if they are to count, (n,), and how they compare with 6 N."""
    layers, width, context = (column(r, needed=False) for r in ("layers", "width", "context"))
    if layers is None or width is None or context is None:
        if exact:
            raise ValueError(
                f"{source!r} does not say the layers, width and context of its transformers, "
                "which exact flops need: name the columns, --columns layers=NAME,width=NAME,..."
            )
        return None, ()
    vocabulary = column("vocabulary", needed=False)
    known = 0.0 if vocabulary is None else vocabulary
    body = body_of(params, layers, width, known)
    cost = flops_per_token(layers, width, context, known, body=body)
    ratio = cost / (_SIX * params)
    logits = "without logits (no vocabulary column)" if vocabulary is None else "and logits"
    said = (
        f"exact transformer flops, with attention {logits}, are {ratio.min():.3g} to "
        f"{ratio.max():.3g} x 6 x parameters x tokens; "
        + ("they count here" if exact else "--count exact plans by them")
    )
    return (cost if exact else None), (said,)
