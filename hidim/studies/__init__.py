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
from hidim.studies.ladder import Ladder, run_ladder
from hidim.studies.ladder_exponents import LadderExponents, measure_ladder
from hidim.studies.own_covariance import OwnExponents, own_exponents
from hidim.studies.plane import load_plane, run_plane, save_plane
from hidim.studies.plane_powers import plane_exponents
from hidim.studies.recipes import Recipe

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
    "load_plane",
    "local_slopes",
    "measure_exponent",
    "measure_ladder",
    "own_exponents",
    "plane_exponents",
    "run_ladder",
    "run_plane",
    "saturating_fit",
    "save_plane",
    "time_to_multiple",
]
