"""Which columns are the step, the loss and the learning rate, and of how many runs?

Names are found as programs give them (names.py), or as the caller gives them. A W&B export names
its columns "run - metric"; a file of several runs comes apart into one part per run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.logs.names import (
    ALIASES,
    BITS,
    VALIDATION,
    bare,
    is_loss,
    is_perplexity,
    is_rate,
    logarithm_of,
    normal,
    unsmoothed,
    without_unit,
)
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.splits import NAMES as SPLITS
from hidim.support.checks import choice

ROLES = ("step", "loss", "lr", "run")
NONE = "-"  # as a name: the log has no such column
# Of finished runs: how large a model was, and what it was trained on.
_SIZES = {"params", "parameters", "n_params", "num_params", "model_size", "n"}
_DATA = {
    *("tokens", "training_tokens", "n_tokens", "train_tokens"),
    *("flops", "training_flop", "training_flops", "flops_6nd", "compute", "d", "c", "d_n", "tpp"),
    *("tokens_per_param", "tokens_per_parameter", "tokens_param", "chinchilla_multiplier"),
}


@dataclass(frozen=True)
class Part:
    """The columns of one run.

    Attributes:
        run: its name in the file, "" for the only one.
        names: role to column, without those that are not there.
        rows: which rows are its own, a mask (n,), or None for all.
    """

    run: str
    names: dict[str, str]
    rows: np.ndarray | None = None


def parse_columns(text: str, roles: Sequence[str] = ROLES) -> dict[str, str]:
    """Column names as `step=...,loss=...,lr=...`, or with other `roles`.

    >>> parse_columns("step=_step,loss=train/loss")
    {'step': '_step', 'loss': 'train/loss'}
    """
    pairs = {}
    # A comma may stand in a name, before what is no role.
    for part in re.split(r",(?=\s*\w+\s*=)", text):
        role, equals, name = part.partition("=")
        if not equals or not name.strip():
            form = ",".join(f"{role}=NAME" for role in roles)
            raise ValueError(f"`columns` must read {form}; got {text!r}.")
        role = choice("columns", role.strip(), roles)
        if role in pairs:
            raise ValueError(f"`columns` names {role!r} twice in {text!r}.")
        pairs[role] = name.strip()
    return pairs


def parts_of(
    columns: Columns, given: Mapping[str, str], source: str, known: Sequence[str] = ()
) -> list[Part]:
    """The runs of a file, with the columns of each; `known` are all names, for complaints.

    Raises:
        ValueError: a name that is not there.
    """
    names = list(columns)
    shared = {role: name for role in ROLES if (name := _named(names, role, given, source, known))}
    label = shared.pop("run", None)
    if label is not None and "run" not in given and len(_labels(columns[label])) < 2:
        label = None
    if label is not None:
        cells = ["" if cell is None else str(cell) for cell in columns[label]]
        masks = {one: np.array([cell == one for cell in cells]) for one in dict.fromkeys(cells)}
        return [Part(one, shared, mask) for one, mask in masks.items() if one]
    found = _prefixed(names, shared, given)
    if found and "loss" not in shared and given.get("loss") != NONE:
        return [Part(run, {**shared, **roles}) for run, roles in found.items()]
    if len(found) == 1:  # the rate of the one run in the file
        shared = {**next(iter(found.values())), **shared}
    return [Part("", shared)]


def wanted(names: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The columns of a table worth reading."""
    found = [*_prefixed(names, {}, {}).values()]
    keep = {name for roles in found for name in roles.values()}
    for role in ROLES:
        name = given.get(role) or _alias(names, role)
        if name is not None:
            keep.add(_spelled(names, name) or name)
    if {"value", "metricvalue"} & set(map(normal, names)):  # of one metric, or one value a row
        return list(names)
    if given.get("loss") is None and not any(_alias([name], "loss") for name in keep):
        return list(names)  # so that a complaint names them all
    splits = {name for name in names if normal(name) in SPLITS}
    if splits:  # which may part a column of losses in two
        keep |= splits | {name for name in names if f"val_{name}" == given.get("loss")}
    if _alias(names, "step") is None:
        keep |= {name for name in names if normal(name) == "epoch"}
    return [name for name in names if name in keep]


def _labels(cells: Any) -> set[str]:
    return {str(cell) for cell in cells if cell is not None}


def _named(
    names: list[str],
    role: str,
    given: Mapping[str, str],
    source: str,
    known: Sequence[str] = (),
) -> str | None:
    name = given.get(role)
    if name == NONE:
        return None
    if name is None:
        return _alias(_free(names, given), role)
    found = _spelled(names, name)
    if found is None:
        every = ", ".join(list(known or names)[:12])
        raise ValueError(f"{source!r} has no column {name!r}; it has {every}.")
    return found


