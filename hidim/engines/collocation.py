"""Many steps at once: one polynomial per mode and block, for steps or for continuous time.

On a block of length L every number of a system's state is a polynomial that satisfies

    p(t + 1) - p(t) = change(t, q(t)) p(t) + source(t, q(t))

at the points of a scheme (scheme.py). Modes meet only in the orders q: every mode is solved for its
free part and for the answer to a unit of each order at each point, then one small system closes q.
Where change depends on q, or source is not affine in it, that is one pass of Newton's method on q
at the points, and is repeated. Derivation: docs/theory/moments.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hidim.engines.factored import FactoredMatrix
from hidim.engines.linear import BlockMatrix
from hidim.engines.scheme import Scheme
from hidim.systems.base import Drive, System, size_of
from hidim.systems.factors import Factors, Intake

_NEWTON_PASSES = 12
# Steps behind a breakpoint for which what a block leaves in doubt is carried on.
_STEPS_AHEAD = 12
_HOPELESS = 1e-2  # a block in so much doubt is cut in any case
# Newton's last correction, relative to the largest order: quadratic from there.
_CONVERGED = 1e-9


@dataclass(frozen=True)
class Span:
    """A block in time: where it starts, how long it is, how it is cut.

    Args:
        start, length: in steps.
        last_time: formulas are read no later than this, where theirs end.
        scheme: the points.
        discrete: steps of one, or continuous time.
    """

    start: float
    length: float
    last_time: float
    scheme: Scheme
    discrete: bool = True

    @property
    def times(self) -> np.ndarray:
        """Of the points, the start included, (stages + 1,)."""
        return np.minimum(self.start + self.length * self.scheme.points, self.last_time)

    def places(self, t: np.ndarray) -> np.ndarray:
        """Times inside the block as parts of it."""
        return np.minimum((t - self.start) / self.length, 1.0)

    def shift(self) -> np.ndarray:
        """The discrete derivative, (stages + 1, stages + 1)."""
        return self.scheme.shift(1.0 / self.length if self.discrete else 0.0)


@dataclass(frozen=True)
class Block:
    """The solution of one system on one block.

    Attributes:
        system: whose states these are; that of nodes where these answer for more modes.
        span: the block.
        x: (stages + 1, ..., kinds, modes), the states at the points.
        q: (stages + 1, ..., orders).
        error: how much of what is read is in doubt, relative to its smallest value there.
        drive: the states and orders of the driver at the points.
        end: the state where the block ends.
        solved: the linear systems, for who wants more of them.
    """

    system: System
    span: Span
    x: np.ndarray
    q: np.ndarray
    error: float
    end: np.ndarray
    drive: Drive | None = None
    solved: BlockMatrix | None = None

    def read(self, t: np.ndarray) -> dict[str, np.ndarray]:
        """What is seen at times inside the block, each (len(t), ...)."""
        basis = self.span.scheme.basis(self.span.places(t))
        q = np.tensordot(basis, self.q, axes=1)
        if self.system.orders_tell:
            return self.system.readouts(t, self.x[:0], q)
        x = np.tensordot(basis, self.x, axes=1)
        drive = self.drive
        if drive is not None:
            drive = (np.tensordot(basis, drive[0], axes=1), np.tensordot(basis, drive[1], axes=1))
        return self.system.readouts(t, x, q, drive)


def solve_block(
    system: System,
    state: np.ndarray,
    span: Span,
    drive: Drive | None = None,
    ahead: float | None = None,
) -> Block:
    """One system over one block.

    Args:
        state: (..., kinds, modes) at its start.
        drive: of its driver at all points, the start included.
        ahead: where the block ends at a breakpoint, that time: what nothing reads before may
            count after it.
    """
    solve = _affine if system.affine or not system.orders else _newton
    x, q, solved = solve(system, state, span, _inside(drive))
    error = _error(system, span, x, q, drive, ahead)
    return Block(system, span, x, q, error, x[-1], drive, solved)


def solve_chain(
    systems: list[System], states: list[np.ndarray], span: Span, ahead: float | None = None
) -> list[Block]:
    """A system behind its drivers: each solved with the one before it known."""
    found: list[Block] = []
    drive: Drive | None = None
    doubt: np.ndarray | None = None
    for system, state in zip(systems, states, strict=True):
        block = solve_block(system, state, span, drive, ahead)
        if drive is not None and doubt is not None and np.isfinite(block.error):
            block = replace(block, error=max(block.error, _passed_on(block, doubt)))
        found.append(block)
        if len(found) < len(systems):
            drive, doubt = (block.x, block.q), size_of(span.scheme.last_two(block.x))
    return found


def _passed_on(block: Block, doubt: np.ndarray) -> float:
    """What a driver leaves in doubt, as its system reads it: at once, and in what is added.

    How much of the driver itself is in doubt does not matter where noise has buried it.
    """
    assert block.drive is not None
    system = block.system
    (x, q), t = block.drive, block.span.times[[-1, -1]]
    state, order = block.x[[-1, -1]], block.q[[-1, -1]]
    driver = system.driver
    assert driver is not None
    moved = x[-1] + np.where(x[-1] < 0, -doubt, doubt)
    turned = q[-1] + np.einsum("oaj,aj->o", np.abs(driver.weights), doubt)
    both = np.stack([x[-1], moved]), np.stack([q[-1], turned])  # as it is, and off
    risk = np.min(np.abs(system.readouts(block.span.times, block.x, block.q, block.drive)["risk"]))
    seen = np.subtract(*system.readouts(t, state, order, both)["risk"])
    # Beside what is added and what is lost, each by itself: where they balance, nothing moves.
    change = system.change(t, order, both)
    lost, other = np.einsum("tjab,bj->taj", change, state[0])
    added, more = np.swapaxes(system.source(t, order, both), 1, 2)
    weights = np.abs(system.weights).sum(axis=0)
    moved = np.sum(weights * np.abs(other - lost + more - added))
    share = moved / (np.sum(weights * (np.abs(lost) + np.abs(added))) + 1e-290)
    return float(max(np.max(np.abs(seen)) / (risk + 1e-290), share))


def shares(weights: np.ndarray, kept: list[int], answer: np.ndarray) -> np.ndarray:
    """What answers (modes, kept, stages, columns) give the orders, (orders * stages, columns)."""
    stages, count = answer.shape[2:]
    seen = [i for i, kind in enumerate(kept) if np.any(weights[:, kind])]
    found = np.zeros((len(weights), stages * count))
    for i in seen:
        found += weights[:, kept[i]] @ answer[:, i].reshape(len(answer), -1)
    return found.reshape(len(weights) * stages, count)


def closed_orders(offset: np.ndarray, given: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """Orders at the points, (orders * stages, n), from their given parts and what they feed."""
    if not offset.shape[-1]:
        return given
    stages = len(loop) // offset.shape[-1]
    known = np.repeat(offset.reshape(-1, offset.shape[-1]).T, stages, axis=0)
    if not loop.any():
        return known + given
    return np.asarray(np.linalg.solve(np.eye(len(loop)) - loop, known + given))


def respond(system: System, matrix: BlockMatrix, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """What one more right-hand side makes of the matrices that solved a block.

    Args:
        right: (modes, kinds, stages, n), of all kinds.

    Returns:
        All kinds, (modes, kinds, stages, n), and the orders, (orders x stages, n).
    """
    answer = matrix.solve(right, units=False)
    orders = shares(system.weights, matrix.kept, answer)
    if matrix.unit_answers is not None and matrix.loop is not None:
        orders = closed_orders(np.zeros(len(system.orders)), orders, matrix.loop)
        answer = answer + matrix.unit_answers @ orders
    return matrix.complete(answer, right, orders), orders


def block_matrix(system: System, span: Span, drive: Drive | None = None) -> BlockMatrix:
    """The linear systems of an affine system on a block."""
    times = span.times[1:]
    factors = system.factors(times)
    if factors is not None:
        return _of_factors(factors, span, system.seen)
    change, source, gains = system.linearised(times, np.empty(0), np.empty(0), drive)
    return BlockMatrix(change, gains, source, span.length, span.shift()[1:], system.seen)


def _of_factors(factors: Factors, span: Span, seen: np.ndarray) -> BlockMatrix:
    shift = span.shift()[1:]
    factored = FactoredMatrix(factors, span.length, shift, seen)
    if factored.is_tame:
        return factored
    change, source, gains = factors.dense()
    return BlockMatrix(change, gains, source, span.length, shift, seen)


def _affine(
    system: System, state: np.ndarray, span: Span, drive: Drive | None
) -> tuple[np.ndarray, np.ndarray, BlockMatrix]:
    intake = system.intake(span.times[1:], drive)
    if intake is not None:
        return _taking_in(system, state, span, intake)
    stages, targets, shape = span.scheme.stages, state.shape[:-2], state.shape[-2:]
    free = state.reshape(-1, *shape)
    n = len(free)
    matrix = block_matrix(system, span, drive)
    fed = matrix.fed_back
    answer = matrix.answers(free, units=fed)
    parts = shares(system.weights, matrix.kept, answer)
    loop = parts[:, n:] if fed else np.zeros((len(parts), len(parts)))
    q = closed_orders(system.offset, parts[:, :n], loop)
    matrix.loop = loop
    full = matrix.completed(_combined(answer, q) if fed else answer, free, q)
    later = full.transpose(2, 3, 1, 0).reshape(stages, *targets, *shape)
    orders = q.reshape(len(system.orders), stages, n).transpose(1, 2, 0)
    orders = orders.reshape(stages, *targets, len(system.orders))
    before = np.asarray(system.order(state))[None]
    return np.concatenate([state[None], later]), np.concatenate([before, orders]), matrix


def _combined(answer: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Free answers and those to units of the orders, (..., n + units), with orders q (units, n)."""
    both = np.concatenate([np.eye(q.shape[-1]), q])
    found = answer.reshape(-1, len(both)) @ both  # one product, however many modes
    return found.reshape(*answer.shape[:-1], -1)


