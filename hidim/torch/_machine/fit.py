"""Does all that a step would touch fit together? Asked of every group before anything moves.

A gradient, buffer or count that does not belong to its parameter would be found out in the middle
of a step, with some groups updated and others not, or never: a kernel reads and writes beyond the
shorter tensor's end. Found for whole lists where tensors are ordinary, since a look at each by
itself costs as much as a small model's step; one by one where they are not, or to say which.
Limits: of one another's options see edited.py; of tensors that only look like memory, nothing; of
bases of other libraries than torch the gradients and counts, since their states are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.gain import SHADOW, asked
from hidim.torch._machine.layout import ORDINARY, local_shard

_COMPLEX = {torch.complex32, torch.complex64, torch.complex128}
_REAL = {torch.float64, torch.float32, torch.bfloat16, torch.float16}
# Properties as functions: a loop over hundreds of tensors stays out of the interpreter.
_dtype = Tensor.dtype.__get__  # type: ignore[attr-defined]
_device = Tensor.device.__get__
_shape = Tensor.shape.__get__  # type: ignore[attr-defined]
_layout = Tensor.layout.__get__  # type: ignore[attr-defined]
_on_cpu = Tensor.is_cpu.__get__  # type: ignore[attr-defined]
# What has the parameter's shape in the states of torch.optim, and Adafactor's factors of a matrix:
# the dimension that each has summed over.
_OF_TORCH = (
    "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg",
    "grad_avg", "acc_delta", "sum", "prev", "step_size", "ax", "variance",
)  # fmt: skip
_FACTORS = {"row_var": -1, "col_var": -2}
_NONE: dict[str, Any] = {}
_REMEDY = (
    "Set its gradient to None and drop its state, `del optimizer.state[p]`, or build a new "
    "optimizer."
)


def shaped_in(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """What has the parameter's shape in the state of another library's optimizer, if known.

    >>> shaped_in(torch.optim.SGD([torch.ones(1)]))[0]
    'exp_avg'
    """
    module = type(optimizer).__module__  # some of them say that of the package
    return _OF_TORCH if f"{module}.".startswith("torch.optim.") else ()


@dataclass(slots=True)
class Moving:
    """The parameters of a group that have a gradient, and what a step does with them.

    `entries` are their states, an empty one where there is none yet. `as_stored` says that `lists`
    are what this process has of parameters, gradients and buffers: ordinary real tensors, to be
    taken as they are; `alike` of one dtype and device, `on_cpu` which.
    """

    group: dict[str, Any]
    params: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)
    state: list[list[Tensor]] = field(default_factory=list)
    lists: list[list[Tensor]] = field(default_factory=list)
    as_stored: bool = False
    alike: bool = False
    on_cpu: bool = False

    def collect_state(self, buffers: Sequence[str]) -> None:
        """Read counts and buffers from the entries, which must all be there."""
        self.steps = [entry["step"] for entry in self.entries]
        self.state = [[entry[name] for entry in self.entries] for name in buffers]


def moving(optimizer: torch.optim.Optimizer) -> list[Moving]:
    """What would move, group by group; no state is made."""
    found = []
    known = optimizer.state.get
    for group in optimizer.param_groups:
        row = Moving(group)
        params, grads, entries = row.params, row.grads, row.entries
        for p in group["params"]:
            g = p.grad
            if g is not None:
                params.append(p)
                grads.append(g)
                entries.append(known(p, _NONE))
        found.append(row)
    return found


def refuse_misfits(
    name: str, rows: list[Moving], buffers: Sequence[str], *, foreign: bool = False
) -> None:
    """Refuse gradients, buffers and counts that do not fit their parameters, of any group.

    Args:
        name: of the optimizer, for the message.
        rows: what would move; what is ready in them is noted there.
        buffers: names in the state of what has the parameter's shape.
        foreign: it is another's state, of which any may be missing.

    Raises:
        RuntimeError: a gradient is sparse; a parameter has been given other data, or a state that
            is not its own; autograd cannot follow its step. Nothing has been changed.
    """
    for row in rows:
        if row.group.get("differentiable"):
            _refuse_leaves(row)
        if not ready(row, buffers, foreign=foreign):
            _look_at_each(name, row, buffers, foreign=foreign)


def ready(row: Moving, buffers: Sequence[str], *, foreign: bool = False) -> bool:
    """Read the state of a group; whether all of it is there and fits, as far as lists can tell."""
    if not row.params:
        return True
    if not all(row.entries) and (any(row.entries) or not foreign):
        return False
    try:
        if foreign:
            names = [name for name in buffers if name in row.entries[0]]
            row.state = [[entry[name] for entry in row.entries] for name in names]
            row.steps = [x for e in row.entries if isinstance(x := e.get("step"), Tensor)]
            if not _FACTORS.keys().isdisjoint(row.entries[0]):
                return False
        else:
            row.collect_state(buffers)
        lists = [row.params, row.grads, *row.state]
        tensors = list(chain.from_iterable(lists))
        if not ORDINARY.issuperset(map(type, tensors)):
            lists = _shards(row)
            tensors = list(chain.from_iterable(lists))
            if not (tensors and ORDINARY.issuperset(map(type, tensors))):
                return False
        if any(map(Tensor.dim, row.steps)):
            return False
    except (KeyError, TypeError):  # something is missing, or no tensor
        return False
    shapes = list(map(_shape, lists[0]))
    if any([list(map(_shape, xs)) != shapes for xs in lists[1:]]):
        return False
    if list(map(_layout, lists[1])).count(torch.strided) != len(shapes):
        return False
    row.on_cpu = all(map(_on_cpu, tensors))
    devices = [] if row.on_cpu else list(map(_device, lists[0]))
    if any([list(map(_device, xs)) != devices for xs in lists[1:] if devices]):
        return False
    if not all(map(_on_cpu, row.steps)) and list(map(_device, row.steps)) != devices:
        return False
    kinds = set(map(_dtype, tensors))
    if not (_REAL.issuperset(kinds) or _COMPLEX.issuperset(kinds)):
        return False
    row.as_stored = _REAL.issuperset(kinds) and not any(map(Tensor.is_neg, lists[1]))
    row.lists = lists
    row.alike = row.as_stored and len(kinds) == 1 and len(set(devices)) <= 1
    return foreign or not asked(row.group)  # which has a shadow to be looked at


def _shards(row: Moving) -> list[list[Tensor]]:
    """This process's shards of parameters, gradients and buffers; nothing where one must look."""
    lists = [row.params, row.grads, *row.state]
    shapes = list(map(_shape, row.params))
    places = [getattr(p, "placements", None) for p in row.params]
    if (
        row.group.get("differentiable")
        or any([list(map(_shape, xs)) != shapes for xs in lists[1:]])
        or [getattr(g, "placements", None) for g in row.grads] != places
    ):
        return []
    return [[local_shard(x) for x in xs] for xs in lists]


