"""What curves show: frontiers, isoFLOP profiles, slopes, crossings, saturation levels, tails.

One instrument of each kind, over Curves and over plain arrays; each says in its module which
window it reads, and returns its error and what another window would have said.
"""

from hidim.measure.crossings import (
    Crossing,
    Standing,
    first_crossing,
    settling_time,
    standings,
    time_to_level,
    time_to_multiple,
)
from hidim.measure.envelopes import MeasuredFrontier, envelope, isoflop, lowest
from hidim.measure.frontiers import frontier
from hidim.measure.saturation import SaturatingFit, saturating_fit, shared_saturation
from hidim.measure.slopes import Exponent, local_slopes, measure_exponent
from hidim.measure.tails import Tail, tail

__all__ = [
    "Crossing",
    "Exponent",
    "MeasuredFrontier",
    "SaturatingFit",
    "Standing",
    "Tail",
    "envelope",
    "first_crossing",
    "frontier",
    "isoflop",
    "local_slopes",
    "lowest",
    "measure_exponent",
    "saturating_fit",
    "settling_time",
    "shared_saturation",
    "standings",
    "tail",
    "time_to_level",
    "time_to_multiple",
]