def _taking_in(
    system: System, state: np.ndarray, span: Span, intake: Intake
) -> tuple[np.ndarray, np.ndarray, BlockMatrix]:
    """As `_affine`, with one unit that each mode takes in, in the place of one for every order."""
    stages, carried = span.scheme.stages, intake.carried
    matrix = _of_factors(intake.factors, span, system.seen)
    answer = matrix.answers(state[None], units=True)
    begun, units = answer[..., :1], answer[..., 1:]
    added = np.asarray(intake.added).T[:, None, :, None]  # (modes, 1, stages, 1)
    given = shares(system.weights, matrix.kept, begun + units @ added)
    count = carried.shape[1]
    fed = np.zeros((count**2, stages**2))
    for i, kind in enumerate(matrix.kept):
        if system.seen[kind]:
            read = system.weights[:, kind, None] * carried.T  # (orders, orders, modes)
            fed += read.reshape(count**2, -1) @ units[:, i].reshape(len(carried), -1)
    loop = fed.reshape(count, count, stages, stages).swapaxes(1, 2)
    q = closed_orders(system.offset, given, loop.reshape(count * stages, -1))
    taken = added[:, 0] + (carried @ q.reshape(count, -1))[..., None]
    kept = begun + units @ taken[:, None]
    full = matrix.completed(kept, state[None], taken)
    before = np.asarray(system.order(state))[None]
    x = np.concatenate([state[None], full[..., 0].transpose(2, 1, 0)])
    return x, np.concatenate([before, q.reshape(count, stages).T]), matrix


