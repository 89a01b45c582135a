"""How does an optimizer wrap another and stay one itself? It shares its groups and its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from hidim.torch._compat import step_in_grad_mode
from hidim.torch._optimizer import Params
from hidim.torch._options import check_group


class Wrapper(torch.optim.Optimizer):
    """Another optimizer with something done before and after each of its updates.

    The groups are the wrapped optimizer's own dictionaries with the wrapper's options added, so
    schedulers, checkpoints and edits act on both.
    """

    def __init__(
        self,
        params: Params | torch.optim.Optimizer,
        own: dict[str, Any],
        base: Callable[..., torch.optim.Optimizer],
        options: dict[str, Any],
    ) -> None:
        if isinstance(params, torch.optim.Optimizer):
            self.base = params
        else:
            self.base = base(params, **options)
        for name, value in own.items():
            if name in self.base.defaults and value is not None:
                raise ValueError(
                    f"`{name}` is an option of {type(self.base).__name__} itself: give it there."
                )
        super().__init__(self.base.param_groups, own)
        self._share()

    def _share(self) -> None:
        self.state, self.param_groups = self.base.state, self.base.param_groups
        own = {k: v for k, v in self.defaults.items() if k not in self.base.defaults}
        self.defaults = {"differentiable": False, **self.base.defaults, **own}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the wrapped optimizer, with the wrapper's options."""
        if isinstance(param_group, dict):
            check_group({**self.defaults, **param_group})
        if not any(param_group is group for group in self.base.param_groups):
            self.base.add_param_group(param_group)
            param_group = self.base.param_groups[-1]
        for name, value in self.defaults.items():
            param_group.setdefault(name, value)
        self._complete(param_group)
        if not any(param_group is group for group in self.param_groups):
            self.param_groups.append(param_group)

    def _complete(self, group: dict[str, Any]) -> None:
        """Fill in what a new group leaves to be computed."""

    def before(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Called before each update, with the parameters that will move."""

    def after(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Called after each update."""

    @step_in_grad_mode
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one update of the wrapped optimizer."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = list(self._moving())
        for group, params in moving:
            self.before(group, params)
        self.base.step()
        for group, params in moving:
            self.after(group, params)
        return loss

    def _moving(self) -> Iterator[tuple[dict[str, Any], list[Tensor]]]:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                yield group, params

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "base": self.base}

    def state_dict(self) -> dict[str, Any]:
        """The wrapped optimizer's state_dict with the wrapper's options in the groups."""
        for pre_hook in self._optimizer_state_dict_pre_hooks.values():
            pre_hook(self)
        packed = self.base.state_dict()
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            replaced = post_hook(self, packed)
            packed = packed if replaced is None else replaced
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load both; a checkpoint without the wrapper's options is refused.

        Raises:
            ValueError: it does not fit; nothing has changed.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        own = [key for key in self.defaults if key not in self.base.defaults]
        for number, group in enumerate(state_dict.get("param_groups", ())):
            missing = [key for key in own if key not in group and key != "differentiable"]
            if missing:
                raise ValueError(
                    f"this state_dict cannot be loaded into {type(self).__name__}: group "
                    f"{number} lacks {', '.join(missing)}. Nothing has been changed."
                )
        self.base.load_state_dict(state_dict)
        self._share()
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)
