"""What is the expected risk of a run, to more digits than float64 has? The judge of the engines.

From the update of error r and momentum y along one eigenvector, D = 1 - forgetting and
G = gamma_2 + gamma_1 gamma_3,

    r' = r - gamma_3 D y - G g,    y' = D y + gamma_1 g,    E g = lambda r,
    Var g = (lambda^2 E r^2 + n lambda 2P) / B,

so the second moments Z of (r, y) move by Z' = A Z A^T + Var g b b^T with b = (-G, gamma_1). Full
batches have no variance, and (r, y) themselves are followed. Many runs go side by side in 80-bit
floats (64-bit mantissa: rounding adds some 1e-14 in 1e5 steps), modes padded with zeros.
Independent of hidim but for the values of schedules, which are those the engines read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import hidim

EXTENDED = np.finfo(np.longdouble).eps < 2e-19
_STRETCH = 512  # steps between two looks at the schedules and at runs that are lost
_LOST = 1e60  # times its start: no engine follows a run that far
_ENTRIES = 4096  # runs times modes that step together: arrays of 64 kB


@dataclass(frozen=True, eq=False)
class Run:
    """One run to be followed: the risk at steps 0..steps at the point `readout`."""

    spectrum: hidim.Spectrum
    algorithm: hidim.Momentum
    batch_size: float
    steps: int
    readout: str = "gradient"

    def values(self, first: int, count: int) -> np.ndarray:
        """gamma_1, gamma_2, gamma_3, forgetting and the readout's weight, (count, 5)."""
        t = np.arange(first, first + count, dtype=np.float64)
        a = self.algorithm
        parts = (a.gamma_1, a.gamma_2, a.gamma_3, a.forgetting, a.readout(self.readout))
        return np.stack([np.broadcast_to(part(t), t.shape) for part in parts], axis=1)

    @property
    def kind(self) -> str:
        """Which walk follows it."""
        if np.isinf(self.batch_size):
            return "descent"
        values = self.values(0, self.steps + 1)
        return "moments" if np.any(values[:, 2]) or np.any(values[:, 4]) else "errors"


