"""`import hidim.optax` says in one line what to install, and the core never needs it."""

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["jax", "optax"])
def test_a_missing_package_is_named_in_one_line(missing: str) -> None:
    pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
    code = f"import sys; sys.modules[{missing!r}] = None\ntry:\n    import hidim.optax\n"
    done = run(code + "except ImportError as error:\n    print(error)")
    assert done.stdout == f"{missing} is needed for this: pip install 'hidim[optax]'\n"


def test_the_core_does_not_import_jax() -> None:
    done = run("import sys, hidim; hidim.dana_decaying; assert 'jax' not in sys.modules")
    assert done.returncode == 0, done.stderr
