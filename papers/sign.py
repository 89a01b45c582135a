"""signSGD: its curve against runs, compression of the noise, where it stops, exponents."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

import hidim
from hidim.measure import measure_exponent
from hidim.plots import dress
from hidim.rates.limits import limit_risk
from hidim.rates.signs import best_sgd, best_sign
from hidim.systems.builders import system_of
from hidim.systems.sign_drift import sign_drift
from papers.report import Section, markdown_table

TITLE = "signSGD: curves, compression, limit risk, exponents"
SOURCE = "arXiv 2411.12135. Settings are ours; the paper's full text was not consulted."

D, ETA, STEPS, RUNS, SEED = 100, 5e-4, 10_000, 200, 0
NOISES = {
    "Gaussian": hidim.noise.Gaussian(0.09),
    "Student 3": hidim.noise.StudentT(3, 0.3),
    "Cauchy": hidim.noise.Cauchy(0.3),
}
LAWS = NOISES | {"Laplace": hidim.noise.Laplace(0.09), "two-point": hidim.noise.Rademacher(0.09)}
COLOURS = ("#2f5fa8", "#e08a00", "#c2203a", "#3c8a3c", "#7a4fa0")
POINTS = ((1.2, 0.3), (1.2, 0.8), (0.7, 1.2))


def problem(noise: Any, variance: float = 0.0) -> hidim.Spectrum:
    """Autoregressive correlations .6^|i-j| at scales between .2 and 1.8, optimum of length 1."""
    i = np.arange(D)
    scales = 1 + 0.8 * np.sin(1.7 * i)
    K = 0.6 ** np.abs(i[:, None] - i) * np.outer(scales, scales)
    target = np.full(D, D**-0.5)
    return hidim.Spectrum.from_covariance(K, target, noise_variance=variance, noise=noise)


def measure() -> dict[str, Any]:
    """Predictions of every curve and limit first, runs after them."""
    at = np.unique(np.round(np.geomspace(1, STEPS, 40)))
    etas = np.geomspace(1e-5, 1e-2, 13)
    run_etas = [2e-4, 1e-3, 5e-3]
    found: dict[str, Any] = {"curves": {}, "effects": {}, "limits": {}, "runs": {}, "tails": {}}
    for name, noise in NOISES.items():
        curve = hidim.predict(problem(noise), hidim.sign_sgd(ETA), at=at)
        found["curves"][name] = [at, curve.excess, str(curve.provenance.get("caution", ""))]
        effects = hidim.sign_effects(problem(noise), STEPS)
        found["effects"][name] = [
            *(effects.compression[-1], effects.reshaping, *effects.condition),
            *(effects.best_eta, effects.best_gamma_2, effects.times_lower),
        ]
    for name, (noise, variance) in _limited().items():
        found["limits"][name] = [etas, [_limit(noise, variance, eta) for eta in etas.tolist()]]
        found["tails"][name] = [run_etas, [_limit(noise, variance, eta) for eta in run_etas]]
    excess = np.geomspace(1e-3, 10, 60)
    found["psi"] = [excess, {name: _psi(law, excess) for name, law in LAWS.items()}]
    found["exponents"] = [_exponents(a, b, v) for a, b in POINTS for v in (0.0, 0.1)]
    for k, (name, noise) in enumerate(NOISES.items()):
        run = hidim.simulate(problem(noise), hidim.sign_sgd(ETA), at=at, runs=RUNS, seed=SEED + k)
        single = hidim.simulate(
            problem(noise), hidim.sign_sgd(ETA), at=at, runs=1, seed=SEED + 10 + k
        )
        found["runs"][name] = [run.excess, run.stderr, single.excess]
    for name, (noise, variance) in _limited().items():
        tails = [_tail(noise, variance, eta) for eta in run_etas]
        found["tails"][name] += [[t[0] for t in tails], [t[1] for t in tails]]
    return found


def _limited() -> dict[str, tuple[Any, float]]:
    return {
        "no noise": (None, 0.0),
        "Gaussian": (None, 0.09),
        "Cauchy": (hidim.noise.Cauchy(0.3), 0.0),
    }


def _limit(noise: Any, variance: float, eta: float) -> float:
    system: Any = system_of(problem(noise, variance), hidim.sign_sgd(eta, drift="linear"))
    found = limit_risk(system, 0.0, 1.0)
    return math.nan if found is None else found - system.floor


def _tail(noise: Any, variance: float, eta: float) -> tuple[float, float]:
    """Mean excess over the last half of runs that are long enough, and its standard error."""
    last = round(6.0 / eta)
    at = np.linspace(last / 2, last, 40).round()
    run = hidim.simulate(problem(noise, variance), hidim.sign_sgd(eta), at=at, runs=24, seed=5)
    assert run.stderr is not None
    # Points of one run hang together, so the error is that of a single one: an upper bound.
    return float(run.excess.mean()), float(run.stderr.mean())


def _psi(law: Any, excess: np.ndarray) -> np.ndarray:
    """Compression; for noise without a variance the drift over 2 / pi."""
    mu = sign_drift(law, 0.0, 1)(2.0 * excess)
    root = np.sqrt(2.0 * excess + law.variance) if math.isfinite(law.variance) else 1.0
    return np.asarray(mu * root * math.pi / 2.0)


def _exponents(alpha: float, beta: float, variance: float) -> list[Any]:
    """Slopes of the best risk and rate per decade of the horizon, 1e5 to 1e6 steps, 1e5 modes."""
    edges = np.unique(np.concatenate([np.arange(1, 41), np.geomspace(41, 1e5 + 1, 72).round()]))
    groups = [np.arange(low, high) for low, high in pairwise(edges)]
    along = np.array([np.mean(j ** (-2 * alpha)) for j in groups])
    target = np.array([np.sum(j ** (-2 * alpha - 2 * beta)) for j in groups]) / along
    spectrum = hidim.Spectrum(along, target, variance / 2, [len(j) for j in groups])
    row: list[Any] = [alpha, beta, variance > 0]
    for name in ("sign-sgd", "sgd"):
        risks, rates = [], []
        for steps in (1e5, 1e6):
            sign = name == "sign-sgd"
            best = (
                best_sign(spectrum, steps, 1.0, "generic")
                if sign
                else best_sgd(spectrum, steps, 1.0)
            )
            risks.append(hidim.predict(spectrum, best, at=[steps], rtol=1e-5).excess[0])
            rates.append(float(best.gamma_2(0)))
        law = hidim.best_rate_law(alpha, beta, name, noise=variance > 0)
        row += [law.risk, -math.log10(risks[1] / risks[0])]
        row += [law.rate, -math.log10(rates[1] / rates[0])]
    return row


def report(found: dict[str, Any]) -> Section:
    """Three tables and two figures."""
    cells = []
    for name, (run, stderr, _) in found["runs"].items():
        line = np.array(found["curves"][name][1])
        z = (np.array(run) - line) / np.array(stderr)
        off = np.abs(np.array(run) / line - 1)
        psi, reshaping, plain, signs, eta, gamma, lower = found["effects"][name]
        cells.append(
            (
                *(name, f"{100 * off.max():.1f} %", f"{np.abs(z).max():.1f}"),
                *(
                    "∞" if psi is None else f"{psi:.3f}",
                    f"{reshaping:.3f}",
                    f"{plain:.0f} → {signs:.0f}",
                ),
                *(f"{eta:.2e}", "-" if gamma is None else f"{gamma:.2e}"),
                "SGD has none" if lower is None else f"{lower:.2f}",
            )
        )
    first = markdown_table(
        (
            *("noise", "largest distance", "in standard errors", "ψ at the end", "reshaping"),
            *(
                "condition number",
                f"best η, {STEPS:,} steps",
                "best γ of SGD",
                "SGD's excess / signs'",
            ),
        ),
        cells,
    )
    tails = [
        (name, f"{eta:g}", f"{limit:.4g}", f"{seen:.4g} ± {error:.1g}")
        for name, (etas, limits, means, errors) in found["tails"].items()
        for eta, limit, seen, error in zip(etas, limits, means, errors, strict=True)
    ]
    second = markdown_table(("noise", "η", "R∞, predicted", "runs"), tails)
    slopes = [
        (f"({a:g}, {b:g})", "yes" if noisy else "no", *(f"{x:.3f}" for x in rest))
        for a, b, noisy, *rest in found["exponents"]
    ]
    third = markdown_table(
        ("(α, β)", "label noise", "signs: risk", "measured", "rate", "measured",
         "SGD: risk", "measured", "rate", "measured"),
        slopes,
    )  # fmt: skip
    return Section(
        TEXT.format(first=first, second=second, third=third, runs=RUNS, eta=ETA, d=D, seed=SEED),
        {
            "sign_curves": ("Excess risk of signSGD, predicted and run", _draw_curves(found)),
            "sign_laws": ("Compression of the noise, and the limit risk", _draw_laws(found)),
        },
    )


def _draw_curves(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        for ax, (name, (at, line, _)) in zip(
            figure.subplots(1, 3, sharey=True), found["curves"].items(), strict=True
        ):
            run, stderr, single = found["runs"][name]
            ax.plot(at, single, color="#bbbbbb", linewidth=0.8, label="one run")
            ax.errorbar(at, run, 2 * np.array(stderr), fmt=".", color="#c2203a", markersize=4,
                        label=f"mean of {RUNS} runs")  # fmt: skip
            ax.plot(at, line, color="#1b7f5c", label="predicted")
            dress(ax, x="optimizer steps", y="", title=f"{name} noise")
            ax.legend(frameon=False, fontsize="x-small")
        figure.axes[0].set_ylabel("excess risk R")

    return draw


def _draw_laws(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        excess, curves = found["psi"]
        for (name, psi), colour in zip(curves.items(), COLOURS, strict=True):
            label = f"{name}: π/2 drift" if name == "Cauchy" else name
            left.plot(excess, psi, color=colour, label=label, ls=":" if name == "Cauchy" else "-")
        dress(left, x="excess risk R", y="compression ψ(R)", title="1 for Gaussian noise")
        left.set_ylim(1e-2, 10)
        left.legend(frameon=False, fontsize="x-small")
        for (name, (etas, limits)), colour in zip(found["limits"].items(), COLOURS, strict=False):
            slope = [
                measure_exponent(np.array(etas)[part], np.array(limits)[part]).value
                for part in (slice(0, 4), slice(-4, None))
            ]
            label = f"{name}: slope {slope[0]:.2f}, then {slope[1]:.2f}"
            right.plot(etas, limits, color=colour, label=label)
            run_etas, _, means, errors = found["tails"][name]
            right.errorbar(
                run_etas, means, 2 * np.array(errors), fmt="o", color=colour, markersize=4
            )
        dress(right, x="rate η", y="limit R∞", title="points: runs")
        right.legend(frameon=False, fontsize="x-small")

    return draw


TEXT = """\
Rows with the correlations .6^|i−j| at scales between .2 and 1.8, d = {d}, batch 1, η = {eta:g}.
Everything was predicted before anything was run; {runs} runs a curve, seeds from {seed}. Points
are means with two standard errors.

{first}

The distance is that of the mean of the runs from the prediction, the largest of 40 steps. ψ,
reshaping and the condition numbers of K and of what signs see are the effects of [the page on
signs](theory/sign.md); the best rates are for 10,000 steps.

R∞ is where noise and drift balance at the last rate. Runs are 6/η steps long, 24 of them, and
their last half counts:

{second}

Exponents at the best constant rate for a horizon, generic coordinates, 10⁵ modes: the law of
`hidim.best_rate_law` and the slopes of predicted curves from 10⁵ to 10⁶ steps. At (0.7, 1.2),
phase III, without label noise signs are still on their way to 2, but ahead of SGD's 1.29, as the
law says.

{third}
"""
