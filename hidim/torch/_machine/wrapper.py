"""How does an optimizer wrap another and stay one itself? It shares its groups and its state."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.torch._machine.checkpoint import refuse_malformed, wrong
from hidim.torch._machine.compat import (
    ordinary_tensors,
    silent_global_hooks,
    step_in_grad_mode,
)
from hidim.torch._machine.compiled import refuse_outside
from hidim.torch._machine.damage import (
    labels,
    misfit_of,
    unsound_in,
    warn_of,
)
from hidim.torch._machine.edited import refuse_edits
from hidim.torch._machine.fit import moving, refuse_misfits, shaped_in
from hidim.torch._machine.gain import SHADOW
from hidim.torch._machine.optimizer import HidimOptimizer, Params
from hidim.torch._machine.options import FLAGS, LATER, check_group
from hidim.torch._machine.origin import of_wrapper
from hidim.torch._machine.plain import attached, from_plain, to_plain

# Options that torch's optimizers fill in themselves for older checkpoints, and ours.
_OPTIONAL = {*FLAGS, *LATER, "amsgrad", "decoupled_weight_decay", "nesterov"}
_CHECKED = {"lr", "weight_decay"}  # of the base; the rest is the base's to check

# Options that most optimizers have, spelt out in the wrappers' signatures.
_OF_BASE = ("betas", "eps", "maximize", "foreach", "fused", "capturable", "differentiable")


def options_of_base(arguments: dict[str, Any]) -> dict[str, Any]:
    """What a wrapper's arguments say of its base; what was left out is the base's to choose."""
    given = {name: arguments[name] for name in _OF_BASE if arguments[name] is not None}
    both = {"lr": arguments["lr"], "weight_decay": arguments["weight_decay"]}
    return {**both, **given, **arguments["options"]}


def _refuse_closures(base: torch.optim.Optimizer) -> None:
    """Refuse a base whose step needs a closure: it moves parameters between evaluations, as LBFGS.

    A wrapper would have decayed them, and then the base's step fails without one.
    """
    closure = inspect.signature(base.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ValueError(
            f"`base` is {type(base).__name__}, whose step evaluates a closure between its moves: "
            "nothing can be done before and after each; use it without a wrapper."
        )


class Wrapper(torch.optim.Optimizer):
    """Another optimizer with something done before and after each of its updates.

    `kept` names what a group remembers besides options.

    The groups are the wrapped optimizer's own dictionaries with the wrapper's options added, so
    schedulers, checkpoints and edits act on both.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: Params | torch.optim.Optimizer,
        own: dict[str, Any],
        base: Callable[..., torch.optim.Optimizer],
        options: dict[str, Any],
    ) -> None:
        check_group({k: v for k, v in own.items() if k != "initial_step" or v is not None})
        if isinstance(params, torch.optim.Optimizer):
            self.base = params
        else:
            check_group({"lr": options["lr"], "weight_decay": options["weight_decay"]})
            self.base = base(params, **options)
        _refuse_closures(self.base)
        for name, value in own.items():
            if name in self.base.defaults and value is not None:
                raise ValueError(
                    f"`{name}` is an option of {type(self.base).__name__} itself: give it there."
                )
        super().__init__(self.base.param_groups, own)
        self._share()
        for name, value in attached(self.base).items():  # such as the reasons of `from_adamw`
            vars(self).setdefault(name, value)

    def _share(self) -> None:
        self.state, self.param_groups = self.base.state, self.base.param_groups
        own = {k: v for k, v in self.defaults.items() if k not in self.base.defaults}
        self.defaults = {"differentiable": False, **self.base.defaults, **own}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the wrapped optimizer, with the wrapper's options."""
        if isinstance(param_group, dict):
            own = {k: v for k, v in self.defaults.items() if k not in self.base.defaults}
            if own.get("initial_step", 0) is None:
                del own["initial_step"]
            check_group(
                {**own, **{k: v for k, v in param_group.items() if k in _CHECKED | set(own)}}
            )
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

    def refuse_kept(self, group: dict[str, Any], count: int) -> str | None:
        """What is wrong with what a saved group of `count` parameters remembers, if anything."""
        return None

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
        if torch.compiler.is_compiling():
            refuse_outside(self)
        else:
            self.refuse_misfits()
            self._refuse_edits()
            self.refuse_overdecay()
        moving = list(self._moving())
        for group, params in moving:
            self.before(group, params)
        with silent_global_hooks():  # they are this step's, and run once
            self.base.step()
        for group, params in moving:
            self.after(group, params)
        return loss

    def _innermost(self) -> torch.optim.Optimizer:
        inner = self.base
        while isinstance(inner, Wrapper):
            inner = inner.base
        return inner

    def _refuse_edits(self) -> None:
        """Refuse bad values of its own options, and of the base's where ours to check."""
        inner = self._innermost()
        if isinstance(inner, HidimOptimizer):
            refuse_edits(inner)
        refuse_edits(self, _CHECKED | self.defaults.keys() - self.base.defaults.keys())

    def refuse_misfits(self) -> None:
        """Refuse what the innermost base would, before `before` has changed anything."""
        inner = self._innermost()
        if isinstance(inner, HidimOptimizer):
            refuse_misfits(type(self).__name__, moving(self), inner.buffers)
        else:
            name = type(self).__name__
            refuse_misfits(name, moving(self), shaped_in(inner), foreign=True)

    def refuse_overdecay(self) -> None:
        """Refuse a step whose decay, that of the base in here, would turn a weight over."""
        if isinstance(self.base, HidimOptimizer | Wrapper):
            self.base.refuse_overdecay()

    def _moving(self) -> Iterator[tuple[dict[str, Any], list[Tensor]]]:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                yield group, params

    def __getstate__(self) -> dict[str, Any]:
        return {**attached(self), **super().__getstate__(), "base": self.base}

    def state_dict(self) -> dict[str, Any]:
        """The wrapped optimizer's state_dict with the wrapper's options in the groups."""
        for pre_hook in self._optimizer_state_dict_pre_hooks.values():
            pre_hook(self)
        packed = self.base.state_dict()
        packed["param_groups"] = [
            {key: to_plain(value) for key, value in group.items()}
            for group in packed["param_groups"]
        ]
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            replaced = post_hook(self, packed)
            packed = packed if replaced is None else replaced
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load both; a checkpoint without the wrapper's options is refused.

        Raises:
            ValueError: it does not fit; nothing has changed.
        """
        refuse_malformed(self, state_dict)
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        refuse_malformed(self, state_dict)
        needed = {*self.defaults, *self.kept} - _OPTIONAL
        for number, group in enumerate(state_dict["param_groups"]):
            missing = sorted(key for key in needed if key not in group)
            if missing:
                advice = of_wrapper(type(self).__name__, missing)
                raise ValueError(wrong(self, f"group {number} lacks {', '.join(missing)}", advice))
        try:
            state_dict["param_groups"] = from_plain(state_dict["param_groups"])
        except ValueError as error:
            raise ValueError(wrong(self, str(error))) from None
        self._refuse_truncated(state_dict)
        for number, (saved, own) in enumerate(
            zip(state_dict["param_groups"], self.param_groups, strict=False)
        ):
            if (problem := self.refuse_kept(saved, len(own["params"]))) is not None:
                raise ValueError(wrong(self, f"in group {number}, {problem}"))
        if not isinstance(self._innermost(), HidimOptimizer):
            self._look_for_damage(state_dict)
        with ordinary_tensors():  # of a base that is torch's, too
            self.base.load_state_dict(state_dict)
        self._share()
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)

    def _look_for_damage(self, state_dict: dict[str, Any]) -> None:
        """What ours would refuse or say on loading, for bases that take it as it is."""
        pairs = zip(state_dict["param_groups"], self.param_groups, strict=False)  # counted there
        names = labels((saved, own) for saved, own in pairs if "params" in saved)
        problem = misfit_of(self, state_dict, names, shaped_in(self._innermost()))
        state = state_dict["state"]
        entries = {what: state[i] for i, what in names.items() if i in state}
        negative, unsound = unsound_in(entries)
        if problem or negative:
            raise ValueError(wrong(self, str(problem or negative)))
        warn_of(type(self).__name__, unsound)

    def _refuse_truncated(self, state_dict: dict[str, Any]) -> None:
        """Compare the saved state with the present one, as far as there is one."""
        ids = [i for group in state_dict["param_groups"] for i in group.get("params", ())]
        own = [p for group in self.param_groups for p in group["params"]]
        for number, p in zip(ids, own, strict=False):
            saved = state_dict["state"].get(number, {})
            if not isinstance(saved, dict):
                raise ValueError(wrong(self, f"the state of parameter {number} is not a dict"))
            for key, present in self.state.get(p, {}).items() if saved else ():
                if key == SHADOW and key not in saved:
                    continue  # saved before the gain was measured
                if key not in saved:
                    raise ValueError(wrong(self, f"parameter {number} lacks `{key}`"))
                if isinstance(present, Tensor) and present.dim():
                    shape = getattr(saved[key], "shape", None)
                    if shape != present.shape:
                        found = f"`{key}` of parameter {number} has shape {shape}"
                        raise ValueError(wrong(self, f"{found}, not {present.shape}"))
                elif isinstance(present, Tensor) and not isinstance(
                    saved[key], Tensor | int | float
                ):
                    raise ValueError(wrong(self, f"`{key}` of parameter {number} is not a number"))
