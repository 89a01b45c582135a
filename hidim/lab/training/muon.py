"""How is a whole network trained with Muon, which takes matrices alone?

torch.optim.Muon steps the hidden matrices along their momentum, orthogonalised; AdamW steps
embeddings, the output layer, biases and norms, as in the runs that made Muon known. Muon's rate is
scaled by 0.2 sqrt(larger side) (`match_rms_adamw`), so one rate and one weight decay fit both.
Limits: a matrix that holds several, such as the gates of an LSTM, is orthogonalised as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, overload

import torch
from torch import Tensor

_OUTER = ("embedding", "position", "output")  # matrices that read tokens or write logits


class Muon(torch.optim.Optimizer):
    """torch's Muon for hidden matrices and AdamW for the rest, as one optimizer.

    Args:
        params: parameters or named parameters; without names every matrix counts as hidden.
        lr: of both.
        momentum: of the hidden matrices; `betas` and `eps` are AdamW's for the rest.
        weight_decay: decoupled, of both.
        nesterov, ns_steps: of torch.optim.Muon.

    >>> model = torch.nn.Linear(3, 2)
    >>> optimizer = Muon(model.named_parameters(), lr=0.01)
    >>> [len(group["params"]) for group in optimizer.param_groups]
    [1, 1]
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[tuple[str, Tensor]],
        lr: float = 1e-3,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        named = [one if isinstance(one, tuple) else ("", one) for one in params]
        hidden = [p for name, p in named if p.ndim == 2 and name.split(".")[0] not in _OUTER]
        chosen = {id(p) for p in hidden}
        rest = [p for _, p in named if id(p) not in chosen]
        self._parts: list[torch.optim.Optimizer] = []
        groups = []
        if hidden:
            kept: dict[str, Any] = {"nesterov": nesterov, "ns_steps": ns_steps}
            muon = torch.optim.Muon(
                hidden,
                lr=lr,
                momentum=momentum,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
                **kept,
            )
            self._parts.append(muon)
        if rest:
            adamw = torch.optim.AdamW(
                rest,
                lr=lr,
                betas=(betas[0], betas[1]),
                eps=eps,
                weight_decay=weight_decay,
                fused=True,
            )
            self._parts.append(adamw)
        groups = [group for part in self._parts for group in part.param_groups]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Any) -> float: ...

    def step(self, closure: Any = None) -> float | None:
        """Step both parts on this optimizer's groups and state."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part, group in zip(self._parts, self.param_groups, strict=True):
            # Both keep their state by parameter: one dictionary holds it, and a loaded one too.
            part.param_groups, part.state = [group], self.state
            part.step()
        return loss
