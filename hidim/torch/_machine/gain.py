"""How large may the momentum's rate be, when nobody knows the data's spectrum? It is measured.

Momentum that forgets at the rate Delta carries noise in N(Delta) = sum_j h_j / (h_j + Delta)
directions, h_j the eigenvalues of gamma_2 times the Hessian: gamma_3 = gamma_2 min(C / N, 1) adds
about C / 2B to the share of the risk that comes back as noise at batch B. Both are measured.

N: a shadow buffer that sees noise alone,

    z <- (1 - Delta) z + (sign_t - <g, z>/|g|) g/|g|,       sign_t = +-1 without a mean,

is a random walk held back by the projection on each gradient, and |z|^2 = N (1 - Delta |z|^2) with
the gradients' covariance in the Hessian's place, its trace as the unit (gamma_2 tr H = 1: SGD's
rate near its edge). Signs are such that a gradient that does not change leaves nothing in z.

C: noise in the momentum y has the energy S |z|^2 / Z, S and Z the sums of |g|^2 and of 1 with y's
weights; what |y|^2 has beyond it is signal. Its share is about 9.5 x / (1 + 2.6 x), x = C / B, on
power-law random features, so that x is known without B, and C is moved to x = 5/8 in log-time:
more is better where the noise is the risk's own, less where it is the labels'.
Label noise raises the share and lowers C. Where momentum is about to diverge its oscillation looks
like signal; so C is at most B/2, with B from the kurtosis 3 + 6/B of <g, 1>.

Adaptive members measure g / sqrt(s), the gradient in the coordinates sqrt(s) p. One extra buffer,
float32 at least; five sums per step over all groups that ask for it and all shards. Time is that
of the parameter that has been updated most.
Source of the rule gamma_3 ~ min(s B, C) / N: running notes of the DANA authors' group, N there by
Lanczos quadrature. The projected shadow and the control of C are ours, measured in
docs/benchmarks/gain.md. Limits: a Hessian unlike the gradients' covariance.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.layout import LOW, local_shard, real_view, resolved, widen
from hidim.torch._machine.schedules import cooldown_at
from hidim.torch._machine.sums import over_shards

SHADOW = "shadow_buffer"
KNOWN = "measured"  # in the group: S, Z, log C, N; q, sums of q^2, of q times the last q, of 1
_START = (0.0, 0.0, math.log(0.5), 1.0, 0.0, 0.0, 0.0, 0.0)
_WANTED = 0.625  # x = C / B
_PACE = 0.5  # of log C, per unit of log-time over delta
_LEAST = math.log(0.05)
_SHARE = 0.5  # C / B at most
_PERIOD = 1024  # pairs of steps after which the signs repeat: exact in float32


def asked(group: dict[str, Any]) -> bool:
    """Whether this group's gain is measured."""
    return group.get("gain") == "measured" or group.get("kappa_3") == "auto"


def ratio(group: dict[str, Any], t: Any) -> Any:
    """gamma_3 / gamma_2 = min(C / N, 1): a float, or a tensor where the step reads nothing back.

    It lies where the time `t` lies, if that is a tensor.
    """
    known = group.get(KNOWN, _START)
    if isinstance(known, Tensor):
        known = known.to(t.device) if isinstance(t, Tensor) else known
        return (known.select(0, 2).exp() / known.select(0, 3)).clamp(max=1.0)
    return min(math.exp(known[2]) / known[3], 1.0)


def refuse_malformed(group: dict[str, Any]) -> None:
    """Refuse a group of a checkpoint whose measurements could not be gone on from."""
    known = group.get(KNOWN, _START)
    values = known.tolist() if isinstance(known, Tensor) else known
    whole = isinstance(values, tuple | list) and len(values) == len(_START)
    if not whole or not all(isinstance(x, float) and math.isfinite(x) for x in values):
        raise ValueError(f"`{KNOWN}` must be {len(_START)} finite numbers, got {values!r}.")
    if values[3] <= 0:
        raise ValueError(f"`{KNOWN}` must have a positive dimension, got {values[3]}.")


def growth(group: dict[str, Any], t: Any) -> Any:
    """The factor on m/s in the growing term: alpha_scale (1+t)^(1-kappa) and the cool-down.

    Where the gain is measured, alpha_scale gamma_3 / gamma_2 times m's weight in the place of
    the power.
    """
    factor = group["alpha_scale"] * cooldown_at(group.get("cooldown"), t)
    if asked(group):
        return factor * ratio(group, t) * (group["delta"] + t) / group["delta"]
    return factor * (1 + t) ** (1 - group["kappa"])


