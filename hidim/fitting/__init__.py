"""From measured runs to laws: what comes next, how sure, and what to run.

>>> sorted(LAWS)
['fsl', 'fsl-7', 'intrinsic-time', 'mpl', 'mtl', 'step']
>>> sorted(FORMS)
['broken', 'chinchilla', 'interaction', 'power', 'saturating', 'tied']
"""

from hidim.fitting.joint.fit import fit_joint
from hidim.fitting.joint.form import Prior
from hidim.fitting.joint.law import JointLaw
from hidim.fitting.joint.planning import plan_budget
from hidim.fitting.logs.readers import read_run, read_runs
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.fit import fit
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.laws import LAWS
from hidim.fitting.schedules.planning import PlannedSchedule, best_schedule
from hidim.fitting.schedules.unfinished import SoFar, so_far
from hidim.fitting.sizes.approaches import OptimalSize, envelope, isoflop
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.forms import FORMS
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.optima import OptimumLaw, fit_optimum
from hidim.fitting.sizes.tables import SizeTable, read_sizes

__all__ = [
    "FORMS",
    "LAWS",
    "FittedLaw",
    "JointLaw",
    "OptimalSize",
    "OptimumLaw",
    "PlannedSchedule",
    "Prior",
    "Run",
    "SizeLaw",
    "SizeTable",
    "SoFar",
    "best_schedule",
    "envelope",
    "fit",
    "fit_joint",
    "fit_optimum",
    "fit_sizes",
    "isoflop",
    "plan_budget",
    "read_run",
    "read_runs",
    "read_sizes",
    "so_far",
]
