"""Where are a compiled step's coefficients computed? Before its graph, once for all entries.

Inside the graph the compiler would repeat their float64 arithmetic (powers, exponentials,
quotients) for every vector of a parameter, at three times the cost of the step. So they enter as
data, 0-D tensors of the parameters' precision: nothing recompiles when time or an option changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.compat import outside_graphs
from hidim.torch._machine.edited import refuse_edits
from hidim.torch._machine.overdecay import refuse_overdecay


@outside_graphs
def refuse_outside(optimizer: Any) -> None:
    """Refuse what a step refuses, where a graph would change something before its numbers."""
    optimizer.refuse_misfits()
    optimizer.refuse_overdecay()


@outside_graphs
def coefficients_as_data(optimizer: Any) -> list[list[Any]]:
    """Refuse what a step refuses, count it, and return every group's coefficients.

    A coefficient is a 0-D tensor, one for each parameter where their times may differ (a list, or
    a vector that the graph cuts by `each`), or None; a group without gradients has none.
    """
    rows = optimizer.refuse_misfits()
    refuse_edits(optimizer)
    refuse_overdecay(optimizer, rows)
    columns: list[Any] = []
    for row in rows:
        group, params = row.group, row.params
        if not params:
            columns.append([])
            continue
        for p in params:
            if not optimizer.state[p]:
                optimizer._init_state(group, p, optimizer.state[p])
        optimizer.before_group(group)
        steps = [optimizer.state[p]["step"] for p in params]
        wide = any(p.dtype in (torch.float64, torch.complex128) for p in params)
        dtype = torch.float64 if wide else torch.float32
        if steps[0].is_cpu:
            columns.append(_on_host(optimizer, group, steps, dtype))
        else:
            columns.append(_on_device(optimizer, group, steps, dtype))
    return columns


def _on_host(
    optimizer: Any, group: dict[str, Any], steps: list[Tensor], dtype: torch.dtype
) -> list[Any]:
    """By the numbers that a step without a compiler uses."""
    before = optimizer.first_time - 1
    times = [count + before for count in optimizer.clock(group).advance(steps)]
    lr = float(group["lr"])
    rows = {}
    for t in set(times):
        values = optimizer.coefficients(group, t, lr)
        known = [0.0 if c is None else float(c) for c in values]
        data = torch.tensor(known, dtype=dtype, device="cpu").unbind()
        rows[t] = [None if c is None else x for c, x in zip(values, data, strict=True)]
    if len(rows) == 1:
        return rows[times[0]]
    columns = zip(*(rows[t] for t in times), strict=True)
    return [None if column[0] is None else list(column) for column in columns]


def _on_device(
    optimizer: Any, group: dict[str, Any], steps: list[Tensor], dtype: torch.dtype
) -> list[Any]:
    """Without a value being read back; vectors, since a graph copies what it is given in parts."""
    columns: list[Any] = []
    for c in _in_vectors(optimizer, group, steps):
        if isinstance(c, list):
            columns.append([x.to(dtype) if isinstance(x, Tensor) else x for x in c])
        elif c is not None:
            columns.append(torch.as_tensor(c, dtype=dtype, device=steps[0].device))
        else:
            columns.append(None)
    return columns


def in_tensor_time(optimizer: Any, group: dict[str, Any], steps: list[Tensor]) -> list[Any]:
    """Count the coming update; coefficients with t as data, so that graphs can be captured."""
    return [each(c) for c in _in_vectors(optimizer, group, steps)]


def each(c: Any) -> Any:
    """A vector of coefficients as a list with one for each parameter; others as they are."""
    return list(c.unbind()) if isinstance(c, Tensor) and c.dim() else c


def _in_vectors(optimizer: Any, group: dict[str, Any], steps: list[Tensor]) -> list[Any]:
    """Count; where parameters lie on several devices, lists of coefficients each on its own."""
    torch._foreach_add_(steps, 1)
    devices = [step.device for step in steps]
    if devices.count(devices[0]) == len(devices):
        return _at_times(optimizer, group, steps)
    columns: list[Any] = []
    for device in dict.fromkeys(devices):
        places = [i for i, other in enumerate(devices) if other == device]
        found = [each(c) for c in _at_times(optimizer, group, [steps[i] for i in places])]
        columns = columns or [[None] * len(steps) for _ in found]
        for column, c in zip(columns, found, strict=True):
            for number, i in enumerate(places):
                column[i] = c[number] if isinstance(c, list) else c
    return [column if isinstance(column[0], Tensor) else column[0] for column in columns]


def _at_times(optimizer: Any, group: dict[str, Any], steps: list[Tensor]) -> list[Any]:
    exact = torch.float32 if steps[0].device.type == "mps" else torch.float64
    t = torch.stack(steps).to(exact) - (1 - optimizer.first_time)
    lr = group["lr"]
    if isinstance(lr, Tensor):
        lr = lr.reshape(()).to(t.device, non_blocking=True)
    return list(optimizer.coefficients(group, t, lr))
