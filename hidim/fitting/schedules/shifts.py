"""Did a run's loss change at one step by what no response to its rate explains?

Other data from some step on, another batch size or a resumed run lift or lower the loss for good,
at once or over a while, and a law fitted to all rows bends to it without a sign. Looked for is
the change with which the law fits far better, by a ratio of likelihoods. Without it as with it the
law's parameters are free, and with them what else explains rows: any response to the rate that is
a mixture of exponentials, so that a fall of the rate is no change of the run; the lag of a moving
average; noise that remembers the rows before.
Source: generalised least squares about the law's fit, the noise's covariance profiled on a grid.
Limits: one change a run, or one and its end; none among the first and last rows, and none right
after a jump of the rate, whose response looks like one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.departures import row_noise, spikes_of
from hidim.fitting.schedules.laws import LAWS, ScheduleLaw
from hidim.fitting.schedules.search import (
    Points,
    least_loss,
    log_ratio,
    points_of,
    search,
    units_of,
)

_MOST = 160  # bins of a run
_FEWEST = 24
_ENDS = 0.05  # share of the bins at either end, and five bins, where no change is looked for
_FIVE = 5
_JUMP = 0.1  # of the peak rate within a bin
_SUDDEN, _SLOW = 0.007, 0.02  # least change of log loss: honest runs leave their law by 0.002
_ROUNDED, _SAMPLE = 2, 5000  # units in which losses were rounded; rows that tell these
_CLIMBS = (1 / 24, 1 / 12, 1 / 6, 1 / 3)  # lengths of a slow change over that of the run
_SPIKES = _CLIMBS[:2]  # the same of one that does not last, or at once
_PASSES = (3.0, 8.0, 24.0)  # bins in which a change that does not last has gone to 1/e
# Twice the log of the ratio of likelihoods: at one place exceeded by chance once in 130,000 times.
_MANY = 4  # bins
_SURE = 20.0
_BACK = 0.5  # share of a change by which a second takes it back
_LASTS = 10.0  # by which a change that passes must be the surer one
_MEMORY = (3.0, 10.0, 100.0)  # bins after which what a row remembers has fallen to 1/e
_FORGETS = (0.02, 0.2, 0.6)  # share of the noise that remembers nothing
_ANSWERS = (1.0, 4.0, 16.0, 64.0)  # bins in which a response, or an average, passes
_UNSURE, _SHARE = 0.02, 0.3  # log loss by which one may add to the law's response, and share of it


@dataclass(frozen=True)
class Shift:
    """A change of a run's loss that its law does not explain.

    Attributes:
        step: first row of it.
        whole: first row from which on it is there in full; `step` for a sudden one.
        size: of the log loss.
        passes: steps after which 1/e of it is left; infinite for one that lasts.
        until: first row from which on it is over at once; infinite for one that lasts.
    """

    step: float
    whole: float
    size: float
    passes: float = np.inf
    until: float = np.inf

    def told(self, label: str) -> str:
        """What happened, and why it may have."""
        share, way = abs(np.expm1(self.size)), "higher" if self.size > 0 else "lower"
        where = f"from step {self.step:,.0f} on"
        if self.whole > self.step:
            where = f"after a climb from step {self.step:,.0f} to {self.whole:,.0f}"
        why = "other data, another batch size, or a resumed run"
        if np.isfinite(self.until):
            where = f"from step {self.step:,.0f} to {self.until:,.0f}"
        if np.isfinite(self.passes):
            back = float(f"{self.whole - self.step + 2 * self.passes:.1g}")
            where = f"at step {self.step:,.0f}, and back in some {back:,.0f} steps"
            why = "a slow spike, or a resumed run"
        return (
            f"the loss of {label} is {share:.1%} {way} {where}, which no law and no response to "
            f"its rate explains ({why}?)"
        )

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if np.isfinite(self.passes) or np.isfinite(self.until):
            return "Leave these rows out."
        return f"End its log before step {self.step:,.0f}, or leave the run out."


@dataclass(frozen=True)
class _Changes:
    """Changes of unit size that are looked for.

    Attributes:
        shape: what each adds to the log loss of a bin, (n, m).
        first: its first bin, (m,).
        whole: the bin in which it is there in full, (m,).
        passes: bins in which it passes, (m,).
    """

    shape: np.ndarray
    first: np.ndarray
    whole: np.ndarray
    passes: np.ndarray

    @classmethod
    def of(cls, jumps: np.ndarray) -> _Changes:
        """All of n bins, but those that begin after jumps of the rate, (n,)."""
        count = len(jumps)
        edge = max(_FIVE, int(_ENDS * count))
        starts = np.arange(edge, count - edge + 1)
        starts = starts[~jumps[starts]]
        since = np.arange(count)[:, None] - starts
        sudden = since >= 0
        found = [(sudden.astype(np.float64), starts, starts, np.inf)]
        for length in sorted({max(round(share * count), 2) for share in _CLIMBS}):
            some = np.flatnonzero(starts + length <= count - edge)[:: max(length // 8, 1)]
            shape, first = np.clip((since[:, some] + 1) / length, 0.0, 1.0), starts[some]
            found.append((shape, first, first + length - 1, np.inf))
        spikes = {1, *(max(round(share * count), 2) for share in _SPIKES)}
        for passes, length in product(_PASSES, sorted(spikes)):
            rise = np.clip((since + 1) / length, 0.0, 1.0)
            shape = rise * np.exp(-np.maximum(since + 1 - length, 0) / passes)
            whole = np.minimum(starts + length - 1, count - 1)
            found.append((shape, starts, whole, passes))
        shapes, first, whole, _ = zip(*found, strict=True)
        lasting = [np.full(len(one[1]), one[3]) for one in found]
        return cls(np.concatenate(shapes, axis=1), *map(np.concatenate, (first, whole, lasting)))

    def enough(self, size: np.ndarray) -> np.ndarray:
        """Which are large enough to be no misfit, of sizes (m,); slow ones only upwards."""
        return np.where(self.whole > self.first, size > _SLOW, np.abs(size) > _SUDDEN)


def shift_of(run: Run) -> Shift | None:
    """The change of `run` that its law does not explain, or None.

    Of two sudden ones the first is told; a second that takes it back ends it.
    """
    one = _surest(run)
    if one is None or np.isfinite(one.passes) or one.whole > one.step:
        return one
    without = run.measured() * np.where(run.steps >= one.step, np.exp(-one.size), 1.0)
    other = _surest(replace(run, loss=without))
    if other is None or np.isfinite(other.passes) or other.whole > other.step:
        return one
    first, second = sorted((one, other), key=lambda shift: shift.step)
    back = -second.size / first.size
    return replace(first, until=second.step) if _BACK < back < 1 / _BACK else first


def _surest(run: Run) -> Shift | None:
    """The change that is the surest one, if it is sure."""
    units = units_of([run])
    points = points_of(run, units, most=_MOST)
    if len(points.steps) < _FEWEST:
        return None
    law = LAWS["fsl" if len(run.rate.events().time) else "intrinsic-time"]
    vector = search(law, [points])
    error = -log_ratio(law.loss(vector, points.clock), np.exp(points.log_loss))
    calm = _calm(points.steps, error) & ~_astride(points)
    points, error = points.where(calm), error[calm]
    if len(error) < _FEWEST:
        return None
    changes = _Changes.of(_jumps(points))
    if not len(changes.first):
        return None
    surer, size = _likelihoods(error, _Known.of(law, vector, points), changes.shape)
    surer = np.where(changes.enough(size) & (np.abs(size) > _rounding(run)), surer, 0.0)
    # Noise that forgets brings a change back, too.
    surer -= np.where(np.isfinite(changes.passes), _LASTS, 0.0)
    best = int(np.argmax(surer))
    if surer[best] < _SURE or (np.isfinite(changes.passes[best]) and abs(size[best]) < _SLOW):
        return None
    steps, width = points.steps, float(np.median(np.diff(points.steps)))
    first, whole = steps[[changes.first[best], changes.whole[best]]]
    passes = float(changes.passes[best]) * width
    return Shift(float(first), float(whole), float(size[best]), passes)


def _calm(steps: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Which bins are not in a spike, up or down, (n,); one of many bins may be a change."""
    row = row_noise(error)
    calm = spikes_of(steps, error, row)[1] & spikes_of(steps, -error, row)[1]
    inside = np.flatnonzero(~calm)
    for group in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1):
        if len(group) >= _MANY:
            calm[group] = True
    return calm


