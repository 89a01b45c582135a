"""What a shell or a notebook shows of a result: one short line, with the numbers one looks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hidim.fitting import Run, best_schedule, fit, fit_joint, fit_sizes, plan_budget, so_far
from hidim.fitting.sizes.approaches import isoflop
from hidim.fitting.sizes.size_table import SizeTable
from tests.fitting.conftest import STEPS

Maker = Callable[..., Run]
SHAPES = ("cosine", "constant", "stage")


def test_results_are_told_in_a_line(synthetic: Maker) -> None:
    runs = [synthetic(name, seed=i, steps=STEPS[::8]) for i, name in enumerate(SHAPES)]
    law = fit(runs)
    plan = best_schedule(law, 24_000)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    table = SizeTable((n, d), 1.8 + 480 * n**-0.34 + 2100 * d**-0.37)
    size, c = (x.ravel() for x in np.meshgrid(np.geomspace(1e8, 1e11, 13), [1e20, 1e21, 1e22]))
    by_size = 1.8 + 480 * size**-0.34 + 2100 * (c / 6 / size) ** -0.37
    larger = [Run(r.steps, r.lr, 0.95 * r.measured(), 1000.0, f"{r.label} 2") for r in runs]
    joint = fit_joint([*runs, *larger], [1e8] * 3 + [2e8] * 3, tokens_per_step=5e5)
    told = {
        "Run(cosine, 23 rows to step 23,528, rate at most 0.0003, loss 4.": runs[0],
        "FittedLaw(fsl, 3 run(s) to step 23,528, left out 0.0": law,
        "PlannedSchedule(24,000 steps, rate 0.0003 to ": plan,
        "SoFar(go on: inside its band; 2.": so_far(law, runs[0].until(12_000), runs[0]),
        "SizeTable(36 runs, 1e+07 to 1e+09 by 1e+09 to 1e+11)": table,
        "SizeLaw(chinchilla: floor 1.8, scale_params 4": fit_sizes(table, bootstrap=8),
        "OptimalSize(flops^0.5": isoflop(size, c, by_size, bootstrap=0),
        "JointLaw(fsl, 6 runs of 1e+08 to 2e+08 parameters, left out ": joint,
        "JointPlan(1e+19 flops: ": plan_budget(joint, 1e19),
    }
    for start, result in told.items():
        assert repr(result).startswith(start), repr(result)
        assert "\n" not in repr(result)
        assert len(repr(result)) < 200, repr(result)
