"""What does a fitted law of sizes predict, and which size does it choose for a budget?

Intervals and bands come from refits of resampled points (bootstrap); the law is read and
written as JSON.
Limits: the band of a point far outside the fitted runs is only as good as the form.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.sizes.budgets import SIX, Cost
from hidim.fitting.sizes.forms import FORMS, SizeForm
from hidim.fitting.written import WrittenLaw
from hidim.support.checks import choice, finite, finite_array, non_negative, positive
from hidim.support.inputs import read_json
from hidim.support.json import decode, encode
from hidim.support.results import refusing

FORMAT = "hidim-size-law/1"
_ROUNDS, _SETTLED = 100, 1e-12  # of the search for the best size, in log parameters
_FALLS = 1e-6  # share of the loss that must fall with size and tokens for one size to be best


@dataclass(frozen=True, eq=False)
class SizeLaw(WrittenLaw):
    """A fitted law of one or two quantities.

    Attributes:
        form: the formula.
        vector: parameters as searched, for inputs over `units`, shape (p,).
        units: geometric mean of each input, which centres the search, shape (inputs,).
        replicas: parameters of the bootstrap refits, shape (refits, p).
        noise: spread of the log residuals (a robust standard deviation), a fraction.
        reach: smallest and largest value of each input in the fit.
        holdout: ordered hold-out: mean and largest relative error on the largest runs.
        in_sample: mean relative error in the fit, a fraction.
        provenance: version, seed, points, what a flop counts.
        warnings: what about the runs or the fit deserves a look before the law is used.
        rollout: fitted to the sizes up to each, the error on all larger ones.
        growth: relative error per unit of log distance beyond the fitted runs, a fraction, by the
            ordered hold-out as far as noise and refits do not explain it, and the usual as far as
            noise leaves it open (growth.py).
        cost: training flops per token by the size; 6 x parameters unless exact flops were counted.
    """

    form: SizeForm
    vector: np.ndarray
    units: np.ndarray
    replicas: np.ndarray
    noise: float
    reach: dict[str, list[float]]
    holdout: dict[str, float]
    in_sample: float
    provenance: dict[str, Any]
    warnings: tuple[str, ...] = ()
    rollout: tuple[dict[str, float], ...] = ()
    growth: float = 0.0
    cost: Cost = SIX

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {value:.4g}" for name, value in self.parameters.items())
        return self._in_line(f"{self.form.name}: {found}")

    @property
    def parameters(self) -> dict[str, float]:
        """Parameter values in the units of the data."""
        return self._plain(self.vector)

    def intervals(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Bootstrap interval of every parameter that holds a share `level` of the refits."""
        rows = [self._plain(vector) for vector in self.replicas]
        tail = (1 - _level(level)) / 2
        return {
            name: (
                float(np.quantile([row[name] for row in rows], tail)),
                float(np.quantile([row[name] for row in rows], 1 - tail)),
            )
            for name in self.form.names
            if rows
        }

    def standard_errors(self) -> dict[str, float]:
        """Bootstrap standard error of every parameter."""
        rows = [self._plain(vector) for vector in self.replicas]
        return {name: float(np.std([row[name] for row in rows])) for name in self.form.names}

    def predict(self, *inputs: Any) -> np.ndarray:
        """Loss at given inputs (parameters and tokens for "chinchilla"), each (n,) or a number."""
        return self.form.function(self.vector, self._logs(inputs))[0]

    def band(self, *inputs: Any, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the band that holds a share `level` of measured runs."""
        from scipy.special import ndtri

        logs = self._logs(inputs)
        middle = np.log(self.form.function(self.vector, logs)[0])
        # Residuals of a fit are smaller than those of new runs, the more parameters it has.
        points = int(self.provenance.get("points", 0))
        free = points / max(points - len(self.vector), 1) if points else 1.0
        spread = free * self.noise**2 + (self.growth * np.log(self.beyond(*inputs))) ** 2
        if len(self.replicas):
            values = np.array([self.form.function(v, logs)[0] for v in self.replicas])
            spread = spread + np.var(np.log(np.maximum(values, 1e-12)), axis=0)
        half = ndtri((1 + _level(level)) / 2) * np.sqrt(spread)
        return np.exp(middle - half), np.exp(middle + half)

    def beyond(self, *inputs: Any) -> np.ndarray:
        """How far beyond the largest or below the smallest fitted runs each point lies, as a ratio,
        1 inside: in the quantity, flops included, in which it is farthest; shape (n,)."""
        farthest: np.ndarray = np.maximum(self._past(inputs, 1), self._past(inputs, 0))
        return farthest

    def below(self, *inputs: Any) -> np.ndarray:
        """How far below the smallest fitted runs each point lies, as a ratio, 1 where no quantity
        is below them; shape (n,)."""
        return self._past(inputs, 0)

    def _past(self, inputs: Sequence[Any], end: int) -> np.ndarray:
        x = np.exp(self._logs(inputs)) * self.units  # (n, inputs)
        ratios = [x[:, i] / self.reach[n][end] for i, n in enumerate(self.form.inputs)]
        if self.form.sized:
            ratios.append(self.cost(x[:, 0]) * x[:, 1] / self.reach["flops"][end])
        farthest = np.max(ratios, axis=0) if end else 1 / np.min(ratios, axis=0)
        past: np.ndarray = np.maximum(farthest, 1.0)
        return past

    def optimal(self, flops: float, *, level: float = 0.9) -> dict[str, Any]:
        """Compute-optimal parameters and tokens for a budget, flops = 6 x parameters x tokens
        or as `cost` says.

        Returns:
            params, tokens, loss, the exponent of parameters in flops, and intervals of the
            first two from the bootstrap.
        """
        if not self.form.sized:
            raise ValueError(f"a {self.form.name!r} law has no size to choose; fit chinchilla.")
        flops = positive("flops", flops)
        params, exponent = self._optimum(self.vector, flops)
        if params < 1 or flops < self.cost(params):
            raise ValueError(
                f"by this law the best size for {flops:g} flops is {params:.3g} parameters, which "
                "is no size: the fitted runs do not determine its exponents. Fit runs with several "
                "numbers of tokens per parameter."
            )
        tokens = flops / self.cost(params)
        loss = float(self.predict(params, tokens)[0])
        if loss - self.parameters["floor"] < _FALLS * loss:
            raise ValueError(
                "by this law the loss falls with neither parameters nor tokens, so no size is best "
                "and its exponents mean nothing. Look at what the fit warned of."
            )
        tail = (1 - _level(level)) / 2
        rows = np.array([self._optimum(vector, flops)[0] for vector in self.replicas])
        ends = [float(q) for q in np.quantile(rows, [tail, 1 - tail])] if len(rows) else None
        return {
            "flops": flops,
            "params": params,
            "tokens": tokens,
            "loss": loss,
            "loss_band": [float(end[0]) for end in self.band(params, tokens, level=level)],
            "params_exponent": exponent,
            "params_interval": ends,
            "tokens_interval": [flops / self.cost(e) for e in reversed(ends)] if ends else None,
            "beyond_largest_run": flops / self.reach["flops"][1],
        }

    def _optimum(self, vector: np.ndarray, flops: float) -> tuple[float, float]:
        # Stationary point of the two terms on cost(n) d = flops, in units of the fit: their ratio
        # is (b p / a)^k there, with p the slope of log cost. Around a size the cost is its power.
        log_a, log_b = vector[1:3]
        a, b, k = self.form.exponents(vector)
        unit_n, unit_d = (math.log(unit) for unit in self.units)
        log_n = unit_n
        for _ in range(_ROUNDS):
            p = self.cost.power(math.exp(log_n))
            log_c = math.log(self.cost(math.exp(log_n))) - p * log_n
            log_budget = math.log(flops) - log_c - p * unit_n - unit_d
            found = k * math.log(a / (b * p)) + log_a - log_b + b * log_budget
            found = unit_n + found / (a + b * p)
            before, log_n = log_n, min(max(found, -600.0), 600.0)
            if abs(log_n - before) < _SETTLED:
                break
        return math.exp(log_n), float(b / (a + b * p))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_dict` makes an equal law."""
        return {
            "format": FORMAT,
            "law": self.form.name,
            "parameters": self.parameters,
            "standard_errors": self.standard_errors() if len(self.replicas) else None,
            "intervals": self.intervals() if len(self.replicas) else None,
            "vector": self.vector.tolist(),
            "units": self.units.tolist(),
            "replicas": self.replicas.tolist(),
            "noise": self.noise,
            "reach": self.reach,
            "holdout": self.holdout,
            "in_sample": self.in_sample,
            "provenance": encode(self.provenance, "`provenance`"),
            "warnings": list(self.warnings),
            "rollout": [dict(row) for row in self.rollout],
            "growth": self.growth,
            "cost": self.cost.to_list(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SizeLaw:
        """The law behind `to_dict`.

        Raises:
            ValueError: no law of sizes, or a damaged one.
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(
                f"this is no law of sizes of format {FORMAT!r}: write one with `hidim fit`."
            )
        with refusing("the fitted law"):
            form = FORMS[choice("law", data["law"], FORMS)]
            vector = finite_array("vector", data["vector"], ndim=1)
            units = finite_array("units", data["units"], ndim=1)
            replicas = finite_array("replicas", data["replicas"])
            shapes = len(vector), len(units), replicas.shape[1:]
            count = len(form.names)
            if shapes[:2] != (count, len(form.inputs)) or (replicas.size and shapes[2] != (count,)):
                raise ValueError(f"`vector`, `units` or `replicas` do not fit law {form.name!r}.")
            law = cls(
                form,
                vector,
                units,
                replicas.reshape(-1, count),
                positive("noise", data["noise"]),
                {
                    k: [positive(f"reach {k}", data["reach"][k][i]) for i in (0, 1)]
                    for k in (*form.inputs, *(["flops"] if len(form.inputs) > 1 else []))
                },
                {str(k): non_negative("holdout", v) for k, v in data["holdout"].items()},
                finite("in_sample", data["in_sample"]),
                dict(decode(data["provenance"])),
                tuple(map(str, data.get("warnings", ()))),
                tuple(
                    {str(k): finite("rollout", v) for k, v in row.items()}
                    for row in data.get("rollout", ())
                ),
                non_negative("growth", data.get("growth", 0.0)),
                Cost.from_list(data["cost"]) if "cost" in data else SIX,
            )
            for name, value in law.parameters.items():
                if not math.isclose(value, finite(name, data["parameters"][name]), rel_tol=1e-6):
                    raise ValueError(f"`parameters` and `vector` disagree on {name}.")
        return law

    def _plain(self, vector: np.ndarray) -> dict[str, float]:
        """Parameters for inputs in their own units instead of the units of the search."""
        out = {}
        searched = dict(zip(self.form.names, vector, strict=True))
        for p in self.form.parameters:
            value = searched[p.name]
            log_unit = math.log(self.units[1 if p.name.endswith("_tokens") else 0])
            if p.name.startswith("scale"):
                own = p.name.replace("scale", "exponent")
                value += searched[own if own in searched else "exponent"] * log_unit
            elif p.name == "break":
                value += log_unit
            out[p.name] = math.exp(value) if p.log else float(value)
        return out

    def _logs(self, inputs: Sequence[Any]) -> np.ndarray:
        names = self.form.inputs
        if len(inputs) != len(names):
            raise ValueError(
                f"law {self.form.name!r} takes {', '.join(names)}: {len(names)} input(s), "
                f"got {len(inputs)}."
            )
        arrays = [np.atleast_1d(finite_array(n, x)) for n, x in zip(names, inputs, strict=True)]
        for name, array in zip(names, arrays, strict=True):
            if np.any(array <= 0):
                raise ValueError(f"`{name}` must be positive, got {array.min():g}.")
        lengths = {len(array) for array in arrays} - {1}
        if len(lengths) > 1:
            counts = ", ".join(f"{len(a)} {n}" for n, a in zip(names, arrays, strict=True))
            raise ValueError(f"give as many of each, or one for all: got {counts}.")
        arrays = list(np.broadcast_arrays(*arrays))
        return np.log(np.stack(arrays, axis=1) / self.units)  # (n, inputs)


def is_size_law(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds a law of sizes."""
    data = read_json(path)
    return isinstance(data, dict) and data.get("format") == FORMAT


def _level(level: float) -> float:
    if not 0 < finite("level", level) < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
    return level
