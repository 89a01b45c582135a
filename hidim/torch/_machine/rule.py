"""How is a group updated by a rule, whichever path it takes?

A rule says how its coefficients follow from a group and the time t (`coefficients`) and how one
update uses them: on lists (`update`, which the loop gives lists of one) and in one pass over memory
(`fused`, where there is one). What lies between a group and these is here:

* t is a Python float, one per distinct `step`; under `capturable=True` and `torch.compile` it is
  a tensor with one entry per parameter, so that time is data and nothing recompiles;
* complex parameters are updated as pairs of reals, DTensors as their local shards;
* lists are of one device, dtype and time, and given in slices;
* bfloat16 and float16 are widened to float32 for the arithmetic and rounded once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.torch._machine.clock import Clock
from hidim.torch._machine.compiled import in_tensor_time
from hidim.torch._machine.fit import Moving
from hidim.torch._machine.layout import (
    LOW,
    as_stored,
    bucket,
    on_device,
    real_view,
    round_stochastically,
    widen,
)
from hidim.torch._machine.paths import choose_path, slices

_LOW = frozenset(LOW)
Coefficient = Any  # float, 0-D tensor, or in `update` a list with one 0-D tensor per parameter


class Rule:
    """What a rule implements, and the update of a group by it."""

    buffers: ClassVar[tuple[str, ...]] = ()
    # The DANA family counts t from 0 (the updates done), the ADANA family from 1.
    first_time: ClassVar[int] = 0
    # How many lists as long as its arguments `update` makes and holds at a time, at most.
    temporaries: ClassVar[int] = 2

    def clock(self, group: dict[str, Any]) -> Clock:
        """Who counts the updates of this group."""
        raise NotImplementedError

    def coefficients(self, group: dict[str, Any], t: Any, lr: Any) -> tuple[Coefficient, ...]:
        """The numbers one update needs; `t` is a float or a tensor with one time per parameter."""
        raise NotImplementedError

    def kept(self, group: dict[str, Any], t: Any, lr: Any) -> Any:
        """What decoupled decay leaves of the old parameter at `t`, a factor."""
        return 1.0

    def update(
        self, group: dict[str, Any], ps: list[Tensor], gs: list[Tensor], state: Any, c: Any
    ) -> None:
        """Update lists of parameters of one device and dtype, and their buffers, in place."""
        raise NotImplementedError

    def fused(
        self, group: dict[str, Any], ps: list[Tensor], gs: list[Tensor], state: Any, c: Any
    ) -> list[int]:
        """Update in one pass what can be; return the positions left for `update`."""
        return list(range(len(ps)))

    def before_group(self, group: dict[str, Any]) -> None:
        """Called before a group is updated."""

    # --- the update ---------------------------------------------------------------------------

    def _step_group(self, row: Moving) -> None:
        """Update what moves in a group, without a compiler."""
        group, steps = row.group, row.steps
        self.before_group(group)
        if row.as_stored:
            params, grads, *state = row.lists
        else:
            params, grads, state = row.params, row.grads, row.state
            params, grads, state = as_stored(
                params, grads, state, local=not group["differentiable"]
            )
            params, grads = [real_view(p) for p in params], [real_view(g) for g in grads]
            state = [[real_view(b) for b in tensors] for tensors in state]
        if group["capturable"]:
            columns = in_tensor_time(self, group, steps)
            self._update_by(group, params, grads, state, columns, steps)
            return
        before = self.first_time - 1
        times = [count + before for count in self.clock(group).advance(steps)]
        path = choose_path(group, params, on_cpu=row.on_cpu)
        lr = group["lr"]
        if isinstance(lr, Tensor):
            on_host = lr.device.type == "cpu" and not lr.requires_grad
            lr = lr.item() if on_host else lr.reshape(())
        if path == "single":
            cache = {t: self.coefficients(group, t, lr) for t in set(times)}
            for i, t in enumerate(times):
                one = [[tensors[i]] for tensors in state]
                c = on_device(params[i].device, cache[t])
                self._update_piece(group, [params[i]], [grads[i]], one, c, (t, [i]), {})
            return
        if row.alike and times.count(times[0]) == len(times):
            everything = range(len(times))
            self._update_bucket(group, path, params, grads, state, times[0], lr, everything)
            return
        for (_, _, _, t), indices in bucket(params, grads, state, times).items():
            ps, gs = [params[i] for i in indices], [grads[i] for i in indices]
            bs = [[tensors[i] for i in indices] for tensors in state]
            self._update_bucket(group, path, ps, gs, bs, t, lr, indices)

    def _update_bucket(
        self,
        group: dict[str, Any],
        path: str,
        ps: list[Tensor],
        gs: list[Tensor],
        bs: list[list[Tensor]],
        t: float,
        lr: Any,
        places: Sequence[int],
    ) -> None:
        """Update tensors of one device, dtype and time; `places` are theirs in the group."""
        c = on_device(ps[0].device, self.coefficients(group, t, lr))
        if path == "fused" and not group["stochastic_rounding"]:
            left = self.fused(group, ps, gs, bs, c)
            if not left:
                return
            ps, gs = [ps[i] for i in left], [gs[i] for i in left]
            bs = [[tensors[i] for i in left] for tensors in bs]
            places = [places[i] for i in left]
        if not _LOW.isdisjoint([x.dtype for x in (ps[0], gs[0], *(tensors[0] for tensors in bs))]):
            self._update_many(group, ps, gs, bs, c, (t, places))
            return
        held = self.temporaries + group["maximize"]
        for _, few_ps, few_gs, few_bs in slices(ps, gs, bs, held):
            if group["maximize"]:
                few_gs = list(torch._foreach_neg(few_gs))
            self.update(group, few_ps, few_gs, few_bs, c)

    def _update_by(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        state: list[list[Tensor]],
        columns: list[Any],
        steps: list[Tensor],
    ) -> None:
        """The same updates by coefficients that are data."""
        rounds = group["stochastic_rounding"]  # in one place: each breaks the graph
        if rounds:  # by the time that seeds it without a compiler
            steps = [step + (self.first_time - 1) for step in steps]
        if choose_path(group, params) == "single" and not rounds:
            for i, p in enumerate(params):
                c = tuple(column[i] if isinstance(column, list) else column for column in columns)
                one = [[b[i]] for b in state]
                self._update_piece(group, [p], [grads[i]], one, c, (steps[i], [i]), {})
        else:
            key = (steps[0], range(len(params)))
            self._update_many(group, params, grads, state, columns, key)

    def _update_many(
        self,
        group: dict[str, Any],
        ps: list[Tensor],
        gs: list[Tensor],
        state: list[list[Tensor]],
        c: Any,
        key: Any,
    ) -> None:
        if torch.compiler.is_compiling():  # which makes loops of its own
            self._update_piece(group, ps, gs, state, c, key, {})
            return
        t, places = key
        noises: dict[Any, Any] = {}
        ordered, held = group["stochastic_rounding"], self.temporaries + group["maximize"]
        for which, few_ps, few_gs, few_state in slices(ps, gs, state, held, ordered=ordered):
            own = [[x[i] for i in which] if isinstance(x, list) else x for x in c]
            few_key = (t, [places[i] for i in which])
            self._update_piece(group, few_ps, few_gs, few_state, own, few_key, noises)

    def _update_piece(
        self,
        group: dict[str, Any],
        ps: list[Tensor],
        gs: list[Tensor],
        state: list[list[Tensor]],
        c: Any,
        key: Any,
        noises: dict[Any, Any],
    ) -> None:
        if group["maximize"]:
            gs = list(torch._foreach_neg(gs))
        if _LOW.isdisjoint([x.dtype for x in chain(ps, gs, *state)]):
            self.update(group, ps, gs, state, c)
            return
        wide_ps, wide_gs = [widen(p) for p in ps], [widen(g) for g in gs]
        wide_state = [[widen(b) for b in tensors] for tensors in state]
        self.update(group, wide_ps, wide_gs, wide_state, c)
        stored, computed = [ps, *state], [wide_ps, *wide_state]
        if group["stochastic_rounding"]:
            round_stochastically(stored, computed, key, noises)
            return
        pairs = zip(chain.from_iterable(stored), chain.from_iterable(computed), strict=True)
        for target, value in pairs:
            if value is not target:  # float32 beside them
                target.copy_(value)
