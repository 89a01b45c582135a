"""The four shapes of a loss curve, and the terms they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim import predict, scaling_law
from hidim.curve import log_steps
from hidim.plots import dress
from hidim.problems.power_law import spectra_at
from papers.report import Section, markdown_table

TITLE = "The four shapes of a loss curve"
SOURCE = "arXiv 2405.15074 and the slides of 2505.16098: the cartoon of F_pp, F_ac, F_0 and K_pp."

POINTS = {"I": (1.0, 0.3), "II": (1.0, 0.7), "III": (0.7, 1.2), "IV": (0.4, 0.8)}
D = 10_000


def measure() -> dict[str, Any]:
    """Exact SGD curves at d = 10,000 and the law's terms, with constants, at the same steps."""
    found = {}
    for phase, (alpha, beta) in POINTS.items():
        law = scaling_law(alpha, beta, "sgd")
        # At the law's own amplitude, not at the rate that is recommended at this size.
        law = scaling_law(alpha, beta, "sgd", c_2=law.rates.c_2)
        at = log_steps(100 * D**law.floor_time)[1:]
        spectrum = spectra_at(alpha, [beta], D, law.v_over_d)[0]
        exact = predict(spectrum, law.algorithm(D), at=at).risk
        terms = {name: value + 0 * at for name, value in law.term_values(at, D).items()}
        found[phase] = {
            "at": at,
            "exact": exact,
            "law": law.risk(at, D),
            "terms": terms,
            "leading": list(law.terms),
        }
    return found


def report(found: dict[str, Any]) -> Section:
    """Ratios of law to exact curve over the decades in between start and floor."""
    rows = []
    for phase, row in found.items():
        ratio = np.array(row["law"]) / np.array(row["exact"])
        use = np.array(row["at"]) >= 10
        low, high = ratio[use].min(), ratio[use].max()
        rows.append(
            (phase, str(POINTS[phase]), " + ".join(row["leading"]), f"{low:.2f}..{high:.2f}")
        )
    text = (
        "SGD at d = 10,000: the exact curve (black) and the terms of the law with their constants. "
        "No constant is fitted. The law over the exact risk, from step 10 until long after the "
        "floor is reached:\n\n"
    )
    header = ("phase", "(α, β)", "terms", "law / exact")
    return Section(
        text + markdown_table(header, rows), {"curve_shapes": ("Four panels", _draw(found))}
    )


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    colours = {"F_0": "#888888", "F_pp": "#2f5fa8", "F_ac": "#e08a00", "K_pp": "#3c8a3c"}

    def draw(figure: Any) -> None:
        for ax, (phase, row) in zip(figure.subplots(1, 4), found.items(), strict=True):
            for name in row["leading"]:
                ax.plot(row["at"], row["terms"][name], color=colours[name], label=name)
            ax.plot(row["at"], row["exact"], color="black", linewidth=1.2)
            floor = min(row["exact"])
            dress(ax, x="steps", y="risk P" if phase == "I" else "", title=f"phase {phase}")
            ax.set_ylim(floor / 5, 2)
            ax.legend(frameon=False, fontsize="x-small")

    return draw
