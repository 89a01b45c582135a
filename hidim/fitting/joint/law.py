"""What does a law over sizes and schedules predict for a model that was not trained yet?

`JointLaw.at(params)` is the law of schedules of that size, a `FittedLaw` with bands: everything
that takes one (predict, band, score, best_schedule, forecast) takes it. Its bands hold the spread
of refits that drew the priors anew, an error that grows with log time and one that grows with log
size beyond the sizes whose runs are whole.
Limits: as of the fit; the highest rate of a size between or beyond the fitted ones is read off a
power law through theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.joint.form import JointForm, Prior
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.bands import RUN_TO_RUN
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.laws import WITHOUT, complete, of_a_size, schedule_law
from hidim.fitting.written import WrittenLaw
from hidim.support.checks import finite, finite_array, non_negative, positive
from hidim.support.json import decode, encode
from hidim.support.results import refusing

FORMAT = "hidim-joint-law/1"
_WHOLE = 0.5  # of the longest run
_SAME = 0.005  # in log parameters: one size


@dataclass(frozen=True)
class JointUnits:
    """Scales of a joint fit.

    Attributes:
        steps: longest run.
        time: longest intrinsic time, in steps at the highest rate of its size.
        size: N0, the geometric mean of the sizes.
        log_rate: log of the highest rate at N0.
        rate_power: of N in the highest rate.
    """

    steps: float
    time: float
    size: float
    log_rate: float
    rate_power: float

    @classmethod
    def of(cls, runs: Sequence[Run], sizes: Sequence[float]) -> JointUnits:
        """Units in which the longest run has length one."""
        unique = sorted(set(sizes))
        peaks = [
            max(r.rate.peak for r, n in zip(runs, sizes, strict=True) if n == size)
            for size in unique
        ]
        middle = math.exp(float(np.mean(np.log(unique))))
        x, y = np.log(np.array(unique) / middle), np.log(peaks)
        power = float(x @ (y - y.mean()) / (x @ x))
        if np.ptp(y) < 1e-6:
            power = 0.0
        draft = cls(max(float(r.steps[-1]) for r in runs), 1.0, middle, float(y.mean()), power)
        time = max(
            float(r.rate.time(r.steps[-1:])[0]) / draft.at(n).rate
            for r, n in zip(runs, sizes, strict=True)
        )
        return cls(draft.steps, time, middle, draft.log_rate, power)

    def log_size(self, params: float) -> float:
        """log(N / N0)."""
        return math.log(params / self.size)

    def at(self, params: float) -> Units:
        """The units of one size."""
        rate = math.exp(self.log_rate + self.rate_power * self.log_size(params))
        return Units(self.time * rate, self.steps, rate)


@dataclass(frozen=True, eq=False)
class JointLaw(WrittenLaw):
    """One law over sizes and schedules, and what it was fitted to.

    Attributes:
        form: the law of schedules, and the priors on how it depends on the size.
        vector: joint parameters as searched, shape (q,).
        units: scales of the fit.
        replicas: parameters of the refits, shape (refits, q).
        noise: relative error that no refit explains, a fraction.
        growth: relative error per unit of log(steps / longest fitted run), a fraction.
        size_growth: relative error per unit of log(size / largest fitted size), a fraction.
        reach: what the fit has seen; lowest_rate over the highest of its size.
        holdout: label of each left-out run, or of the largest size, to its mean relative error.
        in_sample: label of each run to its mean relative error in the fit.
        provenance: version, runs with their sizes, tokens per step, seed.
        warnings: what about the data or the fit deserves a look before the law is used.
    """

    form: JointForm
    vector: np.ndarray
    units: JointUnits
    replicas: np.ndarray
    noise: float
    growth: float
    size_growth: float
    reach: dict[str, float]
    holdout: dict[str, float]
    in_sample: dict[str, float]
    provenance: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        low, high = self.reach["smallest"], self.reach["largest"]
        runs = f"{len(self.in_sample)} runs of {low:.3g} to {high:.3g} parameters"
        return self._in_line(f"{self.form.law.name}, {runs}")

    @property
    def parameters(self) -> dict[str, float]:
        """Parameter values, with sizes over `units.size`."""
        return {
            p.name: math.exp(v) if p.log else float(v)
            for p, v in zip(self.form.parameters, self.vector, strict=True)
        }

    @property
    def sizes(self) -> tuple[float, ...]:
        """Fitted sizes."""
        return tuple(sorted({float(c["params"]) for c in self.provenance["curves"]}))

    def at(self, params: float) -> FittedLaw:
        """The law of schedules of models with so many parameters.

        Raises:
            ValueError: `params` is not positive.
        """
        params = positive("params", params)
        size, units = self.units.log_size(params), self.units.at(params)
        best = self.form.at(self.vector, size)
        count = len(self.replicas)
        # FittedLaw sums squared shifts of its refits, as of a jackknife; these are draws.
        shrink = 1.0 / math.sqrt(max(count - 1, 1))
        replicas = [best + shrink * (self.form.at(v, size) - best) for v in self.replicas]
        apart = self.size_growth * self._beyond(params)  # of the curve, which no averaging mends
        reach = {
            "first_step": self.reach["first_step"],
            "last_step": self.reach["last_step"],
            "lowest_rate": self.reach["lowest_rate"] * units.rate,
            "highest_rate": units.rate,
            **self._seen_at(params),
        }
        return FittedLaw(
            self.form.law,
            best,
            units,
            np.array(replicas).reshape(-1, len(best)),
            math.hypot(self.noise, apart),
            self.growth,
            reach,
            self.holdout,
            self.in_sample,
            self.provenance,
            (*self.warnings, *self._told(params)),
            math.hypot(RUN_TO_RUN, apart),
        )

    def _seen_at(self, params: float) -> dict[str, float]:
        """What the runs of this size have seen, and the lowest of all peaks, moved to it."""
        curves = self.provenance["curves"]
        found = {}
        if all("peak" in one for one in curves):  # files of earlier versions do not say
            shares = [one["peak"] / self.units.at(one["params"]).rate for one in curves]
            found["lowest_peak"] = float(min(shares)) * self.units.at(params).rate
        own = [one for one in curves if abs(math.log(params / float(one["params"]))) < _SAME]
        if own:
            found["size_steps"] = max(float(one["last_step"]) for one in own)
            if all("lowest_rate" in one for one in own):
                found["size_lowest_rate"] = min(float(one["lowest_rate"]) for one in own)
        return found

    def _beyond(self, params: float) -> float:
        """Log distance from the sizes whose runs are whole; a size whose runs are not counts as
        near as the share of the longest run that it has.

        Between two whole sizes it is the product of the distances from both over their sum: near
        either the distance, as outside, and what a bend does that errs alike beyond them.
        """
        seen: dict[float, float] = {}
        for curve in self.provenance["curves"]:
            share = min(float(curve["last_step"]) / self.units.steps, 1.0)
            size = float(curve["params"])
            seen[size] = max(seen.get(size, 0.0), share)
        whole = [size for size, share in seen.items() if share >= _WHOLE] or list(seen)
        low, high = math.log(min(whole)), math.log(max(whole))

        def outside(size: float) -> float:
            return max(math.log(size) - high, low - math.log(size), 0.0)

        return min(
            [outside(params) or _between(params, whole)]
            + [
                (1.0 - share) * outside(size) + abs(math.log(params / size))
                for size, share in seen.items()
            ]
        )

    def predict(self, params: float, schedule: Any, steps: Any = None) -> np.ndarray:
        """Loss of a model of `params` under `schedule`, as `FittedLaw.predict` takes it."""
        return self.at(params).predict(schedule, steps)

    def band(
        self,
        params: float,
        schedule: Any,
        steps: Any = None,
        *,
        level: float = 0.9,
        of: str = "rows",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the band that holds a share `level` of measured points, or of their curve."""
        return self.at(params).band(schedule, steps, level=level, of=of)

    def assumed(self) -> str:
        """What was assumed of sizes, and how much of it the runs have replaced, in one sentence."""
        mean, width = self.form.prior.floor_exponent
        place = self.form.names.index("floor_exponent")
        left = float(np.std(self.replicas[:, place])) if len(self.replicas) else math.nan
        return (
            f"the floor falls with size as E + A N^-a, a = {self.vector[place]:.3f} +- {left:.1g} "
            f"(prior {mean:g} +- {width:g})"
        )

    def _told(self, params: float) -> list[str]:
        low, high = self.reach["smallest"], self.reach["largest"]
        if low * 0.995 <= params <= high * 1.005:
            if len(self.sizes) > 2 or self._beyond(params) < _SAME:
                return []
            return [f"two sizes do not say how the floor falls between them: {self.assumed()}"]
        beyond = params / high if params > high else low / params
        text = f"the model is {beyond:.3g} x beyond the fitted sizes"
        if len(self.sizes) < 3:
            text += f"; two sizes do not say how the floor goes on: {self.assumed()}"
        return [text]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_dict` makes an equal law."""
        units = self.units
        return {
            "format": FORMAT,
            "law": self.form.law.name,
            "prior": {
                "floor_exponent": list(self.form.prior.floor_exponent),
                "power": self.form.prior.power,
                "rate": self.form.prior.rate,
            },
            "parameters": self.parameters,
            "vector": self.vector.tolist(),
            "units": {
                "steps": units.steps,
                "time": units.time,
                "size": units.size,
                "log_rate": units.log_rate,
                "rate_power": units.rate_power,
            },
            "replicas": self.replicas.tolist(),
            "noise": self.noise,
            "growth": self.growth,
            "size_growth": self.size_growth,
            "reach": self.reach,
            "holdout": self.holdout,
            "in_sample": self.in_sample,
            "provenance": encode(self.provenance, "`provenance`"),
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> JointLaw:
        """The law behind `to_dict`.

        Raises:
            ValueError: no law over sizes and schedules, or a damaged one.
        """
        if not is_joint(data):
            raise ValueError(
                f"this is no law over sizes and schedules of format {FORMAT!r}: write one with "
                "`hidim fit --params`."
            )
        with refusing("the joint law"):
            prior, units = data["prior"], data["units"]
            mean, width = (finite("floor_exponent", v) for v in prior["floor_exponent"])
            given = Prior(
                (mean, width), finite("power", prior["power"]), finite("rate", prior["rate"])
            )
            schedule = schedule_law(data["law"])
            # Files of earlier versions sum floor and signal.
            late = "interaction" in data["parameters"]
            form = JointForm(of_a_size(schedule) if late else schedule, given)
            known = data["parameters"]
            vector = complete(form.names, finite_array("vector", data["vector"], ndim=1), known)
            replicas = complete(form.names, finite_array("replicas", data["replicas"]), known)
            count = len(form.names)
            if len(vector) != count or (replicas.size and replicas.shape[1:] != (count,)):
                raise ValueError(f"`vector` or `replicas` do not fit law {form.law.name!r}.")
            law = cls(
                form,
                vector,
                JointUnits(
                    *(positive(k, units[k]) for k in ("steps", "time", "size")),
                    *(finite(k, units[k]) for k in ("log_rate", "rate_power")),
                ),
                replicas.reshape(-1, count),
                positive("noise", data["noise"]),
                non_negative("growth", data["growth"]),
                non_negative("size_growth", data["size_growth"]),
                {str(k): non_negative(f"reach {k}", v) for k, v in data["reach"].items()},
                {str(k): non_negative("holdout", v) for k, v in data["holdout"].items()},
                {str(k): non_negative("in_sample", v) for k, v in data["in_sample"].items()},
                dict(decode(data["provenance"])),
                tuple(map(str, data["warnings"])),
            )
            for name, value in law.parameters.items():
                if name in WITHOUT and name not in known:
                    continue
                if not math.isclose(value, finite(name, known[name]), rel_tol=1e-6):
                    raise ValueError(f"`parameters` and `vector` disagree on {name}.")
        return law


def _between(params: float, sizes: Sequence[float]) -> float:
    """Log distance from the sizes next to one within them: the product of both over their sum."""
    below = min(math.log(params / size) for size in sizes if size <= params)
    above = min(math.log(size / params) for size in sizes if size >= params)
    return below * above / (below + above) if below + above else 0.0


def is_joint(data: Any) -> bool:
    """Whether JSON data are a law over sizes and schedules."""
    return isinstance(data, dict) and data.get("format") == FORMAT
