"""How does a ladder decide what to train?

It trains every optimizer at every size on equal tokens, in two stages: first the learning rates,
with one seed of its own on half the tokens, then the best one with three other seeds. All rates are
a factor 2 apart; while the best is the lowest or highest tried, one more is tried beyond. What is
wanted next follows from the results so far, so a ladder resumes like any sweep.
SGD with momentum is tuned like the others and also runs at SGD's best rate times (1 - momentum),
where the theory says that it is SGD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hidim.lab.sweeps.sweep import Sweep, final_losses
from hidim.lab.training.settings import Settings

_MOMENTUM = 0.9
_MOMENTUM_RATES = (0.25, 0.5, 1.0)  # SGD's times 1 - momentum
_WIDEST = 4  # rates tried beyond those listed, at most
_TUNING_SEED = 1000


@dataclass(frozen=True)
class Entry:
    """One optimizer of a ladder: its name, options, learning rates to try and schedule."""

    optimizer: str
    rates: tuple[float, ...]
    options: tuple[tuple[str, Any], ...] = ()
    schedule: str = "constant"

    def settings(self, base: Settings, **changes: Any) -> Settings:
        """A run of this optimizer."""
        own = {"optimizer": self.optimizer, "options": dict(self.options)}
        return base.replace(**own, schedule=self.schedule, **changes)


@dataclass(frozen=True)
class Ladder:
    """The plan of a ladder.

    Attributes:
        summary: what it is, in one line.
        base: what all runs share.
        widths: the sizes.
        entries: the optimizers, each tuned on its own.
        seeds: of the second stage.
        matched: whether SGD with momentum also runs at the rate matched to SGD's best.
    """

    summary: str
    base: Settings
    widths: tuple[int, ...]
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    matched: bool = True

    def stage(self, sweep: Sweep) -> Iterable[Settings]:
        """The runs that are wanted given what is finished; all of them once tuning is done."""
        results = final_losses(sweep)
        tuning = {
            (entry, width): self._tuning(entry, width, results)
            for entry in self.entries
            for width in self.widths
        }
        wanted = [run for runs in tuning.values() for run in runs]
        yield from wanted
        if any(run.fingerprint not in results for run in wanted):
            return
        for (entry, width), tried in tuning.items():
            best = _best(tried, results).lr
            yield from self._finals(entry, width, best)
            if self.matched and entry.optimizer == "sgd":
                yield from self._finals(with_momentum(), width, best * (1 - _MOMENTUM))

    @property
    def extent(self) -> str:
        """How many runs `planned` lists."""
        return "if no rate has to be widened"

    def planned(self) -> list[Settings]:
        """Every run of the ladder if no rate is widened; that of the last is one of those tried."""
        tuning = [
            run for entry in self.entries for width in self.widths
            for run in self._tuning(entry, width, {})
        ]  # fmt: skip
        finals = [
            run for entry in self._finalists() for width in self.widths
            for run in self._finals(entry, width, entry.rates[0])
        ]  # fmt: skip
        return tuning + finals

    def _finalists(self) -> list[Entry]:
        """Whose best rates are run, and SGD with momentum again at the rate matched to SGD's."""
        tuned_sgd = any(entry.optimizer == "sgd" for entry in self.entries)
        return [*self.entries, *([with_momentum()] if self.matched and tuned_sgd else [])]

    def _tuning(self, entry: Entry, width: int, results: Mapping[str, float]) -> list[Settings]:
        """The rates to try; one more while the best of them is an end, `_WIDEST` times."""
        rates = list(entry.rates)
        while True:
            steps = self.base.steps // 2
            tried = [
                entry.settings(self.base, width=width, lr=lr, steps=steps, seed=_TUNING_SEED)
                for lr in sorted(rates)
            ]
            done = all(run.fingerprint in results for run in tried)
            if not done or len(rates) == len(entry.rates) + _WIDEST:
                return tried
            best = _best(tried, results).lr
            if best == min(rates):
                rates.append(_plain(best / 2))
            elif best == max(rates):
                rates.append(_plain(best * 2))
            else:
                return tried

    def _finals(self, entry: Entry, width: int, lr: float) -> list[Settings]:
        rate = _plain(lr)
        return [entry.settings(self.base, width=width, lr=rate, seed=seed) for seed in self.seeds]


def _plain(rate: float) -> float:
    """Rounded, so that a product names one folder on every machine."""
    return float(f"{rate:.6g}")


def _best(tried: Iterable[Settings], results: Mapping[str, float]) -> Settings:
    return min(tried, key=lambda run: results[run.fingerprint])


def with_momentum() -> Entry:
    return Entry("sgd-momentum", _MOMENTUM_RATES, (("momentum", _MOMENTUM),))
