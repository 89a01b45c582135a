"""From measured runs to laws: what comes next, how sure, and what to run.

>>> sorted(LAWS)
['fsl', 'fsl-7', 'intrinsic-time', 'mpl', 'mtl', 'step']
>>> sorted(FORMS)
['broken', 'chinchilla', 'power', 'saturating']
"""

from hidim.fitting.approaches import OptimalSize, envelope, isoflop
from hidim.fitting.best_schedule import PlannedSchedule, best_schedule
from hidim.fitting.fit import fit
from hidim.fitting.law import FittedLaw
from hidim.fitting.readers import read_run
from hidim.fitting.runs import Run
from hidim.fitting.schedule_laws import LAWS
from hidim.fitting.size_fit import fit_sizes
from hidim.fitting.size_forms import FORMS
from hidim.fitting.size_law import SizeLaw
from hidim.fitting.size_tables import SizeTable, read_sizes

__all__ = [
    "FORMS",
    "LAWS",
    "FittedLaw",
    "OptimalSize",
    "PlannedSchedule",
    "Run",
    "SizeLaw",
    "SizeTable",
    "best_schedule",
    "envelope",
    "fit",
    "fit_sizes",
    "isoflop",
    "read_run",
    "read_sizes",
]
