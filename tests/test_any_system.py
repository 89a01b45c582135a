"""Nothing here needs what POSIX systems alone have: neither an import nor a main path."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hidim"

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
# Of os, signal and time: what Windows lacks, by the pages of Python's library.
NAMES = {
    "os": """chown chroot confstr ctermid fchown fdatasync fork forkpty fpathconf fstatvfs getegid
        geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getresgid
        getresuid getsid getuid initgroups killpg lchown lockf mkfifo mknod nice openpty pathconf
        pipe2 posix_fadvise posix_fallocate posix_spawn pread preadv pwrite pwritev register_at_fork
        sched_getaffinity sched_setaffinity sched_yield sendfile setgid setpgid setpgrp setpriority
        setsid setuid statvfs sync sysconf tcgetpgrp ttyname uname wait wait3 wait4 waitid
        O_CLOEXEC O_DIRECTORY O_DSYNC O_NOFOLLOW O_NONBLOCK O_SYNC WIFEXITED WIFSIGNALED
        WEXITSTATUS WNOHANG WTERMSIG""",
    "signal": """SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP
        SIGTTIN SIGTTOU SIGUSR1 SIGUSR2 alarm getitimer pause pthread_kill pthread_sigmask setitimer
        siginterrupt sigpending sigtimedwait sigwait sigwaitinfo""",
    "time": "clock_getres clock_gettime clock_settime tzset",
    "socket": "AF_UNIX",
}
NAMES = {module: frozenset(names.split()) for module, names in NAMES.items()}


def only_posix(path):
    """Modules and names of POSIX alone that a source file reads without asking for them first."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if node.module in MODULES:
                yield node.module
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if alias.name in NAMES.get(node.module, ())
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            if name in NAMES.get(module, ()) and f'hasattr({module}, "{name}")' not in text:
                yield f"{module}.{name}"


def test_no_source_file_reads_what_posix_alone_has():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if names := sorted(set(only_posix(path))):
            found[str(path.relative_to(PACKAGE))] = names
    assert found == {}


# hidim alone is kept from them: other packages have what their own system needs.
GUARD = """
import builtins, importlib, pkgutil, sys, types, warnings

def asked_by_hidim(scope):
    return bool(scope) and str(scope.get("__name__", "")).split(".")[0] == "hidim"

class Elsewhere(types.ModuleType):
    def __init__(self, module, without):
        super().__init__(module.__name__)
        self.__dict__["_module"], self.__dict__["_without"] = module, without
    def __getattr__(self, name):
        if name in self._without:
            raise AttributeError(f"{self.__name__}.{name} is of POSIX alone")
        return getattr(self._module, name)

found = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    module = found(name, globals, locals, fromlist, level)
    if not level and asked_by_hidim(globals):
        if name.split(".")[0] in MODULES:
            raise ModuleNotFoundError(f"{name} is of POSIX alone", name=name)
        if name in NAMES:
            return Elsewhere(module, NAMES[name])
    return module

builtins.__import__ = guarded
# Text without an encoding would be read in another one there.
warnings.filterwarnings("error", category=EncodingWarning, module="hidim")
"""

MAIN_PATHS = """
import hidim
for module in pkgutil.walk_packages(hidim.__path__, "hidim."):
    # Triton comes with torch for GPUs alone.
    if module.name not in ("hidim.__main__", "hidim.torch._machine.gpu_rules"):
        importlib.import_module(module.name)

from hidim.cli.main import main
folder = sys.argv[1]
problem = hidim.PLRF(1.0, 0.7, 20, 80)
algorithm = hidim.sgd(0.1)
curve = hidim.predict(problem, algorithm, steps=100)
curve.save(folder + "/curve.csv")
assert hidim.simulate(problem, algorithm, steps=20, runs=2).status == "ok"
assert hidim.stability(problem, algorithm, steps=20).stable
assert main(["predict", "--alpha", "1", "--beta", ".7", "--d", "50", "--steps", "100"]) == 0

import torch
import hidim.torch
from hidim.lab import Settings, train
from hidim.lab.sweeps.sweep import Sweep, work
from hidim.torch._machine import library
from pathlib import Path
assert len([folder.mkdir(parents=True, exist_ok=True) for folder in library._folders()]) == 2
tiny = Settings(data=folder + "/text.txt", max_mb=0.1, model="transformer", width=16, layers=1,
                context=16, batch_size=4, steps=3, optimizer="dana-decaying", lr=0.1)
Path(tiny.data).write_text("all work and no play " * 2000, encoding="utf-8")
assert train(tiny, folder + "/run").status == "ok"
sweep = Sweep(folder + "/sweep")
sweep.add([tiny, tiny.replace(seed=1)])
assert len(work(sweep).trained) == 2
assert main(["report", folder + "/sweep"]) in (0, 2)
"""


def test_everything_imports_and_the_main_paths_run_without_posix(tmp_path):
    pytest.importorskip("torch")
    script = f"MODULES, NAMES = {MODULES!r}, {NAMES!r}\n" + GUARD + MAIN_PATHS
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
