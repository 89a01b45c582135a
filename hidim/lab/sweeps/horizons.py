"""Which sweeps ask what an optimizer gains as runs grow longer, at one size?

A plan trains every method at horizons a factor 2 apart, each horizon tuned by itself: the rate a
factor 2 apart and, where a method has one, a second dial (memory, decay, ...). From the best point
of the horizon before, the neighbours on both dials are tried, then those of the best of them, until
a point is better than its neighbours or `most` points were tried; from `searched` on three rates
are tried around the extrapolated optimum. Tuning has a seed of its own and the horizon's full
length, with schedules that end there; then the best point is trained with three other seeds.

Horizons are finished one by one, for all methods before the next (those that lag a doubling later),
and beyond `searched` method by method, so that a plan that is stopped is a whole study of fewer
horizons. The last horizon is for finalists: the baseline and the method with the lowest mean loss
at the horizon before. What is wanted next follows from the results so far.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hidim.lab.sweeps.sweep import Sweep, final_losses
from hidim.lab.training.settings import Settings

_TUNING_SEED = 1000
_BASE = 155  # steps of the shortest horizon; 64 of them are one pass over the text of `stdlib`

Point = tuple[int, int]  # rate, a power of 2 over the first; place of the second dial


@dataclass(frozen=True)
class Method:
    """One method of a plan.

    Attributes:
        name: for people.
        rate: the learning rate that the search begins at.
        make: settings of a run without its rate and seed, from the base and the second dial.
        dial: name of the second dial's option, "" without one.
        places: its values, in order.
        start: the place that the search begins at.
        lag: doublings by which its horizons come after those of the others.
    """

    name: str
    rate: float
    make: Callable[[Settings, Any], Settings]
    dial: str = ""
    places: tuple[Any, ...] = (None,)
    start: int = 0
    lag: int = 0

    def settings(self, base: Settings, point: Point, seed: int) -> Settings:
        """The run at a point of the dials."""
        made = self.make(base, self.places[point[1]])
        return made.replace(lr=float(f"{self.rate * 2.0 ** point[0]:.6g}"), seed=seed)

    def around(self, centre: Point) -> list[Point]:
        """A point and its neighbours on both dials."""
        i, k = centre
        others = [(i, j) for j in (k - 1, k + 1) if 0 <= j < len(self.places)]
        return [centre, (i - 1, k), (i + 1, k), *others]


@dataclass(frozen=True)
class Horizons:
    """The plan of a study of horizons.

    Attributes:
        summary: what it is, in one line.
        base: what all runs share.
        methods: the baseline first.
        horizons: in units of `unit` steps, a factor 2 apart.
        searched: the last horizon whose dials are searched; beyond it the optimum is extrapolated.
        most: points tried per method and horizon, at most.
        finals: horizons of the finalists alone.
        seeds: of the runs that count.
        unit: steps of horizon 1.
        speed: tokens a second on one core that has nothing else to do, for the cost alone.
    """

    summary: str
    base: Settings
    methods: tuple[Method, ...]
    horizons: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    searched: int = 8
    most: int = 9
    finals: tuple[int, ...] = (64,)
    seeds: tuple[int, ...] = (0, 1, 2)
    unit: int = _BASE
    speed: int = 60_000

    @cached_property
    def made(self) -> dict[tuple[str, int, Point, int], Settings]:
        """Settings by method, horizon, point and seed: after every run they are asked for anew."""
        return {}

    def stage(self, sweep: Sweep) -> Iterable[Settings]:
        """The runs that are wanted given what is finished."""
        known = _Known(self, final_losses(sweep))
        found: dict[str, dict[int, Point]] = {method.name: {} for method in self.methods}
        for cells in self._rounds():
            yield from self._cells(cells, found, known)
            if known.missing:
                return
        last = self.horizons[-1]
        for horizon in self.finals:
            for method in self._finalists(lambda one: found[one.name][last], known):
                yield from self._cells([(horizon, method)], found, known)
                if known.missing:
                    return

    def _rounds(self) -> list[list[tuple[int, Method]]]:
        """What is trained together, in order: horizons whole, long ones method by method.

        A method that lags has a horizon beside twice as long ones of the others, after them.
        """
        by_turn: dict[int, list[tuple[int, Method]]] = defaultdict(list)
        for lag in sorted({method.lag for method in self.methods}):
            for horizon in self.horizons:
                cells = [(horizon, method) for method in self.methods if method.lag == lag]
                by_turn[horizon * 2**lag] += cells
        rounds = []
        for turn, cells in sorted(by_turn.items()):
            rounds += [cells] if turn <= self.searched else [[cell] for cell in cells]
        return rounds

    def _cells(
        self,
        cells: Sequence[tuple[int, Method]],
        found: Mapping[str, dict[int, Point]],
        known: _Known,
    ) -> Iterable[Settings]:
        for horizon, method in cells:
            own = found[method.name]
            tried, best = self._tune(method, horizon, own, known)
            wanted = [(method, horizon, point, _TUNING_SEED) for point in tried]
            if best is not None:
                own[horizon] = best
                wanted += [(method, horizon, best, seed) for seed in self.seeds]
            yield from (known.run(*one) for one in wanted)

    def _finalists(self, best: Callable[[Method], Point], known: _Known) -> Sequence[Method]:
        """The baseline and the method with the lowest mean loss at the last horizon of all."""

        def mean(method: Method) -> float:
            runs = (known.loss(method, self.horizons[-1], best(method), s) for s in self.seeds)
            return float(np.mean([loss for loss in runs if loss is not None]))

        baseline, *others = self.methods
        return (baseline, min(others, key=mean)) if others else (baseline,)

    def _tune(
        self, method: Method, horizon: int, before: Mapping[int, Point], known: _Known
    ) -> tuple[list[Point], Point | None]:
        """The points to try, and the best of them once no more are wanted."""
        searched = horizon <= self.searched
        if searched:  # from the best point of the horizon before
            centre, most = before[max(before)] if before else (0, method.start), self.most
        else:
            centre, most = _extrapolated(before, horizon, self.searched, len(method.places)), 3
        tried: list[Point] = []
        while True:
            new = [point for point in method.around(centre) if point not in tried]
            new = new[: most - len(tried)]
            tried += new
            losses = {p: known.loss(method, horizon, p, _TUNING_SEED) for p in tried}
            if None in losses.values():
                return tried, None
            best = min(tried, key=lambda point: losses[point] or np.inf)
            if best == centre or not new or not searched:
                return tried, best
            centre = best

    def cost(self) -> dict[str, float]:
        """What the plan costs at most: runs, tokens, core-hours, and minutes of the longest run."""
        planned = self.planned()
        longest = max(run.steps * run.tokens_per_step for run in planned)
        tokens = sum(run.steps * run.tokens_per_step for run in planned)
        return {
            "runs": len(planned),
            "tokens": tokens,
            "core_hours": tokens / self.speed / 3600,
            "longest_minutes": longest / self.speed / 60,
        }

    @property
    def extent(self) -> str:
        """How many runs `planned` lists."""
        return "with as many points tried as may be"

    def planned(self) -> list[Settings]:
        """As many runs as there may be; their rates, and who is a finalist, are placeholders."""
        found = []
        for horizon in (*self.horizons, *self.finals):
            base = self.base.replace(steps=horizon * self.unit)
            many = self.methods if horizon in self.horizons else self.methods[:2]
            points = self.most if horizon <= self.searched else 3
            for method in many:
                tried = [((place, method.start), _TUNING_SEED) for place in range(points)]
                tried += [((0, method.start), seed) for seed in self.seeds]
                found += [method.settings(base, *one) for one in tried]
        return found


class _Known:
    """The runs of a plan and their losses, each worked out once."""

    def __init__(self, plan: Horizons, losses: Mapping[str, float]) -> None:
        self.plan, self.losses = plan, losses
        self.runs: dict[tuple[str, int, Point, int], tuple[Settings, float | None]] = {}

    @property
    def missing(self) -> bool:
        """Whether a run that was asked for is not finished."""
        return any(loss is None for _, loss in self.runs.values())

    def _find(
        self, method: Method, horizon: int, point: Point, seed: int
    ) -> tuple[Settings, float | None]:
        key = (method.name, horizon, point, seed)
        if key not in self.runs:
            made = self.plan.made
            if key not in made:
                base = self.plan.base.replace(steps=horizon * self.plan.unit)
                made[key] = method.settings(base, point, seed)
            self.runs[key] = made[key], self.losses.get(made[key].fingerprint)
        return self.runs[key]

    def run(self, method: Method, horizon: int, point: Point, seed: int) -> Settings:
        """Its settings."""
        return self._find(method, horizon, point, seed)[0]

    def loss(self, method: Method, horizon: int, point: Point, seed: int) -> float | None:
        """Its last loss; None while it is not finished."""
        return self._find(method, horizon, point, seed)[1]


def _extrapolated(before: Mapping[int, Point], horizon: int, searched: int, places: int) -> Point:
    """Where lines through the best points over log horizon lead."""
    known = sorted(h for h in before if h <= searched)
    x, at = np.log2(known), np.log2(horizon)
    ends = [np.polyval(np.polyfit(x, [before[h][d] for h in known], 1), at) for d in (0, 1)]
    return round(float(ends[0])), min(max(round(float(ends[1])), 0), places - 1)


def _share(steps: int) -> int:
    """A tenth of the horizon, in which every warm-up of these studies ends."""
    return steps // 10


def _sgd(base: Settings, place: Any) -> Settings:
    return base.replace(optimizer="sgd")


def _dana(base: Settings, place: Any) -> Settings:
    return base.replace(optimizer="dana-decaying", options={"kappa_3": place})


def _dana_cooled(base: Settings, place: Any) -> Settings:
    return base.replace(
        optimizer="dana-decaying", options={"kappa_3": place, "cooldown": base.steps}
    )


def _warmed(make: Callable[[Settings, Any], Settings]) -> Callable[[Settings, Any], Settings]:
    def warmed(base: Settings, place: Any) -> Settings:
        return make(base, place).replace(schedule="risk-matched", warmup=_share(base.steps))

    return warmed


def _cosine(base: Settings, optimizer: str, **options: Any) -> Settings:
    own = {"optimizer": optimizer, "options": options}
    return base.replace(schedule="cosine", warmup=_share(base.steps), **own)


def adamw(base: Settings, memory: float) -> Settings:
    beta = _beta(memory)
    return _cosine(base, "adamw", betas=[beta, beta], weight_decay=0.0)


def muon(base: Settings, memory: float) -> Settings:
    return _cosine(base, "muon", momentum=_beta(memory))


def adana(base: Settings, omega: float) -> Settings:
    return _cosine(
        base,
        "adana",
        alpha_scale=8.0,
        alpha_form="whole",
        cooldown=base.steps,
        omega=omega,
        t_0=base.steps / 10,
    )


def _beta(memory: float) -> float:
    return round(1 - 1 / memory, 6)


_KAPPAS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
MEMORIES = tuple(1.25 * 2**k for k in range(11))  # steps, 1 / (1 - beta)
OMEGAS = (0.0, 0.1, 0.3, 1.0, 3.0)
_LSTM = Settings(batch_size=16, validation_tokens=32768, evaluation_growth=100.0)
_TRANSFORMER = _LSTM.replace(model="transformer", heads=2)
_SGD = Method("sgd", 10.0, _sgd)
_DANA = Method("dana-decaying", 5.0, _dana, "kappa_3", _KAPPAS, 3)
_ADAMW = Method("adamw", 4e-3, adamw, "betas", MEMORIES, 3)
_ADANA = Method("adana", 2.5e-4, adana, "omega", OMEGAS, 1)

PLANS: dict[str, Horizons] = {
    "horizons-lstm": Horizons(
        "an LSTM of 100 thousand parameters over 0.16 to 10 M tokens: SGD and DANA-decaying, each "
        "plain and with a risk-matched warm-up, DANA also with momentum cool-down",
        _LSTM,
        (
            _SGD,
            _DANA,
            Method("sgd, warm-up", 10.0, _warmed(_sgd), lag=1),
            Method("dana-decaying, warm-up", 5.0, _warmed(_dana), "kappa_3", _KAPPAS, 3, 1),
            Method("dana-decaying, cool-down", 5.0, _dana_cooled, "kappa_3", _KAPPAS, 3, 1),
        ),
    ),
    "horizons-transformer": Horizons(
        "a transformer of 137 thousand parameters over 0.16 to 10 M tokens: AdamW, Muon and ADANA",
        _TRANSFORMER,
        (_ADAMW, _ADANA, Method("muon", 1.6e-2, muon, "momentum", MEMORIES, 3, 2)),
    ),
    "horizons-lstm-small": Horizons(
        "the first four horizons of SGD and DANA-decaying alone, rates tuned",
        _LSTM, (_SGD, _DANA), (1, 2, 4, 8), most=3, finals=(),
    ),
    "horizons-transformer-small": Horizons(
        "the first four horizons of AdamW and ADANA alone, rates tuned",
        _TRANSFORMER, (_ADAMW, _ADANA), (1, 2, 4, 8), most=3, finals=(),
    ),
}  # fmt: skip
