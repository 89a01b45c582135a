"""optax's own common test for contributed optimizers, run on every transformation of hidim.

It is read from the installed optax and given our table in place of its own: extra arguments, no
recompilation, convergence on parabolas and Rosenbrock's function in 30,000 steps,
inject_hyperparams, dtypes of updates and state from float16 to float64, MultiSteps, schedules.
"""

import ast
import re
import sys
import types
import unittest
import warnings
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")
pytest.importorskip("absl.testing", reason="absl-py, which optax's common test needs, is missing")

from optax import contrib  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402

SOURCE = Path(contrib.__file__).with_name("_common_test.py")
if not SOURCE.exists():
    pytest.skip("this optax ships without contrib/_common_test.py", allow_module_level=True)


def predicted(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """A hidim.Momentum as a transformation."""
    return hx.from_algorithm(hidim.dana_decaying(1.0, 1.0, 0.85, 8.0), learning_rate)


def decayed_sgd(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """sgd with log-time decay, weak enough not to move the optimum by more than the tolerance."""
    return optax.chain(optax.sgd(learning_rate), hx.log_time_weight_decay(omega=0.05))


def projected_sgd(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """sgd on a sphere; the targets lie elsewhere, so convergence is not asked of it."""
    return hx.normalize_and_project(optax.sgd(learning_rate))


RATE = {"learning_rate": 1e-3}
DECAY = {"weight_decay": 1e-4, "omega": 1e-3, "peak_lr": 1e-3}
OPTIMIZERS = {
    "dana_decaying": (hx.dana_decaying, RATE),
    "dana_constant": (hx.dana_constant, RATE),
    "general_momentum": (hx.general_momentum, {**RATE, "gamma_3": 0.5, "forgetting": 0.1}),
    "accelerated_sgd": (hx.accelerated_sgd, {"learning_rate": 3e-4}),
    "from_algorithm": (predicted, RATE),
    "adana": (hx.adana, RATE),
    "dana_mk4": (hx.dana_mk4, RATE),
    "dana_star": (hx.dana_star, RATE),
    "dana_star_mk4": (
        hx.dana_star_mk4,
        {**RATE, "weight_decay": 1e-4, "omega": 1e-3, "peak_lr": 1e-3},
    ),
    "log_time_ademamix": (hx.log_time_ademamix, RATE),
    # The sign never shrinks, so its rate must: it would circle the curved valley for ever.
    "sign_sgd": (hx.sign_sgd, {"learning_rate": optax.linear_schedule(2e-3, 0.0, 30_000)}),
    # Diverges by nature; everything but convergence holds.
    "stochastic_nesterov": (hx.stochastic_nesterov, RATE),
    "decayed_sgd": (decayed_sgd, RATE),
    "projected_sgd": (projected_sgd, RATE),
}
NOT_CONVERGING = ("stochastic_nesterov", "projected_sgd")
CONVERGENCE = re.compile(r"test_optimizers\d+")  # absl numbers the targets
# Every dtype compiles everything again: the fast run is in float32.
OTHER_DTYPE = re.compile(r"float16|float64")


@pytest.mark.parametrize(
    ("name", "everything"),
    [
        ("dana_decaying", False),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in OPTIMIZERS),
    ],
)
def test_passes_the_common_test_of_optax(
    name: str, everything: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory, arguments = OPTIMIZERS[name]
    case = {"opt_name": f"hidim_{name}", "opt_kwargs": arguments}
    monkeypatch.setattr(contrib, case["opt_name"], factory, raising=False)
    module = common_test_with((case | {"wrapper_name": None, "wrapper_kwargs": None},))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    suite = unittest.TestSuite(
        test
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(module.ContribTest)
        if (name not in NOT_CONVERGING or not CONVERGENCE.search(test.id()))
        and (everything or not OTHER_DTYPE.search(test.id()))
    )
    result = unittest.TestResult()
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # upstream's test file is not ours to keep warning-free
        suite.run(result)
    assert result.testsRun >= 10
    assert not result.skipped
    assert not result.failures + result.errors, (result.failures + result.errors)[0][1]


def common_test_with(table: tuple[dict, ...]) -> types.ModuleType:
    """optax's test module with `table` put in place of its tables just before its class."""
    tree = ast.parse(SOURCE.read_text())
    at = next(i for i, node in enumerate(tree.body) if isinstance(node, ast.ClassDef))
    tree.body[at:at] = ast.parse(
        "_ALL_OPTIMIZERS_UNDER_TEST = _MAIN_OPTIMIZERS_UNDER_TEST = TABLE"
    ).body
    module = types.ModuleType("optax_common_test_on_hidim")
    module.TABLE = table  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module  # absl names the generated tests after their module
    exec(compile(tree, str(SOURCE), "exec"), module.__dict__)
    return module
