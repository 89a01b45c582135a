"""Which sweeps answer the questions of arXiv 2505.16098 on real text?

A ladder trains every optimizer at every size on equal tokens, in two stages: first every learning
rate with one seed of its own on half the tokens, then the best one with three other seeds. The
second stage follows from the results of the first, so a ladder resumes like any sweep.
`sgd-momentum` is not tuned: it gets SGD's rate times (1 - momentum), equal by the theory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hidim.lab.settings import Settings
from hidim.lab.sweep import Sweep
from hidim.support.checks import choice

_SGD_RATES = (2.5, 5.0, 10.0, 20.0)
_ADAM_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
_MOMENTUM = 0.9
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
        entries: the optimizers that are tuned.
        seeds: of the second stage.
        matched: whether SGD with momentum runs beside SGD at the matched rate.
    """

    summary: str
    base: Settings
    widths: tuple[int, ...]
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    matched: bool = True

    def stage(self, sweep: Sweep) -> Iterable[Settings]:
        """The runs that are wanted given what is finished; all of them once tuning is done."""
        tuning = [run for entry in self.entries for run in self._tuning(entry)]
        yield from tuning
        results = _final_losses(sweep)
        if any(run.fingerprint not in results for run in tuning):
            return
        for entry in self.entries:
            for width in self.widths:
                best = self._best(entry, width, results)
                yield from self._finals(entry, width, best)
                if self.matched and entry.optimizer == "sgd":
                    matched = Entry("sgd-momentum", (), (("momentum", _MOMENTUM),), entry.schedule)
                    yield from self._finals(matched, width, best * (1 - _MOMENTUM))

    def _tuning(self, entry: Entry) -> list[Settings]:
        steps = self.base.steps // 2
        return [
            entry.settings(self.base, width=width, lr=lr, steps=steps, seed=_TUNING_SEED)
            for width in self.widths
            for lr in entry.rates
        ]

    def _best(self, entry: Entry, width: int, results: dict[str, float]) -> float:
        tried = [run for run in self._tuning(entry) if run.width == width]
        return min(tried, key=lambda run: results[run.fingerprint]).lr

    def _finals(self, entry: Entry, width: int, lr: float) -> list[Settings]:
        # Rounded, so that the product above names one folder on every machine.
        lr = float(f"{lr:.6g}")
        return [entry.settings(self.base, width=width, lr=lr, seed=seed) for seed in self.seeds]


def _final_losses(sweep: Sweep) -> dict[str, float]:
    settings = sweep.settings()
    losses = {}
    for name, result in sweep.finished().items():
        loss = result["validation_loss"]
        good = result["status"] == "ok" and loss is not None
        losses[settings[name].fingerprint] = loss if good else math.inf
    return losses


def _family(kappas: Sequence[float]) -> tuple[Entry, ...]:
    decaying = (Entry("dana-decaying", _SGD_RATES, (("kappa_3", kappa),)) for kappa in kappas)
    return (
        Entry("sgd", _SGD_RATES),
        Entry("dana-constant", _SGD_RATES),
        *decaying,
        Entry("adam", _ADAM_RATES, schedule="cosine"),
    )


LADDERS: dict[str, Ladder] = {
    "lstm-ladder": Ladder(
        "4 LSTMs of 13 to 260 thousand parameters, 2 M tokens a run, one core each",
        Settings(batch_size=16, steps=2000, validation_tokens=32768, evaluation_growth=1.2),
        (16, 32, 64, 112),
        _family((0.5, 0.65, 0.8, 1.0)),
    ),
    "lstm-ladder-gpu": Ladder(
        "4 LSTMs of 0.3 to 8.3 million parameters, 82 M tokens a run of 46 MB, for a GPU",
        Settings(
            data="package:torch",
            context=128,
            batch_size=64,
            steps=10_000,
            validation_tokens=262_144,
            evaluation_growth=1.2,
        ),
        (128, 256, 512, 704),
        _family((0.5, 0.65, 0.8, 1.0)),
    ),
    "transformer-ladder": Ladder(
        "4 transformers of 57 to 669 thousand parameters: AdamW and ADANA, cosine to zero",
        Settings(
            model="transformer",
            layers=3,
            heads=4,
            batch_size=16,
            steps=2000,
            warmup=40,
            validation_tokens=32768,
            evaluation_growth=1.2,
        ),
        (32, 64, 96, 128),
        (
            Entry("adamw", _ADAM_RATES, schedule="cosine"),
            Entry("adana", (1e-4, 3e-4, 1e-3, 3e-3), schedule="cosine"),
        ),
        matched=False,
    ),
}


def ladder(name: str) -> Ladder:
    """The ladder of that name.

    Raises:
        ValueError: no such ladder.
    """
    return LADDERS[choice("preset", name, LADDERS)]
