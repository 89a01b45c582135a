"""The one place that touches torch's private decorators and hooks, with fallbacks if they go.

torch.optim's own decorator sets the grad mode from `differentiable` around a step and breaks the
graph there, so that a compiled step is an inference graph without an epilogue of copies. Its
other one keeps a function out of graphs as the public `torch.compiler.disable` does, but imports
the compiler (half of torch's own time) when the function is called and not when it is defined.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

try:
    from torch.optim.optimizer import _use_grad_for_differentiable as step_in_grad_mode
except ImportError:  # pragma: no cover - the private name went away

    def step_in_grad_mode(func: Callable[..., Any]) -> Callable[..., Any]:  # type: ignore[misc]
        @functools.wraps(func)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            with torch.set_grad_enabled(self.defaults["differentiable"]):
                return func(self, *args, **kwargs)

        return wrapper


try:
    from torch._compile import _disable_dynamo as outside_graphs
except ImportError:  # pragma: no cover - the private name went away
    outside_graphs = torch.compiler.disable


_NAMES = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
_MODULE = importlib.import_module("torch.optim.optimizer")  # torch.optim drops this attribute
_GLOBAL_HOOKS: list[Any] = [getattr(_MODULE, name, {}) for name in _NAMES]


@contextmanager
def _without_global_hooks() -> Iterator[None]:
    kept = [(hooks, hooks.copy()) for hooks in _GLOBAL_HOOKS]
    for hooks, _ in kept:
        hooks.clear()
    try:
        yield
    finally:
        for hooks, before in kept:
            hooks.update(before)


def silent_global_hooks() -> AbstractContextManager[None]:
    """While it lasts, the steps of other optimizers run no hooks registered for all of them."""
    if torch.compiler.is_compiling() or not any(_GLOBAL_HOOKS):
        return nullcontext()
    return _without_global_hooks()


def ordinary_tensors() -> AbstractContextManager[Any]:
    """While it lasts, tensors are made that can be changed later, in torch.inference_mode too."""
    if torch.compiler.is_compiling() or not torch.is_inference_mode_enabled():
        return nullcontext()
    return torch.inference_mode(False)


__all__ = ["ordinary_tensors", "outside_graphs", "silent_global_hooks", "step_in_grad_mode"]
