"""One run: who computes the gradients, and who counts them? The harness, not the method.

The model, its batches and the held-out data are in this process; the method sits in another
(seat.py), which sees the weights and gradients alone, and asks. A gradient more than the run has,
a reach for data, a step without a gradient: refused by name (refusals.py). NaN is no error: the
run has diverged, and its value is infinite.
The same task, method, settings and seed give the same value to the last bit on the same type of
machine: one thread, generators seeded by task, role and index, never by a method's name.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from hidim.contest.entries import Reference, Setting, Task, load
from hidim.contest.refusals import KINDS, Broken, OverBudget, Refused
from hidim.contest.seat import arrays
from hidim.contest.seats import PATIENCE, Seats, leave, seats_here


@dataclass(frozen=True)
class Played:
    """What a run was, as the harness counted it.

    Attributes:
        value: on held-out data after the last step; inf if it diverged.
        status: "ok" or "diverged".
        gradients: how many were computed.
        tokens: tokens, rows or images in them.
        weights: sixteen hexadecimal digits of the last weights.
        data: fingerprint of the task's data.
        seconds: CPU time of harness and method.
    """

    value: float
    status: str
    gradients: int
    tokens: int
    weights: str
    data: str
    seconds: float


@cache
def setting_of(place: str) -> Setting:
    """The data of the task at that place, loaded once in a process."""
    task: Task = load(place)
    return task.load()


def play(
    task: Reference,
    method: Reference,
    values: Mapping[str, Any],
    *,
    steps: int,
    seed: int,
    patience: float = PATIENCE,
) -> Played:
    """Train once and look at the held-out data once.

    Args:
        task: what is learned.
        method: who learns it.
        values: a point of its space.
        steps: gradients.
        seed: of the weights, the batches and the method's own generator.
        patience: seconds that a step may take.

    Raises:
        Refused: the method left the rules; the class says how.
    """
    entry: Task = task.entry
    with torch.random.fork_rng(devices=[]), _one_thread():
        setting = setting_of(task.place)  # once: it counts for no run
        begun = time.process_time()
        torch.manual_seed(seed)
        model = setting.model()
        job = {
            "place": method.place,
            "version": method.version,
            "values": dict(values),
            "steps": steps,
            "seed": int(hashlib.sha256(f"method {seed}".encode()).hexdigest()[:8], 16),
            **_described(model, entry.output),
        }
        try:
            lost, count, used = _train(model, setting, job, seed, patience)
        except Refused as refusal:
            raise type(refusal)(f"method {method.name} on {task.name}: {refusal}") from None
        value = math.inf
        if not lost:
            model.eval()
            with torch.no_grad():
                value = setting.value(model)
    fine = math.isfinite(value)
    return Played(
        value if fine else math.inf,
        "ok" if fine else "diverged",
        count,
        count * setting.tokens,
        _fingerprint(model),
        setting.fingerprint,
        time.process_time() - begun + used,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _described(model: nn.Module, output: Sequence[str]) -> dict[str, Any]:
    tables = {
        id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)
    }
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]

    def kind(name: str, p: nn.Parameter) -> str:
        if p.ndim < 2:
            return "vector"
        return "output" if name in output else "embedding" if id(p) in tables else "matrix"

    return {
        "names": [name for name, _ in named],
        "kinds": [kind(name, p) for name, p in named],
        "shapes": [list(p.shape) for _, p in named],
    }


def _train(
    model: nn.Module, setting: Setting, job: dict[str, Any], seed: int, patience: float
) -> tuple[bool, int, float]:
    """Whether it diverged, gradients, CPU seconds of the seat."""
    seats = seats_here()
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    handle, path = tempfile.mkstemp(prefix="hidim-contest-", dir=shared)
    os.close(handle)
    try:
        _share(model, path, job["shapes"])
        seats.tell(path=path, **job)
        heard = seats.hear(patience)
        os.unlink(path)  # both have it: a harness that is killed leaves nothing behind
        if "seated" not in heard:
            seats.pushed_back(heard)
        return _answer(model, setting, job["steps"], seats, seed, patience)
    except BaseException as error:
        if not (isinstance(error, Refused) and seats.left()):
            leave()  # whatever it still does ends here
        raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _share(model: nn.Module, path: str, shapes: Sequence[Sequence[int]]) -> None:
    """Move weights and gradients into the arrays that the seat sees too."""
    values, grads = arrays(path, shapes)
    learned = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for p, value, grad in zip(learned, values, grads, strict=True):
            value.copy_(p)
            p.data, p.grad = value, grad


def _answer(
    model: nn.Module, setting: Setting, steps: int, seats: Seats, seed: int, patience: float
) -> tuple[bool, int, float]:
    generator = torch.Generator().manual_seed(seed + 1)
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    count, lost, done = 0, False, False
    while True:
        heard = seats.hear(patience)
        if "exit" in heard:
            if not (done or lost):
                seats.pushed_back(heard)
                raise Broken(f"its process ended by itself (exit code {heard['exit']})")
            return lost, count, float(heard["seconds"])
        if "refused" in heard:
            raise KINDS.get(str(heard["refused"]), Broken)(str(heard.get("reason"))[:300])
        if "done" in heard:
            done = True
        elif count == steps or done:
            seats.tell(stop="OverBudget")
            raise OverBudget(f"asked for gradient {count + 1} of {steps}")
        elif not lost:
            torch._foreach_zero_(grads)
            loss = setting.loss(model, generator)
            loss.backward()
            count += 1
            lost = not math.isfinite(loss.item())
            seats.tell(**({"stop": "diverged"} if lost else {"loss": loss.item()}))


def _fingerprint(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for p in model.parameters():
        digest.update(p.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
