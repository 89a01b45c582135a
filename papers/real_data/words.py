"""The prose of docs/real-data.md; its numbers are filled in from what is stored."""

from __future__ import annotations

from typing import Any

TITLE = """# Real data

Do predictions on measured rows hold where the rows are real, do the recommended rates, and does
DANA outscale SGD there? `python -m papers.real_data` writes this page from
[predictions](results/real-data-predicted.json) and [runs](results/real-data-runs.json), and
measures again what has changed. All predictions of all sets are stored before the first run
starts. A run draws its rows with replacement from the table, so the population is the table:
nothing here speaks of rows that were not seen. Risks carry the factor ½ and targets have
variance 1, so every run starts at ½. B is the batch; rates are `hidim.recommend(spectrum, name,
B)`, where nothing was chosen by us; the gain is the exact one of [measured
rows](theory/rows.md), the largest over the steps that are run."""


def in_short(facts: dict[str, Any]) -> str:
    """What was found."""
    return "## In short\n\n" + _IN_SHORT.format(**facts)


_IN_SHORT = """\ - {median:.2f} {share:.1f}"""

SETS = """## The sets

Everything ships inside a package; nothing is fetched. Tables of more than 1500 rows are sampled
once, by a fixed seed. *raw* columns are standardised, *centred* ones keep their scale, *poly:3*
are all products of up to three standardised columns, *relu:100* are 100 random ReLU features of
standardised columns and *grey-relu* of grey values as they are; both kinds are centred. Floor is
the risk that the features leave."""

SPECTRA = """## Which power laws, and which phase?

λ_j ~ j^(-2α) and λ_jθ_j² ~ j^(-2α-2β), over the ranks of `hidim.measure.tail`'s own window (the
fiftieth part of the rank, at least 3, to half of it). The range of α is what the two halves of
the window give alone: it is the bend, not a sampling error, and where it is wide there is no
power law. β's is 95 % of Student's t about a line through means over half octaves, taken
together with α's range. *Trivial* is α + β ≤ ½, where the theory has no power of time. The last
column names the phase at every corner of both ranges."""

RUNS = """## Predicted against run

At the rates recommended from the rows: SGD, SGD-M, DANA-constant and DANA-decaying at B = 1 and
16, {runs} runs each, at 10, 30, 100, ... steps up to 10,000 (1,000 for B = 16 on more than 120
modes). Errors are |run / predicted − 1| in percent, median / largest, and hold the Monte Carlo
noise whose size stands beside them. *Covariance* is what `rows=False` predicts at the same
rates."""

GAINS = """## The gain at the rates of the covariance

What `recommend` says of `Spectrum.from_data(X, y, rows=False)`, which takes rows for Gaussian:
its kernel norm is at most ½ in every case. The table has the exact gain of the rows at these
rates, by how much SGD's rate at B = 1 must change, and how many rows carry its gain (1 / Σ
share²) with the one that carries most."""

CONFUSION = """### Which of these runs diverge?

Over 3,000 steps at B = 1 and 1,000 at B = 16: the mean of the runs against what the covariance
predicts at these rates, and the gain, which was known before."""

RACE = """## Does DANA outscale SGD?

Excess risk is what lies above the floor, B = 1, predicted. *Excess* is SGD's over DANA's,
*steps* how many times T SGD needs for the excess that DANA has after T: above 1 DANA is ahead.
Both have the best rate for that horizon of the recommended one and a factor of 4, 16, 64 or 256
below (both rates of DANA by one factor); a star says that the best of one of the two is the
smallest tried. At the recommended rates themselves both end on a plateau that gradient noise
holds up, and the second column has that ratio after 10,000 steps, beside what the runs gave.
*Time's power* is p of T_SGD ~ T_DANA^p between 10³ and 10⁵ steps, *theory* that of
DANA-decaying, 2 − 1/(2α), and 1 below 2α = 1; ∞ says that SGD has not got there by step 10⁸, -
that nothing is left to learn."""

NOT_SHOWN = """## What this does not show

- **Rows that were not seen.** The table is the population; held-out risk is another question.
- **Decaying rates for SGD.** Both have constant γ₂ here; a schedule that lowers SGD's noise
  late, as DANA's smaller γ₂ may, would be another rival.
- **Exponents.** Spectra of some hundred modes have one or two decades between head and end; the
  ranges above say how little of a power law there is."""