def _free(names: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The columns that the caller gave no role."""
    taken = {_spelled(names, name) for name in given.values()}
    return [name for name in names if name not in taken]


def _spelled(names: Sequence[str], name: str) -> str | None:
    """The column of this name, or the only one that differs from it in spelling alone."""
    if name in names:
        return name
    near = [one for one in names if normal(one) == normal(name)]
    return near[0] if len(near) == 1 else None


def _alias(
    names: Sequence[str], role: str, aliases: Mapping[str, tuple[str, ...]] = ALIASES
) -> str | None:
    if aliases is not ALIASES:
        usual = [normal(alias) for alias in aliases[role]]
        for spelling in (normal, without_unit, bare, _last_part):
            found = {spelling(name): name for name in reversed(names)}
            alike = Counter(map(spelling, names)) if spelling is _last_part else Counter()
            for alias in usual:
                if alias in found and alike[alias] <= 1:
                    return found[alias]
        return None
    spelled = {normal(name): name for name in reversed(names) if " - " not in name}
    for alias in aliases[role]:
        if alias in spelled:
            return spelled[alias]
    stripped = {bare(name): name for name in reversed(names) if bare(name) != normal(name)}
    logs = {log[1]: name for name in reversed(names) if (log := logarithm_of(name)) and log[0]}
    inner = {_last_part(name): name for name in names if "/" in name} if role == "step" else {}
    for found in (stripped, logs, inner):
        for alias in aliases[role]:
            if alias in found:
                return found[alias]
    return _resembling(spelled, role)


def _last_part(name: str) -> str:
    """The normal name of what a record holds within others, `summary/loss`."""
    return normal(re.split(r"[/.]", name)[-1])


def _resembling(spelled: Mapping[str, str], role: str) -> str | None:
    """A column whose name ends as a loss's or a rate's does, where it is the only one."""
    if role == "loss":
        near = [name for name in spelled if is_loss(name)]
        if not near:
            near = [name for name in VALIDATION if name in spelled][:1]
        if not near:
            near = [name for name in spelled if is_loss(unsmoothed(name))]
        if not near:
            near = sorted(
                filter(is_perplexity, spelled), key=lambda n: bool(re.search("val|ev", n))
            )
            near = near[:1]
        if not near:
            near = [name for name in BITS if name in spelled][:1]
        return spelled[near[0]] if len(near) == 1 else None
    if role == "lr":
        groups = sorted(filter(is_rate, spelled))  # of the parameters of one optimizer: the first
        alike = len({re.sub(r"\d+$", "", name) for name in groups}) == 1
        return spelled[groups[0]] if groups and alike else None
    return None


def _prefixed(
    names: Sequence[str], shared: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Run to role to column, of columns named "run - metric"."""
    runs: dict[str, dict[str, str]] = {}
    metrics: dict[str, list[str]] = {}
    for name in names:
        run, dash, metric = name.rpartition(" - ")
        if dash and not metric.endswith(("__MIN", "__MAX")):
            metrics.setdefault(run, []).append(metric)
    for run, own in metrics.items():
        found = {}
        for role in ("step", "loss", "lr"):
            if role in shared or role in given:
                continue
            known = _alias(own, role)
            if known is not None:
                found[role] = f"{run} - {known}"
        if set(found) - {"step"}:
            runs[run] = found
    return runs


def find_column(
    table: Columns,
    role: str,
    given: Mapping[str, str],
    source: str,
    *,
    needed: bool = True,
    aliases: Mapping[str, tuple[str, ...]] = ALIASES,
) -> str | None:
    """Name of the column that plays `role`, as given or under a usual name."""
    name = given.get(role)
    if name is not None and _spelled(list(table), name) is None:
        raise ValueError(
            f"{source!r} has no column {name!r}; it has {', '.join(list(table)[:12])}."
        )
    if name is None:
        found = _alias(_free(list(table), given), role, aliases)
    else:
        found = _spelled(list(table), name)
    if found is None and needed:
        raise ValueError(missing(list(table), role, source))
    return found


def of_sizes(names: Sequence[str]) -> bool:
    """Whether columns are those of finished runs, of which laws of sizes are made."""
    logs = {without_unit(log[1]) for name in names if (log := logarithm_of(name))}
    found = {spelling(name) for name in names for spelling in (normal, without_unit)} | logs
    return bool(found & _SIZES) and bool(found & _DATA)


def missing(names: Sequence[str], role: str, source: str) -> str:
    """What to say where no column plays a role."""
    what = {"step": "optimizer step", "lr": "learning rate"}.get(role, role)
    if role in ("step", "lr") and of_sizes(names):
        return (
            f"{source!r} has sizes of models and no column for the {what}: a table of finished "
            "runs is fitted by --law chinchilla."
        )
    epoch = next((name for name in names if normal(name) == "epoch"), None)
    if role == "step" and epoch is not None:
        return (
            f"{source!r} has no column for the {what}; it has {', '.join(list(names)[:12])}. Name "
            f"it, or its epochs: --columns step={epoch} --step-scale STEPS-PER-EPOCH."
        )
    return (
        f"{source!r} has no column for the {what}; it has {', '.join(list(names)[:12])}. "
        f"Name it: --columns {role}=NAME."
    )
