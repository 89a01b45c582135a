"""What is measured on many exact curves: ladders of size, frontiers, exponents, whole planes."""

from hidim.measure import (
    Exponent,
    MeasuredFrontier,
    SaturatingFit,
    envelope,
    isoflop,
    local_slopes,
    measure_exponent,
    saturating_fit,
    time_to_multiple,
)
from hidim.studies.ladder import Ladder, Recipe, run_ladder
from hidim.studies.ladder_exponents import LadderExponents, measure_ladder
from hidim.studies.own_covariance import OwnExponents, own_exponents

__all__ = [
    "Exponent",
    "Ladder",
    "LadderExponents",
    "MeasuredFrontier",
    "OwnExponents",
    "Recipe",
    "SaturatingFit",
    "envelope",
    "isoflop",
    "local_slopes",
    "measure_exponent",
    "measure_ladder",
    "own_exponents",
    "run_ladder",
    "saturating_fit",
    "time_to_multiple",
]