def shadow_dtype(p: Tensor) -> torch.dtype:
    """The parameter's, float32 for 16 bits: 1 - Delta would round to 1 there."""
    return torch.float32 if p.dtype in LOW else p.dtype


def measure(optimizer: Any) -> None:
    """Update the shadows of all groups that ask for it, and what is known, before a step."""
    groups = [group for group in optimizer.param_groups if asked(group)]
    rows = [(group, p) for group in groups for p in group["params"] if p.grad is not None]
    if not rows:
        return
    entries = [_entry(optimizer, group, p) for group, p in rows]
    on_device = torch.compiler.is_compiling() or any(
        group["capturable"] or p.device.type != "cpu" for group, p in rows
    )
    first, device = rows[0][0], rows[0][1].device
    known, t = _as(first.get(KNOWN, _START), on_device, device), _time(entries, on_device)
    t = t + optimizer.first_time - int(first.get("clock") == "jax")
    shadows = [real_view(local_shard(entry[SHADOW])) for entry in entries]
    views = [
        _views(group, p, entry, z, optimizer.buffers[0])
        for (group, p), entry, z in zip(rows, entries, shadows, strict=True)
    ]
    sums = _sums(views, shadows, [p for _, p in rows])
    forgetting = first["delta"] / (first["delta"] + t)
    scale = forgetting if optimizer.first_time else 1.0  # an average, not a sum
    new, keep, push = _control(known, sums, forgetting, scale, _sign(t))
    if isinstance(new, Tensor):
        known.copy_(new)
        for z, (g, _) in zip(shadows, views, strict=True):
            # A gradient that is not finite has push 0, and 0 times infinity is no number.
            kept, by = keep.to(z.device), push.to(z.device)
            z.mul_(kept).add_(torch.where(by != 0, g * by, torch.zeros_like(g)))
    else:
        known = new
        if push:
            torch._foreach_mul_(shadows, keep)
            torch._foreach_add_(shadows, [g for g, _ in views], alpha=push)
    for group in groups:
        group[KNOWN] = known


