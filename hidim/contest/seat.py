"""Where does a method sit? In a fresh process that holds the weights and nothing else.

    python -m hidim.contest.seat DESCRIPTOR

starts with torch and the optimizers loaded and forks one process for each run, so nothing outlives
a run: no class attribute, no cache. A seat shares two arrays with the harness, weights and
gradients, and asks for every gradient over a pipe; model, batches and held-out data are in the
harness's process (host.py), which counts. Lines of JSON both ways:

    harness: {"place": ..., "version": ..., ...}   {"loss": 2.3}   {"stop": "OverBudget"}
    seat:    {"seated": true}   {"ask": true}   {"done": true}   {"refused": "Idle", "reason": ...}
             {"ready": true}, {"exit": 0, "seconds": 1.2} from the process that forks, over a
             pipe of its own
Limits: needs a system with fork, Linux or macOS.
"""

from __future__ import annotations

import gc
import importlib
import json
import linecache
import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import nn

from hidim.contest.entries import Method, Weight, check_version, load, methods_in
from hidim.contest.guard import watch
from hidim.contest.spaces import plain


class Line:
    """One line at a time over two descriptors, nothing read ahead: a fork inherits it."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self.descriptor = read, write

    def tell(self, **message: Any) -> None:
        """Send a message; the process ends where nobody is there any more."""
        try:
            os.write(self.descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            os._exit(1)

    def hear(self) -> dict[str, Any]:
        """The next message; the process ends where nobody is there any more."""
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._read, 1 if line else 4096)
            if not part:
                os._exit(0)
            line += part
        heard: dict[str, Any] = json.loads(line)
        return heard

    def refuse(self, kind: str, reason: str) -> NoReturn:
        """Say why, and end."""
        self.tell(refused=kind, reason=reason)
        os._exit(3)


def rate_factor(schedule: str, warmup: float, t: int, steps: int) -> float:
    """The learning rate at gradient t of `steps` over its peak.

    >>> [rate_factor("linear", 0.2, t, 10) for t in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    rising = max(round(warmup * steps), 1)
    if t < rising:
        return (t + 1) / rising
    left = (steps - t) / max(steps - rising, 1)
    if schedule == "linear":
        return left
    return 0.5 - 0.5 * math.cos(math.pi * left) if schedule == "cosine" else 1.0


def arrays(path: str, shapes: Sequence[Sequence[int]]) -> tuple[list[Any], list[Any]]:
    """Weights and gradients of these shapes in a file that two processes share."""
    sizes = [math.prod(shape) for shape in shapes]
    places = [0]
    for size in sizes:
        places.append(places[-1] + -(-size // 16) * 16)  # each begins on a line of the cache
    whole = torch.from_file(path, shared=True, size=2 * places[-1], dtype=torch.float32)
    found = [
        [whole[start + p : start + p + size].view(list(shape))
         for p, size, shape in zip(places, sizes, shapes, strict=False)]
        for start in (0, places[-1])
    ]  # fmt: skip
    return found[0], found[1]


def sit(job: dict[str, Any], line: Line) -> None:
    """One run, from building the optimizer to its last step."""
    torch.manual_seed(job["seed"])
    values, grads = arrays(job["path"], job["shapes"])
    weights = []
    for name, kind, value, grad in zip(job["names"], job["kinds"], values, grads, strict=True):
        parameter = nn.Parameter(value)
        parameter.grad = grad
        weights.append(Weight(name, kind, parameter))
    line.tell(seated=True)
    linecache.updatecache = lambda *args: []  # torch notes stacks, for which files are read
    try:
        check_version(job["place"], job["version"])
    except (ValueError, OSError) as error:
        line.refuse("Broken", str(error))
    watch(line.descriptor, job["place"].rpartition(":")[0])
    method: Method = load(job["place"])
    try:
        optimizer = method.build(weights, job["values"], job["steps"])
        _steps(method, optimizer, weights, grads, job["steps"], line)
        getattr(optimizer, "finish", lambda: None)()
    except Exception as error:
        line.refuse("Broken", " ".join(f"{type(error).__name__}: {error}".split()))
    for weight, value in zip(weights, values, strict=True):
        if weight.parameter.data_ptr() != value.data_ptr() or weight.parameter.shape != value.shape:
            line.refuse("WeightsReplaced", weight.name)
    line.tell(done=True)


def _steps(
    method: Method,
    optimizer: Any,
    weights: Sequence[Weight],
    grads: Sequence[Any],
    steps: int,
    line: Line,
) -> None:
    groups = [(group, float(group["lr"])) for group in getattr(optimizer, "param_groups", [])]
    asked = 0

    def ask() -> float:
        nonlocal asked
        factor = rate_factor(method.schedule, method.warmup, asked, steps)
        for group, peak in groups:
            group["lr"] = peak * factor
        line.tell(ask=True)
        answer = line.hear()
        if "stop" in answer:  # diverged, or refused: the harness has said all
            os._exit(0)
        asked += 1
        for weight, grad in zip(weights, grads, strict=True):
            weight.parameter.grad = grad
        return float(answer["loss"])

    step: Callable[..., Any] = optimizer.step
    while asked < steps:
        before = asked
        if method.asks:
            step(ask)
            if asked == before:
                line.refuse("Idle", "a step without a gradient")
        else:
            ask()
            step()


def declare(path: str, version: str, line: Line) -> None:
    """Say which methods a file holds, and what they tune: no other process executes it."""
    check_version(f"{path}:", version)
    watch(line.descriptor, path)
    try:
        found = methods_in(path)
        told = {attribute: [m.name, plain(m.space)] for attribute, m in found.items()}
        json.dumps(told)
    except Exception as error:
        line.refuse("Broken", " ".join(str(error).split()) or type(error).__name__)
    line.tell(declared=told)


def serve() -> None:
    """Fork a process for every job that comes, until nobody sends one."""
    import signal

    fork, wait = (getattr(os, name) for name in ("fork", "wait4"))  # asked for by `Seats`
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to answer
    line = Line(os.dup(0), os.dup(1))
    own = Line(-1, int(sys.argv[1]))  # no method has it: who has left is not a method's to say
    os.dup2(2, 1)  # what a method prints is no message
    os.close(0)
    os.open(os.devnull, os.O_RDONLY)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    _warm()
    gc.collect()
    gc.freeze()  # or every fork copies the pages that its collector visits
    own.tell(ready=True)
    while True:
        job = line.hear()
        if not {"place", "declare"} & job.keys():  # an answer to one who has left
            continue
        child = fork()
        if child == 0:
            os.close(own.descriptor)
            _limit()
            sit(job, line) if "place" in job else declare(job["declare"], job["version"], line)
            os._exit(0)
        _, status, used = wait(child, 0)
        own.tell(exit=os.waitstatus_to_exitcode(status), seconds=used.ru_utime + used.ru_stime)


def _limit() -> None:
    """A method that hangs is ended even if the harness was killed, and no file can grow."""
    resource: Any = importlib.import_module("resource")  # where there is fork, there is this
    silent = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(silent, number)
    resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _warm() -> None:
    """Load what optimizers load in their first step: afterwards no file may be opened."""
    import hidim.lab.training.muon  # of the lab this alone, before its name is refused
    import hidim.torch

    for kind in (hidim.torch.DANADecaying, hidim.torch.ADANA, torch.optim.AdamW, torch.optim.SGD):
        parameter = nn.Parameter(torch.zeros(2, 2))
        parameter.grad = torch.ones(2, 2)
        kind([parameter], lr=0.1).step()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    serve()