def _newton(
    system: System, state: np.ndarray, span: Span, drive: Drive | None
) -> tuple[np.ndarray, np.ndarray, BlockMatrix]:
    stages, shift, times = span.scheme.stages, span.shift()[1:], span.times[1:]
    before = np.asarray(system.order(state))
    # The first guess is that nothing moves; how far it does is Newton's first answer.
    q = np.broadcast_to(before, (stages, len(before))).copy()
    x = np.broadcast_to(state, (stages, *state.shape))
    for _ in range(_NEWTON_PASSES):
        change, source, gains = system.linearised(times, x, q, drive)
        added = source - np.einsum("sjao,so->sja", gains, q)
        matrix = BlockMatrix(change, gains, added, span.length, shift, system.seen)
        answer = matrix.answers(state[None], units=True)
        parts = shares(system.weights, matrix.kept, answer)
        matrix.loop = parts[:, 1:]
        new = closed_orders(system.offset, parts[:, :1], parts[:, 1:])
        full = matrix.completed(answer[..., :1] + answer[..., 1:] @ new, state[None], new)
        x = full[..., 0].transpose(2, 1, 0)
        correction = new.reshape(-1, stages).T - q
        q = q + correction
        if not np.all(np.isfinite(q)):
            break
        if np.max(np.abs(correction) / (np.max(np.abs(q), axis=0) + 1e-290)) < _CONVERGED:
            return np.concatenate([state[None], x]), np.concatenate([before[None], q]), matrix
    lost = np.full((stages + 1, *state.shape), math.nan)
    return lost, np.full((stages + 1, len(before)), math.nan), matrix


def _error(
    system: System,
    span: Span,
    x: np.ndarray,
    q: np.ndarray,
    drive: Drive | None,
    ahead: float | None,
) -> float:
    if not (np.all(np.isfinite(q)) and np.all(np.isfinite(x[-1]))):
        return math.inf
    tails = span.scheme.last_two(x)
    found = system.tail_error(span.times, x, q, tails, drive)
    if ahead is None or found > _HOPELESS:
        return found
    # The next formula may let through what this one does not: a momentum that had no rate.
    last = None if drive is None else (drive[0][-1:], drive[1][-1:])
    change = system.change(np.array([ahead]), q[-1:].reshape(1, -1)[:, : q.shape[-1]], last)[0]
    for _ in range(_STEPS_AHEAD):
        tails = tails + np.einsum("jab,...bj->...aj", change, tails)
        found = max(found, system.tail_error(span.times, x, q, tails, drive))
    return found


def _inside(drive: Drive | None) -> Drive | None:
    return None if drive is None else (drive[0][1:], drive[1][1:])