def _entry(optimizer: Any, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
    entry: dict[str, Any] = optimizer.state[p]
    if not entry:
        optimizer._init_state(group, p, entry)
    if SHADOW not in entry:
        entry[SHADOW] = torch.zeros_like(
            p, dtype=shadow_dtype(p), memory_format=torch.preserve_format
        )
    return entry


def _exact(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _as(known: Any, on_device: bool, device: torch.device) -> Any:
    """What is known, as a tensor to be changed in place or as four floats."""
    if not on_device:
        return tuple(known.tolist()) if isinstance(known, Tensor) else tuple(known)
    if isinstance(known, Tensor):
        return known.to(device, _exact(device))
    return torch.tensor(known, dtype=_exact(device), device=device)


def _time(entries: list[dict[str, Any]], on_device: bool) -> Any:
    steps = [entry["step"] for entry in entries]
    if not on_device:
        return max(step.item() for step in steps)
    device = steps[0].device
    return torch.stack([step.to(device) for step in steps]).to(_exact(device)).max()


def _sign(t: Any) -> Any:
    """+1 or -1: opposite within each pair of steps, and without correlation between pairs."""
    pair, odd = t // 2 % _PERIOD, t % 2
    place = pair * (pair + 1) / 2 % _PERIOD * 633 % _PERIOD  # quadratic, near the golden ratio
    if isinstance(t, Tensor):
        return ((place < _PERIOD / 2).to(t.dtype) * 2 - 1) * (1 - 2 * odd)
    return (1.0 if place < _PERIOD / 2 else -1.0) * (1 - 2 * odd)


def _views(
    group: dict[str, Any], p: Any, entry: dict[str, Any], z: Tensor, momentum: str
) -> tuple[Tensor, Tensor]:
    """Gradient and momentum as the shadow sees them: local, wide, over sqrt(s) if adaptive."""

    def seen(x: Any) -> Tensor:
        return widen(real_view(local_shard(resolved(x), like=p))).to(z.dtype)

    g, m = seen(p.grad), seen(entry[momentum])
    if "exp_avg_sq" in entry:
        a = group["delta"] / (group["delta"] + entry["step"] + 1)
        v = seen(entry["exp_avg_sq"])
        scale = (v + a * (g * g - v)).sqrt().add(group["eps"]).sqrt()
        g, m = g / scale, m / scale
    return g, m


def _sums(views: list[tuple[Tensor, Tensor]], shadows: list[Tensor], params: list[Any]) -> Any:
    """|g|^2, <g, z>, |z|^2, |y|^2 and <g, 1> over all tensors and, where sharded, processes."""
    rows = []
    for (g, m), z, p in zip(views, shadows, params, strict=True):
        g, m, z = g.reshape(-1), m.reshape(-1), z.reshape(-1)
        dots = [torch.dot(g, g), torch.dot(g, z), torch.dot(z, z), torch.dot(m, m), g.sum()]
        rows.append((p, torch.stack(dots).to(_exact(z.device))))
    return over_shards(rows, 5)


def _control(known: Any, sums: Any, forgetting: Any, scale: Any, sign: Any) -> tuple[Any, Any, Any]:
    """What is known after this gradient, and the factors of z and g in the new z.

    A gradient that is zero or not finite changes nothing.
    """
    if isinstance(known, Tensor):
        size_sq, along, shadow_sq, momentum_sq, fixed = sums.to(known.device).unbind()
        usable = (size_sq > 0) & torch.isfinite(sums).all(0).to(known.device)
        size_sq = torch.where(usable, size_sq, torch.ones_like(size_sq))
    else:
        size_sq, along, shadow_sq, momentum_sq, fixed = sums.tolist()
        if size_sq == 0 or not math.isfinite(sum(map(abs, sums.tolist()))):
            return known, 1.0, 0.0
    total, weight, log_c, _, last, fourth, cross, count = known
    size, keep = size_sq**0.5, 1 - forgetting
    # The old momentum and shadow beside the old sums.
    noise, tiny = total * shadow_sq / _most(weight, 1e-30), 1e-30
    share = noise / _most(momentum_sq, tiny)
    x = share / _most(9.5 - 2.6 * share, 0.5)
    pull = _least(_most(_log(_WANTED / _most(x, tiny)), -2.0), 2.0)
    begun = (noise > 0) & (momentum_sq > 0) if isinstance(noise, Tensor) else noise > 0
    log_c = log_c + _PACE * forgetting * pull * begun
    push = sign - along / size
    new_sq = keep**2 * shadow_sq + 2 * keep * push * along / size + push**2
    dimension = _most(new_sq / (1 - _least(forgetting * new_sq, 0.5)), 1e-12)
    # Along a fixed direction the kurtosis of a mean of B gradients is 3 + 6/B, whatever H is. The
    # risk's own fluctuations are common to neighbouring steps.
    q = fixed**2 / _most(total / _most(weight, 1.0), tiny) * begun
    lasting = 1 - forgetting / 4
    fourth, cross = lasting * fourth + q * q, lasting * cross + q * last
    count = lasting * count + begun
    known_of_batch = (fourth, cross, count)
    log_c = _most(_least(log_c, _log(_SHARE * batch_of(known_of_batch))), _LEAST)
    log_c = _least(log_c, _log(_most(dimension, 1.0)))
    total, weight = keep**2 * total + scale**2 * size_sq, keep**2 * weight + 1
    new = (total, weight, log_c, dimension, q, fourth, cross, count)
    if not isinstance(known, Tensor):
        return new, keep, push / size
    changed = torch.where(usable, torch.stack([x.to(known.dtype) for x in new]), known)
    keep = torch.where(usable, keep, torch.ones_like(keep))
    return changed, keep, torch.where(usable, push / size, torch.zeros_like(size))


def batch_of(known: Any) -> Any:
    """The batch of which a gradient is the mean, three standard errors on the small side."""
    fourth, cross, count = known[-3:]
    excess = abs(fourth / _most(cross, 1e-30) - 3)  # below 0 it says how uncertain it is
    margin = 3 * (24 / _most(count, 1.0)) ** 0.5 * (1 + excess)
    return 6 / _most(excess + margin, 6e-6)


def _most(x: Any, bound: float) -> Any:
    return x.clamp(min=bound) if isinstance(x, Tensor) else max(x, bound)


def _least(x: Any, bound: Any) -> Any:
    if isinstance(x, Tensor):
        return torch.minimum(x, bound) if isinstance(bound, Tensor) else x.clamp(max=bound)
    return min(x, bound)


def _log(x: Any) -> Any:
    return x.log() if isinstance(x, Tensor) else math.log(x)