def risks(runs: Sequence[Run]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(index, risk at steps 0..steps, that of the iterate) of every run, cheapest order.

    Infinite from where the iterate is lost.
    """
    for group in groups(runs):
        shown, iterate = _together([runs[i] for i in group])
        for column, i in enumerate(group):
            yield i, shown[:, column], iterate[:, column]


def groups(runs: Sequence[Run]) -> list[list[int]]:
    """Runs that step together: of one kind, alike in steps and modes."""
    kinds = [run.kind for run in runs]
    sizes = [len(run.spectrum) for run in runs]
    found: list[list[int]] = []
    for i in sorted(range(len(runs)), key=lambda i: (kinds[i], runs[i].steps, sizes[i])):
        last = found[-1] if found else []
        alike = last and kinds[last[0]] == kinds[i] and runs[last[0]].steps == runs[i].steps
        if not (alike and (len(last) + 1) * max(sizes[k] for k in [*last, i]) <= _ENTRIES):
            found.append([])
        found[-1].append(i)
    return found


def _together(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Risk at the points read and at the iterates, of runs of one kind, (steps + 1, runs)."""
    steps = runs[0].steps
    walk = {"descent": _Descent, "moments": _Moments, "errors": _Errors}[runs[0].kind](runs)
    shown, iterate = np.full((2, steps + 1, len(runs)), np.inf)
    lost_at = np.full(len(runs), steps + 1)
    limit = _LOST * walk.risks(np.zeros((len(runs), 1), np.longdouble))[0]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for first in range(0, steps + 1, _STRETCH):
            count = min(_STRETCH, steps + 1 - first)
            values = np.stack([run.values(first, count) for run in runs], axis=1)
            rates = values.astype(np.longdouble)[..., None]  # (count, runs, 5, 1)
            gamma_1, gamma_2, gamma_3, forgetting, weight = np.moveaxis(rates, 2, 0)
            keep, total = 1 - forgetting, gamma_2 + gamma_1 * gamma_3
            for k in range(count):
                shown[first + k], iterate[first + k] = walk.risks(weight[k])
                walk.step(keep[k], gamma_1[k], gamma_3[k], total[k])
            lost = ~(iterate[first : first + count] <= limit)
            lost_at = np.minimum(lost_at, np.where(lost.any(0), first + lost.argmax(0), steps + 1))
            walk.stop(lost.any(0))
    shown[np.arange(steps + 1)[:, None] >= lost_at] = np.inf
    iterate[np.arange(steps + 1)[:, None] >= lost_at] = np.inf
    return shown, iterate


class _Walk:
    """What runs have in common: modes padded to one length, all arrays (runs, modes)."""

    def __init__(self, runs: Sequence[Run]) -> None:
        modes = max(len(run.spectrum) for run in runs)

        def padded(name: str) -> np.ndarray:
            table = np.zeros((len(runs), modes), dtype=np.longdouble)
            for row, run in zip(table, runs, strict=True):
                row[: len(run.spectrum)] = getattr(run.spectrum, name)
            return table

        inverse = np.array([[1.0], *([run.batch_size] for run in runs)], np.longdouble)[1:] ** -1
        self.lam, self.start, counts = map(padded, ("eigenvalues", "error_sq", "multiplicity"))
        self.floor = np.array([[run.spectrum.risk_floor] for run in runs], np.longdouble)
        self.spread, self.noise = inverse * self.lam**2, inverse * counts * self.lam
        self.rr, self.ry, self.yy = self.start.copy(), 0 * self.start, 0 * self.start

    def stop(self, lost: np.ndarray) -> None:
        """Let runs that are lost rest: arithmetic with infinities is slow."""
        for moment in (self.rr, self.ry, self.yy):
            moment[lost] = 0


class _Moments(_Walk):
    """E r^2, E r y and E y^2."""

    def risks(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At the point theta + weight y and at theta, both (runs,)."""
        self.twice = 2 * self.floor + np.sum(self.lam * self.rr, axis=1, keepdims=True)
        iterate = shown = 0.5 * self.twice[:, 0]
        if weight.any():
            off = weight * (2 * self.ry + weight * self.yy)
            shown = iterate + 0.5 * np.sum(self.lam * off, axis=1)
        return shown, iterate

    def step(self, keep, gamma_1, gamma_3, total) -> None:
        a, b, c = 1 - total * self.lam, -gamma_3 * keep, gamma_1 * self.lam  # A = (a, b; c, keep)
        variance = self.spread * self.rr + self.noise * self.twice
        r_r, r_y = a * self.rr + b * self.ry, a * self.ry + b * self.yy
        y_r, y_y = c * self.rr + keep * self.ry, c * self.ry + keep * self.yy
        self.rr = r_r * a + r_y * b + total * total * variance
        self.ry = r_r * c + r_y * keep - total * gamma_1 * variance
        self.yy = y_r * c + y_y * keep + gamma_1 * gamma_1 * variance


class _Errors(_Moments):
    """E r^2 alone, where no momentum acts or is read."""

    def step(self, keep, gamma_1, gamma_3, total) -> None:
        a = 1 - total * self.lam
        variance = self.spread * self.rr + self.noise * self.twice
        self.rr = a * a * self.rr + total * total * variance


class _Descent(_Walk):
    """r and y themselves from r = 1: full batches, of which error_sq is a weight."""

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(runs)
        self.rr[:] = 1

    def risks(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = 0.5 * self.lam * self.start
        iterate = shown = self.floor[:, 0] + np.sum(half * self.rr**2, axis=1)
        if weight.any():
            shown = self.floor[:, 0] + np.sum(half * (self.rr + weight * self.ry) ** 2, axis=1)
        return shown, iterate

    def step(self, keep, gamma_1, gamma_3, total) -> None:
        r, y = self.rr, self.ry
        self.rr = r - total * (self.lam * r) - gamma_3 * keep * y
        self.ry = gamma_1 * self.lam * r + keep * y
