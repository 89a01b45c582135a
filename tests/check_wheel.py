"""Does the built wheel install into an empty environment without extras, and predict there?

Run by `make test`: builds the wheel, makes a bare virtual environment, installs the wheel alone,
and uses it from an empty folder. Exits nonzero, with the output, on the first step that fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PREDICT = "predict --alpha 1 --beta 0.7 --d 100 --algorithm sgd --steps 1e4 --at 0,1e4 --json"


def run(*command: str | Path, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command away from the source tree; show everything and stop if it surprises."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    if done.returncode != expect:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hidim-wheel-") as name:
        folder = Path(name)
        build = ("build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
        run(sys.executable, "-m", *build, cwd=folder)
        (wheel,) = folder.glob("*.whl")

        names = zipfile.ZipFile(wheel).namelist()
        for room in ("hidim/torch/_machine", "hidim/compiled"):
            compiled = any(f"{room}/built/" in name for name in names)
            if compiled != any(map(shutil.which, ("g++", "clang++", "c++"))):
                sys.exit(f"{wheel.name}: {room} should have its library if there is a compiler")

        venv.create(folder / "empty", with_pip=True)
        binaries = folder / "empty" / ("Scripts" if os.name == "nt" else "bin")
        pins = ROOT / "constraints.txt"
        install = ("pip", "install", "--quiet", "--disable-pip-version-check", "-c", pins, wheel)
        run(binaries / "python", "-m", *install, cwd=folder)

        away = folder / "away"
        away.mkdir()
        if compiled:
            loads = "from hidim.compiled.library import library; assert library() is not None"
            run(binaries / "python", "-c", loads, cwd=away)
        answer = json.loads(run(binaries / "hidim", *PREDICT.split(), cwd=away).stdout)
        first, last = answer["risk"]
        if answer["status"] != "ok" or not 0 < last < first:
            sys.exit(f"the installed wheel predicts {answer}")

        plot = run(binaries / "hidim", *PREDICT.split(), "--plot", "x.png", cwd=away, expect=2)
        if "hidim[plots]" not in plot.stderr or len(plot.stderr.splitlines()) != 1:
            sys.exit(f"a missing extra should be named in one line, got:\n{plot.stderr}")
        if list(away.iterdir()):
            sys.exit(f"files were left behind: {list(away.iterdir())}")
    print(f"wheel: {wheel.name} installs alone, predicts, and names a missing extra")


if __name__ == "__main__":
    main()
