"""What is an optimizer doing? Norms, shares and the momentum's growth, for any logger.

Called after `step` and before `zero_grad`, `monitor` computes the last update's parts anew from the
gradients and the state: nothing is recorded while it is not called. Where the update is
p <- p - gamma_2 g - gamma_3 y, momentum carries R = 2 (gamma_3/gamma_2) |y|^2/|g|^2 times the noise
of the gradient term (`momentum_noise`), and a run is unstable where f (1 + R) reaches 1, f the
share of its risk that comes back as SGD's own noise. With kappa_3 below its edge R grows like
t^(1/(2 alpha) - kappa_3). The exponent is fitted over the calls of the last threefold in time.
Source: arXiv 2505.16098 for the edge; R as the noise's ratio is exact on least squares at rest.
Limits: at large batches |y| is signal and R large in health; hence the warning also asks that the
gradients have stopped falling.
"""

from __future__ import annotations

import math
import warnings
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from hidim.torch._machine import gain, peak
from hidim.torch._machine.layout import local_shard, real_view, resolved, widen
from hidim.torch._machine.momentum import MomentumFamily
from hidim.torch._machine.optimizer import HidimOptimizer
from hidim.torch._machine.sums import over_shards
from hidim.torch._machine.wrapper import Wrapper

# Per optimizer what earlier calls found: (t, momentum_noise, |g|^2).
_history: WeakKeyDictionary[Any, list[tuple[float, float, float]]] = WeakKeyDictionary()
_warned: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_WINDOW, _CALLS = 3.0, 8  # fit over t/3 to t, from eight calls on
_LARGE, _FLAT, _FIRST = 2.0, -0.7, 300  # R, the slope of log |g|^2, and t at which to warn
_LONGEST = 4096


