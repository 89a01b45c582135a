"""From measured runs to laws: what comes next, how sure, and what to run."""

from hidim.fitting.fit import fit
from hidim.fitting.law import FittedLaw
from hidim.fitting.readers import read_run
from hidim.fitting.runs import Run

__all__ = ["FittedLaw", "Run", "fit", "read_run"]
