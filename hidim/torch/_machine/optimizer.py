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
from hidim.torch._machine.clock import Clock
from hidim.torch._machine.compat import outside_graphs, step_in_grad_mode
from hidim.torch._machine.compiled import coefficients_as_data
from hidim.torch._machine.edited import refuse_edits
from hidim.torch._machine.layout import real_view
from hidim.torch._machine.options import FLAGS, LATER, check_group, refuse_sparse
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
        load_checked(self, state_dict)

    # --- the step -----------------------------------------------------------------------------

    @step_in_grad_mode
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one update.

        Args:
            closure: re-evaluates the model and returns the loss, which is then returned.

        Raises:
            RuntimeError: a gradient is sparse; no parameter has been changed.
            ValueError: an option was changed to a bad value since; no parameter has been changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not torch.compiler.is_compiling():
            refuse_sparse(self)
            refuse_edits(self)
        gain.measure(self)
        # A graph breaks here, and only here.
        data = coefficients_as_data(self) if self._graphed() else None
        for number, group in enumerate(self.param_groups):
            params: list[Tensor] = []
            grads: list[Tensor] = []
            steps: list[Tensor] = []
            state: list[list[Tensor]] = [[] for _ in self.buffers]
            self._init_group(group, params, grads, steps, *state)
            if params and data is not None:
                real = [[real_view(x) for x in xs] for xs in (params, grads, *state)]
                self._update_by(group, real[0], real[1], real[2:], data[number], steps)
            elif params:
                self._step_group(group, params, grads, steps, state)
        return loss

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
        """Collect what has a gradient; the name and shape that torch.compile knows."""
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
        steps.extend([entry["step"] for entry in entries])
        for name, tensors in zip(self.buffers, state, strict=True):
            if group["differentiable"]:
                # Autograd may still need the old buffer: work on a copy of it.
                for entry in entries:
                    entry[name] = entry[name].clone()
            tensors.extend([entry[name] for entry in entries])

    def _init_state(self, group: dict[str, Any], p: Tensor, entry: dict[str, Any]) -> None:
        if group["fused"] and p.is_meta:
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors on a device "
                "with memory; some are on the meta device."
            )
        # float32 as in torch's optimizers (exact to 2^24 updates), never the parameter's dtype.
        double = torch.get_default_dtype() == torch.float64
        entry["step"] = torch.tensor(
            float(group["initial_step"]),
            dtype=torch.float64 if double else torch.float32,
            device=p.device if group["capturable"] else "cpu",
        )
        dtype = self.buffer_dtype(group, p)
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
