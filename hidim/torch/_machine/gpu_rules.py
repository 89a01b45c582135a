"""What does each rule do to an entry, on a GPU? The loops of kernel/rules.h in Triton.

One launch updates all tensors: a program takes BLOCK entries of one of them, whose addresses it
reads from a table. Importing this module needs Triton, which comes with torch where that has CUDA.
Arithmetic is float32, with roots and quotients to the last two bits or so: correctly rounded ones
take longer than memory does.
"""

from __future__ import annotations

import triton
import triton.language as tl

BLOCK = 1024  # entries of a program: with twice as many, registers spill


@triton.jit
def one_pass(  # type: ignore[no-untyped-def]
    rows, sizes, which, starts,
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10,
    RULE: tl.constexpr, WIDTH: tl.constexpr, P: tl.constexpr, B: tl.constexpr,
    ALIGNED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Update one block of one tensor.

    Args:
        rows: addresses of p, g and the buffers of each tensor, int64, (tensors, WIDTH).
        sizes: entries of each tensor, int64.
        which, starts: of each program the tensor and its first entry, int64.
        c0, ...: sign of the gradient, factor kept of the old parameter, of the new one, lr, then
            the rule's own numbers, as kernel/rules.h has them.
        ALIGNED: whether all addresses are multiples of 16 bytes.
    """
    k = tl.load(which + tl.program_id(0))
    start = tl.load(starts + tl.program_id(0))
    n = tl.load(sizes + k)
    row = rows + k * WIDTH
    start = tl.multiple_of(start, BLOCK)
    if start + BLOCK <= n:
        _block(
            row, start, n, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10,
            RULE, P, B, ALIGNED, BLOCK, True,
        )  # fmt: skip
    else:
        _block(
            row, start, n, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10,
            RULE, P, B, ALIGNED, BLOCK, False,
        )  # fmt: skip


@triton.jit
def _at(row, place: tl.constexpr, T: tl.constexpr, entries, ALIGNED: tl.constexpr):  # type: ignore[no-untyped-def]
    address = tl.load(row + place)
    if ALIGNED:
        address = tl.multiple_of(address, 16)
    return address.to(tl.pointer_type(T)) + entries


@triton.jit
def _read(at, inside, WHOLE: tl.constexpr):  # type: ignore[no-untyped-def]
    if WHOLE:
        return tl.load(at).to(tl.float32)
    else:  # noqa: RET505  (Triton reads on after a return)
        return tl.load(at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _write(at, value, inside, T: tl.constexpr, WHOLE: tl.constexpr):  # type: ignore[no-untyped-def]
    if WHOLE:
        tl.store(at, value.to(T))
    else:
        tl.store(at, value.to(T), mask=inside)


@triton.jit
def _block(  # type: ignore[no-untyped-def]
    row, start, n, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10,
    RULE: tl.constexpr, P: tl.constexpr, B: tl.constexpr,
    ALIGNED: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    entries = start + tl.arange(0, BLOCK)
    inside = entries < n
    p_at = _at(row, 0, P, entries, ALIGNED)
    m_at = _at(row, 2, B, entries, ALIGNED)
    p = _read(p_at, inside, WHOLE)
    given = _read(_at(row, 1, P, entries, ALIGNED), inside, WHOLE)
    m = _read(m_at, inside, WHOLE)
    g = c0 * given
    if RULE == "dana":
        g = g + c8 * p
        m = m * c4 + g * c5
        p = p * c1 - c6 * g - c7 * m
    else:
        v_at = _at(row, 3, B, entries, ALIGNED)
        v = _read(v_at, inside, WHOLE)
        if RULE == "ademamix":
            slow_at = _at(row, 4, B, entries, ALIGNED)
            slow = _read(slow_at, inside, WHOLE)
            m = m * (1 - c5) + g * c5
            v = v * (1 - c6) + g * g * c6
            slow = slow * (1 - c4) + g * c4
            step = tl.fdiv(m * c7 + slow * c9, tl.sqrt(v * c8) + c10)
            _write(slow_at, slow, inside, B, WHOLE)
        else:
            m = m * (1 - c4) + g * c4
            v = v * (1 - c4) + g * g * c4
            scale = tl.sqrt(v) + (c9 if RULE == "star" else c7)
            if RULE == "adana":
                step = tl.fdiv(g * c6 + m * c5, scale)
            elif RULE == "mk4":
                inverse = tl.fdiv(1.0, scale)
                extra = m * inverse * c5
                extra = tl.where(extra > c6, c6, extra)
                extra = tl.where(extra < -c6, -c6, extra)
                step = (g + m) * inverse + extra
            else:
                tau_at = _at(row, 4, B, entries, ALIGNED)
                tau = _read(tau_at, inside, WHOLE)
                size = tl.abs(given)
                tau = tau * (1 - c4) + c4 * tl.fdiv(size, size + scale)
                capped = tl.where(tau > 0.5, 0.5, tau)
                ratio = tl.fdiv(capped, 1.0 - capped)
                floor = tl.fdiv(1.0, 1.0 + c5)
                hat = tl.where(ratio < floor, floor, ratio)
                norm = tl.fdiv(tl.sqrt(hat), scale)
                time = tau * c5
                own = tl.exp2(c6 * tl.log2(tl.where(time < 1.0, 1.0, time)))
                normed = m * norm
                limit = c8 * hat
                extra = c7 * own * normed
                extra = tl.where(extra > limit, limit, extra)
                extra = tl.where(extra < -limit, -limit, extra)
                step = g * norm + normed + extra
                _write(tau_at, tau, inside, B, WHOLE)
        p = (p * c1 - c3 * step) * c2
        _write(v_at, v, inside, B, WHOLE)
    _write(m_at, m, inside, B, WHOLE)
    _write(p_at, p, inside, P, WHOLE)
