"""The prose of docs/real-data.md; its numbers are filled in from what is stored."""

from __future__ import annotations

import textwrap
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
    points = _IN_SHORT.format(**facts).strip().split("\n- ")
    filled = [_wrapped(f"- {point.removeprefix('- ')}") for point in points]
    return "## In short\n\n" + "\n".join(filled)


def _wrapped(text: str) -> str:
    whole = " ".join(text.split()).replace(" %", "\u00a0%")  # a number keeps its unit
    filled = textwrap.fill(
        whole, 98, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return filled.replace("\u00a0", " ")


_IN_SHORT = """\
- **The predictions hold.** {cases} tables from {sources} sources, {points} points of {runs}
  runs: median error {median:.2f} %, {share:.1f} % within 5 %, worst {worst:.0f} %; one standard
  error of the runs is {noise:.2f} % in the median, and {far:.1f} % of the points lie beyond 3 of
  them. The covariance alone, at the same rates: median {alone:.2f} %, {alone_share:.1f} % within
  5 %.
- **So do the rates, and only those from rows.** No run at the rates recommended from rows rises
  by more than its noise. At the rates that the covariance recommends {above} of {theirs} runs
  have an exact gain of 1 or more, up to {largest_gain:.0f}, and {gone} pass 1000 times their
  start.
- **The gain says which.** Of the {certain} runs with a gain above 1.75, {gone_above} are lost
  within 3,000 steps and the other {certain_rest} rise a hundredfold or more; of the {below}
  below 1 none is lost.
- **DANA-decaying outscales SGD for a while, by small factors.** At the recommended rates or a
  common factor below, SGD's excess risk over DANA-decaying's is {decaying_best_1e3:.2f},
  {decaying_best_1e4:.2f}, {decaying_best_1e5:.2f} and {decaying_best_1e6:.2f} after 10³, 10⁴,
  10⁵ and 10⁶ steps (medians), and SGD needs {decaying_steps_1e3:.1f}, {decaying_steps_1e4:.1f},
  {decaying_steps_1e5:.1f} and {decaying_steps_1e6:.1f} times the steps. It is more than 10 %
  ahead on {decaying_wins_1e4} of {decaying_of_1e4} sets after 10⁴ steps and on
  {decaying_wins_1e6} after 10⁶, behind on {decaying_loses_1e4} and {decaying_loses_1e6}
  ({decaying_behind_1e6}). DANA-constant: {constant_best_1e4:.2f} and {constant_best_1e6:.2f}
  after 10⁴ and 10⁶, behind on {constant_loses_1e6} by then.
- **It does not last at one ratio of γ₃ to γ₂.** Once what can be learned is learned, the
  momentum's noise holds DANA above SGD: after 10⁸ steps DANA-decaying is behind on
  {decaying_loses_1e8} sets, DANA-constant on {constant_loses_1e8}. (The grid of rates ends
  there: the starred cells.) DANA-decaying is still ahead on {decaying_ahead_1e8}.
- **With the best constant factors for a known horizon,** γ₂ and γ₃ apart, SGD has
  {known_1e4:.2f} times DANA-decaying's excess risk after 10⁴ steps (median;
  {known_1e4_least:.2f} to {known_1e4_most:.2f}) and {known_1e6:.2f} times after 10⁶
  ({known_1e6_least:.2f} to {known_1e6_most:.2f}).
- **SGD with cosine decay is the stronger rival where noise decides:** after 10⁶ steps it has
  {cosine:.2f} times the excess of DANA-decaying with those factors (median; {cosine_least:.2f}
  to {cosine_most:.2f}); DANA is more than 10 % ahead of it on {cosine_wins} sets and behind on
  {cosine_loses}. With cosine decay on both: {both_cosine:.2f}, ahead on {both_cosine_wins},
  behind on {both_cosine_loses}.
- **The power of time is seen, below its limit.** T_SGD ~ T_DANA^p between 10³ and 10⁵ steps: p
  is {power:.2f} in the median of the {powers} sets with 2α > 1, where theory has
  {power_theory:.2f}, and {flat_power:.2f} on the {flat_powers} others, where it has 1; p and
  theory correlate by {power_together:.2f} over all sets. Spectra that bend as these do have no
  one α (heights and anes96 come closest), and most sets cannot be told from α + β ≤ ½, where the
  theory has no power of time at all.
"""

BETWEEN = """Neither lost at a gain of 1 or more nor below 1.5 times at a smaller one; one run of
64 may carry such a mean:"""

KNOWN = """### The best rates for a known horizon

`recommend(spectrum, name, 1, steps=T)` moves γ₂ and γ₃ apart by factors of two, down from the
recommended ones. Excess risk at T, SGD's over DANA-decaying's, and how DANA's rates compare.
Here DANA may shrink γ₃ until it is SGD, so a ratio near 1 says that momentum is worth nothing at
this horizon. *sgd cosine / dana-d* is the excess after 10⁶ steps of SGD with cosine decay to
zero over that of this DANA-decaying, whose γ₂ does not decay; in *both cosine* the whole of DANA
decays as well. With cosine both have the best common factor of two, down from the recommended
rates."""

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
rates.
All runs at one batch draw the same rows, so what noise does to one of the four it does to all:
points beyond a bound come in groups."""

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
- **Schedules.** Cosine is one of many, and its rates start at or below the recommended ones, whose
  gain is at most 0.3 for SGD and 0.5 for DANA.
- **Exponents.** Spectra of some hundred modes have one or two decades between head and end; the
  ranges above say how little of a power law there is."""