@torch.no_grad()
def monitor(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Numbers of the last update, of all parameters together and of each group.

    Call it after `step()`, before `zero_grad()` and the scheduler, as often as you log. All
    processes of a sharded model must call it.

    Args:
        optimizer: one of `hidim.torch`, or one of its wrappers; of any other the norms alone.

    Returns:
        `gradient_norm`, `weight_norm` and, of optimizers here, `update_norm`, `update_to_weight`,
        `momentum_share` (|momentum term| / (|momentum term| + |gradient term|)), `decay_share` (of
        weight decay in all that moved the weights), `clipped` (share of entries, where there is a
        clip), `kappa_3` (the exponent that a measured gain amounts to) and `effective_dimension`;
        with a momentum term `momentum_noise`, from eight calls within a threefold of time on
        `momentum_growth` (its exponent), and `unstable_near`, a step, if it warns. With several
        groups each again as `group_0/...`.

    Raises:
        ValueError: what was given is no optimizer.

    Warns:
        UserWarning: once per optimizer, that the momentum's rate is about to be unstable.

    Example:
        >>> from hidim.torch import DANADecaying
        >>> p = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimizer = DANADecaying([p], lr=0.1)
        >>> p.pow(2).sum().backward()
        >>> optimizer.step()
        >>> found = monitor(optimizer)
        >>> found["gradient_norm"], round(found["momentum_share"], 2)
        (10.0, 0.5)
    """
    optimizer = _unwrapped(optimizer)
    if not hasattr(optimizer, "param_groups"):
        raise ValueError(
            f"`optimizer` must be an optimizer, got a {type(optimizer).__name__}; give the one "
            "whose step is called, for example monitor(optimizer)."
        )
    inner = optimizer
    while isinstance(inner, Wrapper):
        inner = inner.base
    rows = [_group_sums(inner, optimizer, group) for group in optimizer.param_groups]
    found = _numbers(sum(rows[1:], rows[0])) if rows else {}
    if isinstance(inner, HidimOptimizer) and inner.buffers:
        _follow(optimizer, inner, found)
    if len(rows) > 1:
        for number, row in enumerate(rows):
            for name, value in _numbers(row).items():
                found[f"group_{number}/{name}"] = value
    return found


def _unwrapped(optimizer: Any) -> Any:
    """The optimizer inside Lightning's or accelerate's, which keep it as `optimizer`."""
    while not isinstance(optimizer, HidimOptimizer | Wrapper):
        inside = getattr(optimizer, "optimizer", None)
        if not isinstance(inside, torch.optim.Optimizer):
            break
        optimizer = inside
    return optimizer


# What is summed: squares of g, p, the update, its gradient and momentum terms and the decay, the
# momentum's noise above and below the line, entries clipped and in all, and tensors with parts.
_GRADIENT, _WEIGHT, _UPDATE, _PLAIN, _MOMENTUM, _DECAY, _NOISE, _UNIT, _CLIPPED, _COUNT, _PARTS = (
    range(11)
)


def _group_sums(inner: Any, outer: Any, group: dict[str, Any]) -> Tensor:
    totals = []
    for p in group["params"]:
        if p.grad is None:
            continue
        w, g = (widen(real_view(local_shard(resolved(x), like=p))) for x in (p, p.grad))
        row: dict[int, Any] = {_GRADIENT: _square(g), _WEIGHT: _square(w)}
        entry = inner.state.get(p)
        if isinstance(inner, HidimOptimizer) and entry:
            row |= _parts(inner, group, w, g, entry)
            if outer is not inner and "decay_step" in group:
                t = float(group["decay_step"])
                lost = peak.relative(group, _lr(group)) * group["omega"] / (group["t_0"] + t)
                row[_DECAY] = row[_DECAY] + _square(w) * lost**2
        exact = torch.float32 if w.device.type == "mps" else torch.float64
        zero = torch.zeros((), dtype=exact, device=w.device)
        known = {i: torch.as_tensor(x, device=w.device).to(exact) + zero for i, x in row.items()}
        totals.append((p, torch.stack([known.get(i, zero) for i in range(11)])))
    return over_shards(totals, 11).cpu().double()


def _square(x: Any) -> Any:
    return (
        x.double().pow(2).sum()
        if isinstance(x, Tensor) and x.device.type != "mps"
        else (x * x).sum()
    )


def _lr(group: dict[str, Any]) -> Any:
    lr = group["lr"]
    return float(lr) if isinstance(lr, Tensor) else lr


def _parts(inner: Any, group: dict[str, Any], w: Tensor, g: Tensor, entry: Any) -> dict[int, Any]:
    """The terms of the update that led here, at the time and rates of that update."""
    t, lr = float(entry["step"]) - 1 + inner.first_time, _lr(group)
    g = -g if group["maximize"] else g
    state = [widen(real_view(local_shard(entry[name]))) for name in inner.buffers]
    c = tuple(x.cpu() if isinstance(x, Tensor) else x for x in inner.coefficients(group, t, lr))
    numbers = tuple(float(x) if isinstance(x, Tensor) else x for x in c)
    if isinstance(inner, MomentumFamily):
        return _of_momentum(group, w, g, state[0], numbers)
    if not inner.buffers:
        step = g.sign() * numbers[1]
        return {_UPDATE: _square(step), _DECAY: _square(w) * (1 - numbers[0]) ** 2}
    return _of_adaptive(inner, group, w, g, state, numbers)


def _of_momentum(
    group: dict[str, Any], w: Tensor, g: Tensor, b: Tensor, c: tuple[Any, ...]
) -> dict[int, Any]:
    _, unit, rate_g, rate_b, _, kept = c
    decay = w * (1 - kept)
    if group["weight_decay"] and not group["decoupled_weight_decay"]:
        decay = w * (rate_g * group["weight_decay"])
    plain, momentum = g * rate_g, b * rate_b
    # In the units of y, b = s y with gamma_1 s = unit: gamma_3 |y|^2 is rate_b |b|^2 / unit.
    found = {
        _UPDATE: _square(plain + momentum), _PLAIN: _square(plain), _MOMENTUM: _square(momentum),
        _DECAY: _square(decay), _PARTS: 1.0,
    }  # fmt: skip
    if unit > 0:
        found |= {_NOISE: 2 * rate_b * _square(b) / unit, _UNIT: rate_g * _square(g)}
    return found


def _of_adaptive(
    inner: Any, group: dict[str, Any], w: Tensor, g: Tensor, state: list[Tensor], c: tuple[Any, ...]
) -> dict[int, Any]:
    kept, lr, *numbers = c
    # The averages' weights come first; without them `direction` leaves finite state as it is. On
    # copies: zero times a gradient that is not finite would stay in the optimizer's own.
    state = [x.clone() for x in state]
    averages = 3 if len(inner.buffers) == 3 and "betas" in group else 1
    still = (*[0.0] * averages, *numbers[averages:])
    slow = 2 if averages == 3 else 0
    without = [torch.zeros_like(x) if i == slow else x for i, x in enumerate(state)]
    update = _direction(inner, group, g, state, still) * lr
    plain = _direction(inner, group, g, without, still) * lr
    found = {
        _UPDATE: _square(update), _PLAIN: _square(plain), _MOMENTUM: _square(update - plain),
        _DECAY: _square(w) * (1 - kept) ** 2, _PARTS: 1.0,
    }  # fmt: skip
    if "clip" in group:
        free = tuple(math.inf if x == group["clip"] else x for x in still)
        bound = _direction(inner, group, g, state, free) * lr - update
        tiny = 1e-5 * (update.abs() + lr * group["clip"])
        found |= {_CLIPPED: (bound.abs() > tiny).sum(), _COUNT: float(w.numel())}
    a, t = numbers[0], group["delta"] / numbers[0] - group["delta"]
    if averages == 1 and t >= 0 and "clip" not in group:
        root = (state[1].sqrt() + group["eps"]).sqrt()
        m, scaled = _square(state[0] / root), _square(g / root)
        found |= {_NOISE: 2 * gain.growth(group, t) * m / a, _UNIT: scaled}
    return found


def _direction(
    inner: Any, group: dict[str, Any], g: Tensor, state: list[Tensor], c: tuple[Any, ...]
) -> Tensor:
    (step,), scales = inner.direction(group, [g], [[x] for x in state], c)
    return step if scales is None else step / scales[0]


def _numbers(sums: Tensor) -> dict[str, float]:
    s = sums.tolist()
    found = {"gradient_norm": math.sqrt(s[_GRADIENT]), "weight_norm": math.sqrt(s[_WEIGHT])}
    if s[_UPDATE] or s[_PARTS]:
        update, decay = math.sqrt(s[_UPDATE]), math.sqrt(s[_DECAY])
        found["update_norm"] = update
        if s[_WEIGHT]:
            found["update_to_weight"] = update / found["weight_norm"]
        if update + decay:
            found["decay_share"] = decay / (update + decay)
    if s[_PARTS]:
        terms = math.sqrt(s[_PLAIN]) + math.sqrt(s[_MOMENTUM])
        found["momentum_share"] = math.sqrt(s[_MOMENTUM]) / terms if terms else 0.0
    if s[_COUNT]:
        found["clipped"] = s[_CLIPPED] / s[_COUNT]
    if s[_UNIT] > 0:
        found["momentum_noise"] = s[_NOISE] / s[_UNIT]
    return found


def _follow(optimizer: Any, inner: Any, found: dict[str, float]) -> None:
    """Add what is measured, the momentum's exponent, and the warning."""
    steps = [float(e["step"]) for e in inner.state.values() if "step" in e]
    t = max(steps, default=0.0)
    for group in inner.param_groups:
        if gain.asked(group) and gain.KNOWN in group:
            ratio = float(gain.ratio(group, None))
            found["effective_dimension"] = float(group[gain.KNOWN][3])
            if t > 0 and ratio > 0:
                found["kappa_3"] = -math.log(ratio) / math.log1p(t)
            break
    noise, size = found.get("momentum_noise", 0.0), found.get("gradient_norm", 0.0) ** 2
    past = _history.setdefault(optimizer, [])
    if noise > 0 and math.isfinite(noise) and 0 < size < math.inf and t > 0:
        if past and past[-1][0] >= t:  # an earlier state was loaded, or nothing has moved
            past[:] = [row for row in past if row[0] < t]
        past.append((t, noise, size))
        del past[:-_LONGEST]
    recent = [row for row in past if row[0] >= t / _WINDOW]
    if len(recent) < _CALLS or recent[-1][0] < 1.5 * recent[0][0]:
        return
    growth, level = _slope(recent, 1)
    found["momentum_growth"] = growth
    falling, _ = _slope(recent, 2)
    measured = any(gain.asked(group) for group in inner.param_groups)
    risky = growth > 0 and level > _LARGE and falling > _FLAT and t >= _FIRST
    if risky and not measured:
        near = t * max((4 * _LARGE / level) ** (1 / max(growth, 0.05)), 1.0)
        found["unstable_near"] = near
        if not _warned.get(optimizer):
            _warned[optimizer] = True
            name = "kappa_3" if isinstance(inner, MomentumFamily) else "kappa"
            warnings.warn(
                f"{name} below the edge: the momentum term grows like t^{growth:.2f} beside the "
                f"gradient's, unstable near step {near:.0f}. Raise {name}, lower "
                f'{"c_3" if name == "kappa_3" else "alpha_scale"}, or give gain="measured".',
                stacklevel=3,
            )


def _slope(rows: list[tuple[float, float, float]], column: int) -> tuple[float, float]:
    """Exponent in t and the mean level, weighted evenly in log t."""
    x = [math.log(row[0]) for row in rows]
    y = [math.log(row[column]) for row in rows]
    w = [1 / row[0] for row in rows]
    total = sum(w)
    mx = sum(a * b for a, b in zip(w, x, strict=True)) / total
    my = sum(a * b for a, b in zip(w, y, strict=True)) / total
    spread = sum(a * (b - mx) ** 2 for a, b in zip(w, x, strict=True))
    slope = sum(a * (b - mx) * c for a, b, c in zip(w, x, y, strict=True)) / spread
    return slope, math.exp(my)
