"""What curves show: envelopes over sizes, slopes, crossings, saturation levels."""

from hidim.measure.crossings import time_to_multiple
from hidim.measure.envelopes import MeasuredFrontier, envelope, isoflop
from hidim.measure.saturation import SaturatingFit, saturating_fit
from hidim.measure.slopes import Exponent, local_slopes, measure_exponent

__all__ = [
    "Exponent",
    "MeasuredFrontier",
    "SaturatingFit",
    "envelope",
    "isoflop",
    "local_slopes",
    "measure_exponent",
    "saturating_fit",
    "time_to_multiple",
]