def _look_at_each(name: str, row: Moving, buffers: Sequence[str], *, foreign: bool) -> None:
    for g in row.grads:
        if g.layout != torch.strided:
            raise RuntimeError(
                f"{name} does not support sparse gradients; use sparse=False in the embedding, or "
                "torch.optim.SparseAdam for it."
            )
    whole = bool(row.group.get("differentiable"))
    for p, g, entry in zip(row.params, row.grads, row.entries, strict=True):
        _refuse_misfit("gradient", p, g, whole=whole)
        if not foreign:
            _refuse_incomplete(row.group, p, entry, buffers)
        _refuse_count(row.group, p, entry)
        if foreign and buffers:
            _refuse_factors(p, entry)
        for key in (*buffers, SHADOW):
            if isinstance(entry.get(key), Tensor):
                _refuse_misfit("state", p, entry[key], whole=whole)


def _refuse_leaves(row: Moving) -> None:
    """Refuse what autograd would in the middle of a step, or inside a graph."""
    if torch.is_grad_enabled() and any([p.is_leaf and p.requires_grad for p in row.params]):
        raise RuntimeError(
            "`differentiable=True` cannot move a leaf that requires gradients: give the optimizer "
            "copies that autograd follows, [p.clone() for p in parameters], or leave it out."
        )


