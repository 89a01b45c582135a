"""From which batch does Muon precondition, and where does it beat signs?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import hidim
from hidim.plots import dress
from papers.report import Section, markdown_table

TITLE = "Muon, signSGD and SGD on one matrix"
SOURCE = "arXiv 2605.09552 for the question; theory derived here, docs/theory/muon.md."

M = D = 60
BATCHES = (3, 20, 60, 300)
# The ratio map: large batches of a matrix with many more rows than samples.
SIZE, ROWS, BATCH = 200, 200_000, 2_000
ALPHAS = (0.2, 0.35, 0.5, 0.75, 1.0, 1.3, 1.6)
BETAS = (0.1, 0.3, 0.6, 1.0, 1.5, 2.2)
TARGETS = (1e-1, 1e-3)


def measure() -> dict[str, Any]:
    """Drift factors by batch, three algorithms beside runs, and the map of t_SVD / t_sign."""
    return {"factors": _factors(), "curves": _curves(), "map": _map()}


def _factors() -> list[Any]:
    spectrum = hidim.Spectrum(1.0 / np.arange(1.0, D + 1), np.ones(D), 0.0)
    rows = []
    for batch in BATCHES:
        F = hidim.muon_drift(spectrum, M, batch).F
        logs = np.log(spectrum.eigenvalues), np.log(F)
        ends = [float(np.polyfit(*(v[part] for v in logs), 1)[0]) for part in _ENDS]
        rows.append([batch, F, *ends])
    return rows


_ENDS = (slice(0, 10), slice(-10, None))


def _curves() -> list[Any]:
    lam = np.arange(1.0, 41) ** -1.0
    spectrum = hidim.Spectrum(lam, np.full(40, 2.0 / lam.sum()), 0.5)
    problem, found = hidim.MatrixLeastSquares(spectrum, outputs=40), []
    for algorithm in (
        hidim.sgd(0.02),
        hidim.sign_sgd(1.5e-3, basis="diagonal"),
        hidim.sign_svd(0.01),
    ):
        options = {"at": [0, 5, 20, 50, 100, 200], "batch_size": 16}
        curve = hidim.predict(problem, algorithm, **options)
        run = hidim.simulate(problem, algorithm, runs=16, **options)
        limit = hidim.stability(problem, algorithm, 1e3, batch_size=16).limit_risk
        found.append([algorithm.name, curve.steps, curve.risk, run.risk, run.stderr, limit])
    return found


def _map() -> list[Any]:
    """log10 of the ratio of steps to a target, each at its best constant rate."""
    j, rows = np.arange(1.0, SIZE + 1), []
    for alpha in ALPHAS:
        for beta in BETAS:
            spectrum = hidim.Spectrum(j ** (-2 * alpha), j ** (-2 * beta), 0.0)
            problem = hidim.MatrixLeastSquares(spectrum, outputs=ROWS)
            F, q = hidim.muon_drift(spectrum, ROWS, BATCH)
            unit = math.sqrt(spectrum.trace / SIZE)
            svd = (lambda eta: hidim.sign_svd(eta, drift="linear"), 0.25 * (q / F).sum())
            drift = math.sqrt(2.0 / math.pi * BATCH)
            sign = (
                lambda eta: hidim.sign_sgd(eta, basis="generic"),
                ROWS * SIZE * unit / (4 * drift),
            )
            steps = [[_least(problem, *one, target) for target in TARGETS] for one in (svd, sign)]
            ratio = [math.log10(a / b) for a, b in zip(*steps, strict=True)]
            rows.append([alpha, beta, *ratio])
    return rows


def _least(problem: Any, make: Any, scale: float, target: float) -> float:
    """Fewest steps to target times the initial excess, over constant rates.

    At the rate eta the excess stops at 2 (scale eta)^2.
    """
    level = target * problem.initial_risk
    largest = math.sqrt(level / 2.0) / scale

    def steps(log_share: float) -> float:
        eta = largest * math.exp(log_share)
        curve = hidim.predict(problem, make(eta), steps=1e12, batch_size=BATCH, rtol=1e-4)
        below = np.flatnonzero(curve.risk <= level)
        if not below.size or below[0] == 0:
            return math.inf
        i = int(below[0])
        (a, b), (x, y) = np.log(curve.risk[i - 1 : i + 1]), np.log(curve.steps[i - 1 : i + 1] + 1)
        return math.exp(x + (y - x) * (a - math.log(level)) / (a - b))

    tried = [steps(x) for x in np.linspace(-2.5, -0.03, 9)]
    return min(tried)


def report(found: dict[str, Any]) -> Section:
    """Tables and figures."""
    slopes = [(b, f"{b / D:.2g}", f"{x:.3f}", f"{y:.3f}") for b, _, x, y in found["factors"]]
    text = (
        "**From which batch.** d log F / d log λ over the first and the last ten modes of λ = 1/j, "
        f"m = d = {D}: −1/2 is an inverse square root of the covariance, 0 is SGD.\n\n"
        + markdown_table(("batch", "B / d", "first ten", "last ten"), slopes)
    )
    names, steps = [row[0] for row in found["curves"]], found["curves"][0][1]
    cells = [
        (
            f"{t:g}",
            *(
                f"{risk[i]:.4f} ({run[i]:.4f} ± {error[i]:.4f})"
                for _, _, risk, run, error, _ in found["curves"]
            ),
        )
        for i, t in enumerate(steps)
    ]
    cells.append(("limit", *(f"{row[5]:.4f}" if row[5] else "" for row in found["curves"])))
    text += (
        "\n\n**Three algorithms on one matrix**, m = d = 40, λ = 1/j, B = 16, floor 0.5: predicted "
        "risk, and that of 16 runs.\n\n" + markdown_table(("step", *names), cells)
    )
    cells = []
    for alpha in ALPHAS:
        row = [r for r in found["map"] if r[0] == alpha]
        cells.append((f"{alpha:g}", *(f"{r[2]:+.2f}, {r[3]:+.2f}" for r in row)))
    text += (
        "\n\n**Muon or signs?** log₁₀ of t_SVD / t_sign: steps to 10⁻¹ and to 10⁻³ of the initial "
        "excess. Protocol: eigenvalues j^−2α, target j^−β, "
        f"d = {SIZE}, m = {ROWS:,}, B = {BATCH:,}; no label noise; coordinates in no relation to "
        "the modes; each at the best of nine constant rates; linear drift. Below 0 SignSVD is "
        "ahead. The lines follow the protocol; those of the paper were not consulted.\n\n"
        + markdown_table(("α \\ β", *(f"{b:g}" for b in BETAS)), cells)
    )
    figures = {"muon": ("Drift factors of SignSVD by batch", _draw(found))}
    return Section(text, figures)


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        ax = figure.subplots()
        along = 1.0 / np.arange(1.0, D + 1)
        for batch, F, _, _ in found["factors"]:
            ax.plot(along, F, label=f"B / d = {batch / D:.2g}")
        dress(ax, x="eigenvalue λ", y="drift factor F")
        ax.legend(frameon=False, fontsize="x-small")

    return draw
