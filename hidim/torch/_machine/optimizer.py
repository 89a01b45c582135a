"""What do all optimizers here share? Groups, state, counting of updates, steps, checkpoints.

State per parameter is `step`, the number of updates so far, and the rule's `buffers`. How a group
is updated by a rule is in `rule.py`.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine import gain
from hidim.torch._machine.checkpoint import load_checked
from hidim.torch._machine.clock import Clock, new_count
from hidim.torch._machine.compat import ordinary_tensors, outside_graphs, step_in_grad_mode
from hidim.torch._machine.compiled import (
    coefficients_as_data,
    each,
    in_tensor_time,
    refuse_outside,
)
from hidim.torch._machine.edited import refuse_edits
from hidim.torch._machine.fit import Moving, moving, ready, refuse_misfits
from hidim.torch._machine.layout import real_view
from hidim.torch._machine.options import FLAGS, LATER, check_group
from hidim.torch._machine.overdecay import refuse_overdecay
from hidim.torch._machine.plain import attached, to_plain
from hidim.torch._machine.rule import Rule

Params = Iterable[Any]


class HidimOptimizer(Rule, torch.optim.Optimizer):
    """Base of the optimizers; a rule implements `coefficients`, `single` and `foreach`.

    Every argument of the constructor is an entry of each parameter group and can be given per
    group; nothing is read from the optimizer itself.
    """

    def __init__(self, params: Params, options: dict[str, Any]) -> None:
        skip = ("self", "params", "__class__")
        options = {k: v for k, v in options.items() if k not in skip}
        check_group(options)  # before the parameters are looked at, as torch does
        self._clocks: dict[int, Clock] = defaultdict(Clock)  # of the groups, by identity
        super().__init__(params, options)

    # --- groups -------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group whose missing options are the constructor's; bad values are refused."""
        if isinstance(param_group, dict):
            check_group({**self.defaults, **param_group})
        super().add_param_group(param_group)
        try:
            self._complete(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise

    def _complete(self, group: dict[str, Any]) -> None:
        """Fill in what a new group leaves to be computed."""

    def __getstate__(self) -> dict[str, Any]:
        return {**attached(self), **super().__getstate__()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._clocks = defaultdict(Clock)
        for name in inspect.signature(type(self)).parameters:
            if name in LATER:  # pickled by version 0.1
                self.defaults.setdefault(name, LATER[name])
        for group in self.param_groups:
            for name, value in {**LATER, **FLAGS}.items():
                if name in FLAGS or name in self.defaults:
                    group.setdefault(name, value)

    # --- checkpoints --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State and groups as plain data: loads with `torch.load(weights_only=True)`."""
        packed = super().state_dict()
        packed["param_groups"] = [
            {key: to_plain(value) for key, value in group.items()}
            for group in packed["param_groups"]
        ]
        return packed

    @outside_graphs
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a checkpoint of the same optimizer, written by any path.

        Raises:
            ValueError: it was written by another optimizer, is truncated, or does not fit these
                parameters; the message says what is wrong and nothing has changed.
        """
        with ordinary_tensors():
            load_checked(self, state_dict)

    # --- the step -----------------------------------------------------------------------------

    @step_in_grad_mode
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one update.

        Args:
            closure: re-evaluates the model and returns the loss, which is then returned.

        Raises:
            RuntimeError: a gradient is sparse, or it or the state does not fit its parameter, whose
                data was replaced; no parameter and no state has been changed.
            ValueError: an option was changed to a bad value since; no parameter has been changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not torch.compiler.is_compiling():
            self._step()
            return loss
        if not self._graphed() or any([gain.asked(group) for group in self.param_groups]):
            refuse_outside(self)  # before anything is measured
        gain.measure(self)
        # A graph breaks here; without what is above, only here.
        data = coefficients_as_data(self) if self._graphed() else None
        for number, group in enumerate(self.param_groups):
            params: list[Tensor] = []
            grads: list[Tensor] = []
            steps: list[Tensor] = []
            state: list[list[Tensor]] = [[] for _ in self.buffers]
            self._init_group(group, params, grads, steps, *state)
            if params:
                if data is None:
                    self.before_group(group)
                if data is None:
                    columns = in_tensor_time(self, group, steps)
                else:
                    columns = [each(c) for c in data[number]]
                real = [[real_view(x) for x in xs] for xs in (params, grads, *state)]
                self._update_by(group, real[0], real[1], real[2:], columns, steps)
        return loss

    def _step(self) -> None:
        """The step without a compiler, once the loss is known."""
        rows = self.refuse_misfits()
        refuse_edits(self)
        refuse_overdecay(self, rows)
        gain.measure(self)
        for row in rows:
            if row.params:
                self._make_state(row)
                self._step_group(row)

    def refuse_misfits(self) -> list[Moving]:
        """What would move, if all of it fits together."""
        rows = moving(self)
        refuse_misfits(type(self).__name__, rows, self.buffers)
        return rows

    def refuse_overdecay(self) -> None:
        """Refuse a step whose decay would turn a weight over."""
        refuse_overdecay(self, moving(self))

    def _make_state(self, row: Moving) -> None:
        """What is missing in the state of what moves."""
        if not row.steps:
            for i, p in enumerate(row.params):
                entry = row.entries[i] = self.state[p]
                if not entry:
                    self._init_state(row.group, p, entry)
            ready(row, self.buffers)
        if row.group["differentiable"]:
            self._copy_state(row.entries)
            row.collect_state(self.buffers)
            row.lists = [row.params, row.grads, *row.state]

    def _copy_state(self, entries: list[dict[str, Any]]) -> None:
        """Work on copies: autograd may still need the old buffers."""
        for entry in entries:
            for name in self.buffers:
                entry[name] = entry[name].clone()

    def _graphed(self) -> bool:
        return torch.compiler.is_compiling() and not self.defaults["differentiable"]

    def clock(self, group: dict[str, Any]) -> Clock:
        """Who counts the updates of this group."""
        return self._clocks[id(group)]

    def _init_group(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        steps: list[Tensor],
        *state: list[Tensor],
    ) -> None:
        """Collect what has a gradient in a graph; the name and shape that torch.compile knows."""
        entries = []
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            entry = self.state[p]
            if not entry:
                self._init_state(group, p, entry)
            params.append(p)
            grads.append(g)
            entries.append(entry)
        if group["differentiable"]:
            self._copy_state(entries)
        steps.extend([entry["step"] for entry in entries])
        for name, tensors in zip(self.buffers, state, strict=True):
            tensors.extend([entry[name] for entry in entries])

    def _init_state(self, group: dict[str, Any], p: Tensor, entry: dict[str, Any]) -> None:
        device = p.device if group["capturable"] else "cpu"
        dtype = self.buffer_dtype(group, p)
        with ordinary_tensors():
            entry["step"] = new_count(float(group["initial_step"]), device)
            for name in self.buffers:
                entry[name] = torch.zeros_like(p, dtype=dtype, memory_format=torch.preserve_format)

    def buffer_dtype(self, group: dict[str, Any], p: Tensor) -> torch.dtype:
        """The parameter's dtype unless `state_dtype` says otherwise; float32 for float16.

        float16 has too little range: squares of gradients below 2e-4 would vanish.
        """
        dtype = group["state_dtype"]
        if dtype is None:
            return torch.float32 if p.dtype == torch.float16 else p.dtype
        return dtype.to_complex() if p.is_complex() else dtype