def _refuse_incomplete(
    group: dict[str, Any], p: Tensor, entry: dict[str, Any], buffers: Sequence[str]
) -> None:
    if not entry:
        if group.get("fused") and p.is_meta:
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors on a device "
                "with memory; some are on the meta device."
            )
        if p.is_inference() and not torch.is_inference_mode_enabled():
            raise RuntimeError(
                f"a parameter of shape {tuple(p.shape)} was made inside torch.inference_mode, "
                "where nothing is trained: make the model outside of it, or that parameter anew, "
                "torch.nn.Parameter(p.clone())."
            )
        return
    for key in ("step", *buffers):
        x = entry.get(key)
        if not isinstance(x, Tensor) or (key == "step" and x.numel() != 1):
            found = "nothing" if x is None else getattr(x, "shape", type(x).__name__)
            raise RuntimeError(
                f"the state of a parameter of shape {tuple(p.shape)} has {found} as `{key}`, "
                f"which must be {'one number' if key == 'step' else 'its buffer'}, a tensor. "
                f"{_REMEDY}"
            )


def _refuse_count(group: dict[str, Any], p: Tensor, entry: dict[str, Any]) -> None:
    """Refuse a count that lies neither on the CPU nor beside its parameter, or has no value."""
    count = entry.get("step")
    if not isinstance(count, Tensor) or count.device.type == "cpu":
        return
    if count.device != p.device or (count.is_meta and not group.get("capturable")):
        raise RuntimeError(
            f"a parameter on {p.device} has its count, `step`, on {count.device}: one was moved "
            f"without the other. {_REMEDY}"
        )


def _refuse_factors(p: Tensor, entry: dict[str, Any]) -> None:
    """Refuse factors of another matrix than the parameter; those of shards are left to torch."""
    for key, summed in _FACTORS.items():
        x = entry.get(key)
        if not isinstance(x, Tensor) or type(p) not in ORDINARY or type(x) not in ORDINARY:
            continue
        shape = list(p.shape)
        if p.dim() > 1:
            shape[summed] = 1
        if p.dim() < 2 or list(x.shape) != shape:
            raise RuntimeError(
                f"a parameter of shape {tuple(p.shape)} has a factor `{key}` of shape "
                f"{tuple(x.shape)}: its data was replaced. {_REMEDY}"
            )
        if x.device != p.device:
            raise RuntimeError(
                f"a parameter on {p.device} has a factor `{key}` on {x.device}: one was moved "
                f"without the other. {_REMEDY}"
            )


def _refuse_misfit(what: str, p: Tensor, x: Tensor, *, whole: bool) -> None:
    """Refuse an `x` of another kind of number, device or shape than its parameter's."""
    if _kind(x) != _kind(p):
        raise RuntimeError(
            f"a parameter of {p.dtype} has a {what} of {x.dtype} ({x.layout}), by which no step "
            f"is defined. {_REMEDY}"
        )
    if x.device != p.device:
        raise RuntimeError(
            f"a parameter on {p.device} has a {what} on {x.device}: one was moved without the "
            f"other. {_REMEDY}"
        )
    shapes = (p.shape, x.shape)
    placed = [getattr(y, "placements", None) for y in (p, x)]
    if whole or (None not in placed and shapes[0] != shapes[1]):
        pass
    elif what == "state" or None in placed or placed[0] == placed[1]:
        # Shards of like wholes may differ, save a gradient's that is yet to be placed alike.
        shapes = (local_shard(p).shape, local_shard(x).shape)
    if shapes[0] != shapes[1]:
        raise RuntimeError(
            f"a parameter of shape {tuple(shapes[0])} has a {what} of shape "
            f"{tuple(shapes[1])}: its data was replaced. {_REMEDY}"
        )


def _kind(x: Tensor) -> tuple[bool, bool, torch.layout]:
    return x.is_complex(), x.is_floating_point(), x.layout
