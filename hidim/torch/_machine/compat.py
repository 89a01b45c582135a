"""The one place that touches torch's private decorators, with fallbacks if they go.

torch.optim's own decorator sets the grad mode from `differentiable` around a step and breaks the
graph there, so that a compiled step is an inference graph without an epilogue of copies. Its
other one keeps a function out of graphs as the public `torch.compiler.disable` does, but imports
the compiler (half of torch's own time) when the function is called and not when it is defined.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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


__all__ = ["outside_graphs", "step_in_grad_mode"]