def _rounding(run: Run) -> float:
    """Change of log loss that rounding of the rows may make."""
    loss = run.measured()
    loss = np.unique(loss[:: max(len(loss) // _SAMPLE, 1)])
    return float(_ROUNDED * np.min(np.diff(loss), initial=np.inf) / np.median(loss))


def _jumps(points: Points) -> np.ndarray:
    """Which bins begin soon after the rate jumped, (n,)."""
    out = np.zeros(len(points.steps), dtype=bool)
    for jump in _first_after(points):
        out[max(jump - 1, 0) : jump + _FIVE] = True
    return out


def _astride(points: Points) -> np.ndarray:
    """Which bins the rate jumped in or beside, (n,): when it did between two rows no log says, and
    one that is a mean of steps before and after lies far from any law of either."""
    out = np.zeros(len(points.steps), dtype=bool)
    for jump in _first_after(points):
        out[max(jump - 1, 0) : jump + 1] = True
    return out


def _first_after(points: Points) -> np.ndarray:
    """The first bin after each jump of the rate, up to n."""
    events = points.clock.events
    bins = np.searchsorted(points.clock.steps, events.steps)
    change = np.bincount(bins, np.abs(events.old - events.new), len(points.steps) + 1)
    return np.flatnonzero(change > _JUMP)


@dataclass(frozen=True)
class _Known:
    """What explains rows without a change of the run.

    Attributes:
        slopes: of the log loss, (n, p).
        mean: what is known of each before, less what it is in the fit, (p,).
        width: its standard deviation, infinite where nothing is known, (p,).
    """

    slopes: np.ndarray
    mean: np.ndarray
    width: np.ndarray

    @classmethod
    def of(cls, law: ScheduleLaw, vector: np.ndarray, points: Points) -> _Known:
        """The law's parameters, other responses, averages of the rows, and a level."""
        loss, jacobian = law.evaluate(vector, points.clock)
        loss = np.maximum(loss, least_loss([points]))
        jacobian = jacobian / loss[:, None]
        felt = [np.abs(jacobian[:, i]).max() for i, n in enumerate(law.names) if n == "release"]
        answers, averages = _responses(points), _averages(np.log(loss))
        known = [
            (p.prior[0] - v, p.prior[1]) if p.prior else (0.0, np.inf)
            for p, v in zip(law.parameters, vector, strict=True)
        ]
        known += [(0.0, max([_UNSURE, *(_SHARE * x for x in felt)]))] * answers.shape[1]
        known += [(0.0, 1.0)] * averages.shape[1] + [(0.0, np.inf)]
        mean, width = np.array(known).T
        slopes = np.column_stack([jacobian, answers, averages, np.ones(len(loss))])
        return cls(slopes, mean, width)


def _responses(points: Points) -> np.ndarray:
    """What responses that pass in some bins have given back by each bin, (n, responses)."""
    events, bins = points.clock.events, float(np.median(np.diff(points.clock.steps)))
    if not len(events.time):
        return np.zeros((len(points.steps), 0))
    answered = [-np.expm1(-points.clock.lag_steps / (k * bins)) for k in _ANSWERS]
    return np.stack([one @ (events.old - events.new) for one in answered], axis=1)


def _averages(log_loss: np.ndarray) -> np.ndarray:
    """By how much moving averages over some bins lie above, (n, averages)."""
    from scipy.signal import lfilter

    kept = [k / (1.0 + k) for k in _ANSWERS]
    start, rest = log_loss[0], log_loss - log_loss[0]
    return np.stack([start + lfilter([1 - b], [1, -b], rest) - log_loss for b in kept], axis=1)


def _likelihoods(
    error: np.ndarray, known: _Known, changes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Twice the log likelihood that each change gains, and its size, each (m,); what the noise
    remembers is the best for each, and for none."""
    from scipy.linalg import solve_triangular

    count, told = len(error), np.isfinite(known.width)
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    without, best = -np.inf, np.full(changes.shape[1], -np.inf)
    size = np.zeros(changes.shape[1])
    columns = np.column_stack([known.slopes, error, changes])
    # Noise of independent rows, and that remembers.
    grid = [(1.0, 1.0), *((memory, share) for memory in _MEMORY for share in _FORGETS)]
    for memory, share in grid:
        noise = (1 - share) * np.exp(-apart / memory) + share * np.eye(count)
        root = np.linalg.cholesky(noise)
        white = solve_triangular(root, columns, lower=True, check_finite=False)
        slopes, rest = white[:, : len(told)], white[:, len(told) :]
        free = count - len(told) + int(np.count_nonzero(told))
        row = np.linalg.norm(_beside(slopes, rest[:, :1])) / np.sqrt(count - len(told))
        # What is known before is a row more, in units of the noise.
        slopes = np.vstack([slopes, np.diag(row / known.width)[told]])
        pull = np.zeros((np.count_nonzero(told), rest.shape[1]))
        pull[:, 0] = row * known.mean[told] / known.width[told]
        left = _beside(slopes, np.vstack([rest, pull]))
        power = np.maximum(np.einsum("ij,ij->j", left[:, 1:], left[:, 1:]), 1e-12)
        found, total = left[:, 1:].T @ left[:, 0] / power, float(left[:, 0] @ left[:, 0])
        after = np.maximum(total - found**2 * power, 1e-12 * total)
        volume = 2 * np.log(np.diag(root)).sum()
        gained = -free * np.log(after) - volume
        without = max(without, -free * np.log(total) - volume)
        size = np.where(gained > best, found, size)
        best = np.maximum(gained, best)
    return best - without, size


def _beside(slopes: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Columns (n, m) without what the slopes (n, p) explain of them."""
    scale = np.maximum(np.linalg.norm(slopes, axis=0), 1e-300)
    basis, values, _ = np.linalg.svd(slopes / scale, full_matrices=False)
    basis = basis[:, values > 1e-6 * values[0]]
    out: np.ndarray = columns - basis @ (basis.T @ columns)
    return out
