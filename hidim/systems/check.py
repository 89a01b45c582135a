"""Is what somebody wrote a System? Looked at once, before any work, so that a slip is one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.systems.base import Array, Drive, System, chain


def checked(system: Any) -> System:
    """`system` itself, if its attributes and methods are what an engine will ask for.

    Raises:
        ValueError: something is missing, has another shape, or is no number.
    """
    if not isinstance(system, System):
        raise ValueError(
            f"a builder must return a hidim.System or None, got {type(system).__name__}: a frozen "
            "dataclass that inherits from hidim.System."
        )
    drive: Drive | None = None
    for part in chain(system):
        drive = _look(part, drive)
    return system


def _look(system: System, drive: Drive | None) -> Drive:
    """Check one system; its state and orders at the two times looked at."""
    name, times = type(system).__name__, np.array([0.0, 1.0])
    kinds, orders = getattr(system, "kinds", None), getattr(system, "orders", None)
    if not isinstance(kinds, int) or kinds < 1:
        raise ValueError(f"{name}.kinds must be how many numbers a mode has, got {kinds!r}.")
    if not isinstance(orders, tuple | list) or not all(isinstance(o, str) for o in orders):
        raise ValueError(
            f"{name}.orders must be a tuple of names, ('twice_risk',) for one, got {orders!r}."
        )
    edges = np.asarray(system.breakpoints, dtype=np.float64)
    if not np.all(np.isfinite(edges)):
        raise ValueError(f"{name}.breakpoints must be finite times, got {system.breakpoints!r}.")
    start = _asked(name, "start", system.start)
    x = _numbers(f"{name}.start()", start)
    if x.ndim != 2 or x.shape[0] != kinds:
        raise ValueError(
            f"{name}.start() must have the shape (kinds, modes) with kinds = {kinds}, got "
            f"{x.shape}."
        )
    count = len(orders)
    q = _numbers(f"{name}.order(x)", _asked(name, "order", system.order, x))
    _shape(f"{name}.order(x) of x {x.shape}", q, (count,), "(orders,)")
    xs, qs = np.stack([x, x]), np.stack([q, q])
    both = _numbers(f"{name}.order(x)", _asked(name, "order", system.order, xs))
    _shape(f"{name}.order(x) of x {xs.shape}", both, (2, count), "(times, orders)")
    if system.stepped:
        if type(system).step is System.step:
            raise ValueError(f"{name} is `stepped`, so it must define `step(t, x, q, drive)`.")
    else:
        _look_at_maps(system, times, xs, qs, drive)
    _look_at_readouts(name, system, times, xs, qs, drive)
    return xs, qs


def _look_at_maps(system: System, t: Array, x: Array, q: Array, drive: Drive | None) -> None:
    name, (kinds, modes) = type(system).__name__, x.shape[1:]
    for method in ("change", "source"):
        if getattr(type(system), method) is getattr(System, method):
            raise ValueError(
                f"{name} must define `{method}(t, q, drive)`, or set `stepped = True` and define "
                "`step`."
            )
    change = _numbers(f"{name}.change(t, q)", _asked(name, "change", system.change, t, q, drive))
    source = _numbers(f"{name}.source(t, q)", _asked(name, "source", system.source, t, q, drive))
    _shape(
        f"{name}.change(t, q) at 2 times",
        change,
        (2, modes, kinds, kinds),
        "(times, modes, kinds, kinds)",
    )
    _shape(f"{name}.source(t, q) at 2 times", source, (2, modes, kinds), "(times, modes, kinds)")
    if system.affine and q.shape[1]:
        other = np.asarray(system.change(t, 0.5 * q + 1.0, drive))
        if not np.array_equal(other, change):
            raise ValueError(
                f"{name} says `affine = True`, but its change depends on q: leave `affine` out."
            )
    if type(system).factors is not System.factors:
        _look_at_factors(system, t, q, change)


def _look_at_factors(system: System, t: Array, q: Array, change: Array) -> None:
    name = type(system).__name__
    factors = _asked(name, "factors", system.factors, t)
    if factors is None:
        return
    if (not system.affine and q.shape[1]) or system.driver is not None:
        raise ValueError(f"{name}.factors(t) is for affine systems without a driver: leave it out.")
    if not np.all(factors.features[:, 0] == 1.0):
        raise ValueError(f"{name}.factors(t): the first feature must be 1 for every mode.")
    dense, source, gains = _asked(name, "factors", factors.dense)
    added = np.einsum("tjao,to->tja", gains, q) + (0.0 if source is None else source)
    for method, given, known in (
        ("change", dense, change),
        ("source", added, np.asarray(system.source(t, q))),
    ):
        _shape(f"{name}.factors(t).dense() of {method}", given, known.shape, "that of " + method)
        if not np.allclose(given, known, rtol=1e-9, atol=1e-12 * np.max(np.abs(known), initial=0)):
            raise ValueError(f"{name}.factors(t) is not what `{method}` says at the start.")


def _look_at_readouts(
    name: str, system: System, t: Array, x: Array, q: Array, drive: Drive | None
) -> None:
    seen = _asked(name, "readouts", system.readouts, t, x, q, drive)
    if not isinstance(seen, dict) or "risk" not in seen:
        raise ValueError(f"{name}.readouts(...) must be a dict with a 'risk', got {seen!r:.60}.")
    for key, value in seen.items():
        values = _numbers(f"{name}.readouts(...)[{key!r}]", value)
        _shape(f"{name}.readouts(...)[{key!r}] at 2 times", values, (2,), "(times,)")


def _asked(name: str, method: str, call: Any, *args: Any) -> Any:
    """What a method answers; its own failure as one line."""
    try:
        return call(*args)
    except ValueError as error:
        raise ValueError(f"{name}.{method} failed: {error}") from error
    except (TypeError, IndexError, AttributeError, KeyError) as error:
        raise ValueError(f"{name}.{method} failed: {type(error).__name__}: {error}") from error


def _numbers(what: str, value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{what} must hold real numbers, got {array.dtype}.")
    if np.any(np.isnan(array)):
        raise ValueError(f"{what} holds NaN at the start.")
    return array.astype(np.float64)


def _shape(what: str, array: Array, shape: tuple[int, ...], meaning: str) -> None:
    if array.shape != shape:
        raise ValueError(f"{what} must have the shape {meaning} = {shape}, got {array.shape}.")
