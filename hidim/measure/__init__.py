"""What curves show: envelopes over sizes, slopes, crossings, saturation levels."""

from hidim.measure.crossings import Standing, settling_time, standings, time_to_multiple
from hidim.measure.envelopes import MeasuredFrontier, envelope, isoflop
from hidim.measure.saturation import SaturatingFit, saturating_fit
from hidim.measure.slopes import Exponent, local_slopes, measure_exponent

__all__ = [
    "Exponent",
    "MeasuredFrontier",
    "SaturatingFit",
    "Standing",
    "envelope",
    "isoflop",
    "local_slopes",
    "measure_exponent",
    "saturating_fit",
    "settling_time",
    "standings",
    "time_to_multiple",
]
