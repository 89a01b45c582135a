"""What is a method, what is a task, and where are they found?

Each is one file with a `Method` or a `Task` at its top level. Built-in ones stand in
methods/__init__.py and tasks/__init__.py, a line each; others come as entry points in the groups
"hidim.contest.methods" and "hidim.contest.tasks", or as a file on the command line.
A reference, "module:NAME" or "/path/file.py:NAME", is all that other processes are told.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Protocol

from hidim.contest.refusals import KINDS, Broken
from hidim.contest.seats import PATIENCE, seats_here
from hidim.contest.spaces import Range, from_plain, points
from hidim.support.checks import choice, positive, whole

SCHEDULES = ("linear", "cosine", "constant")
# A larger file could hold weights that were trained elsewhere.
_LARGEST_FILE = 64_000


@dataclass(frozen=True, eq=False)
class Weight:
    """What a method learns of a parameter.

    Attributes:
        name: in the model.
        kind: "matrix", "embedding", "output" or "vector" (biases, norms, scalars).
        parameter: the torch Parameter itself, its `grad` filled before each step; to be changed
            in place.
    """

    name: str
    kind: str
    parameter: Any


@dataclass(frozen=True, eq=False)
class Method:
    """An optimizer with its declared space.

    Attributes:
        name: in tables.
        space: what is tuned, a range for each name, centred on the published defaults.
        build: (weights, values, steps) to an optimizer: an object with `step()`, and if the
            schedule is to act, `param_groups` with "lr" like torch's. `finish()`, if there is one,
            is called after the last step (averages become the weights there).
        schedule: of the learning rate after the warm-up: "linear" or "cosine" to zero, "constant".
        warmup: share of the steps in which the rate rises linearly.
        asks: whether it asks for gradients itself: then `step(ask)` is called, `ask()` fills the
            gradients from a fresh batch, returns its loss and is counted.
        source: where it was published.
        revision: raised whenever its numbers change.

    Raises:
        ValueError: an argument outside its range, naming it.
    """

    name: str
    space: Mapping[str, Range]
    build: Callable[[Sequence[Weight], Mapping[str, Any], int], Any]
    schedule: str = "linear"
    warmup: float = 0.05
    asks: bool = False
    source: str = ""
    revision: int = 1

    def __post_init__(self) -> None:
        choice("schedule", self.schedule, SCHEDULES)
        if not 0 <= self.warmup < 1:
            raise ValueError(f"`warmup` must be a share from 0 to below 1, got {self.warmup}.")
        points(self.space, 12)


class Setting(Protocol):
    """A task's data, loaded: what the harness asks of it."""

    fingerprint: str  # changes with any number of the data
    tokens: int  # tokens, rows or images in a gradient

    def model(self) -> Any:
        """A fresh torch module; torch's generator is seeded."""
        ...

    def loss(self, model: Any, generator: Any) -> Any:
        """The training loss on a batch that is drawn with the generator, a scalar tensor."""
        ...

    def value(self, model: Any) -> float:
        """What is compared, on held-out data; lower is better, and positive."""
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned, for how long.

    Attributes:
        name: in tables.
        title: one line.
        steps: gradients at length 1.
        load: its data, once in every process.
        seconds: CPU time of a run of length 1, for plans.
        output: names of parameters in the last layer, which methods may treat apart.
        revision: raised whenever its numbers change.

    Raises:
        ValueError: an argument outside its range, naming it.
    """

    name: str
    title: str
    steps: int
    load: Callable[[], Setting]
    seconds: float = 5.0
    output: tuple[str, ...] = ()
    revision: int = 1

    def __post_init__(self) -> None:
        whole("steps", self.steps, minimum=1)
        positive("seconds", self.seconds)


@dataclass(frozen=True)
class Reference:
    """Where a method or a task is found.

    Attributes:
        name: in tables.
        place: "module:NAME" or "/path/file.py:NAME".
        version: changes with what it does: its revision, or a hash of its file.
        declared: the space of a method whose file only its own process executes.
    """

    name: str
    place: str
    version: str
    declared: Mapping[str, Range] | None = field(default=None, compare=False)

    @property
    def space(self) -> Mapping[str, Range]:
        """What a method tunes; of one that came as a file, as its own process declared it."""
        found: Mapping[str, Range] = self.entry.space if self.declared is None else self.declared
        return found

    @property
    def entry(self) -> Any:
        """The `Method` or `Task` itself."""
        check_version(self.place, self.version)
        return load(self.place)


@dataclass(frozen=True)
class Table:
    """The built-in entries of a kind, and how others are found.

    Attributes:
        kind: "method" or "task".
        cls: its class.
        places: name to "module:NAME".
        added: references that came as files.
    """

    kind: str
    cls: type[Any]
    places: Mapping[str, str]
    added: dict[str, Reference] = field(default_factory=dict)

    def add_file(self, path: str) -> list[Reference]:
        """The entries of a file; that of a method is executed in a seat, never here.

        Raises:
            ValueError: it cannot be loaded, holds none, is too large to be only code, or has the
                name of a built-in one.
        """
        file = Path(path).resolve()
        if not file.is_file():
            raise ValueError(f"`{self.kind}` {path!r} is no file.")
        content = file.read_bytes()
        if len(content) > _LARGEST_FILE:
            raise ValueError(f"`{self.kind}` {path!r} has more than {_LARGEST_FILE} bytes.")
        version = version_of(content)
        if self.cls is Method:
            found = [
                Reference(str(name), f"{file}:{attribute}", version, from_plain(space))
                for attribute, (name, space) in declared_by(str(file), version).items()
            ]
        else:
            found = [
                Reference(value.name, f"{file}:{name}", version)
                for name, value in _of_file(str(file), self.cls).items()
            ]
        for one in found:
            if one.name in self.places:
                raise ValueError(
                    f"{self.kind} {one.name!r} of {path!r} has a built-in one's name: rename it."
                )
        self.added.update({one.name: one for one in found})
        return found

    def names(self) -> list[str]:
        """All that are known, in order."""
        return list({**self.places, **self.added, **self._outside()})

    def find(self, name: str) -> Reference:
        """The reference of that name.

        Raises:
            ValueError: there is none.
        """
        choice(self.kind, name, self.names())
        if name in self.added:
            return self.added[name]
        place = self.places.get(name) or self._outside()[name]
        entry = load(place)
        return Reference(name, place, f"r{entry.revision}")

    def _outside(self) -> dict[str, str]:
        from importlib.metadata import entry_points

        group = entry_points(group=f"hidim.contest.{self.kind}s")
        return {point.name: point.value for point in group}


def declared_by(path: str, version: str) -> dict[str, Any]:
    """Name and space of every method in a file, by its attribute.

    Raises:
        Refused: it cannot be loaded, holds none, or leaves the rules as it is loaded.
    """
    seats = seats_here()
    seats.tell(declare=path, version=version)
    found: dict[str, Any] | None = None
    while "exit" not in (heard := seats.hear(PATIENCE)):
        if "refused" in heard:
            found = {"": heard}
        elif "declared" in heard:
            found = dict(heard["declared"])
    if not found or "" in found:
        told = found[""] if found else {"reason": "its process ended"}
        kind = KINDS.get(str(told.get("refused")), Broken)
        raise kind(f"the file of methods {path!r}: {str(told['reason'])[:300]}")
    return found


def methods_in(path: str) -> dict[str, Method]:
    """The methods at the top level of a file, executed here."""
    return _of_file(path, Method)


def _of_file(path: str, cls: type[Any]) -> dict[str, Any]:
    found = {k: v for k, v in vars(_file_module(path)).items() if isinstance(v, cls)}
    if not found:
        raise ValueError(
            f"{path!r} holds no {cls.__name__}: write NAME = {cls.__name__}(...) at its top level."
        )
    return found


def load(place: str) -> Any:
    """The object behind a reference.

    Raises:
        ValueError: it cannot be loaded, in one line.
    """
    module, _, name = place.rpartition(":")
    found = _file_module(module) if module.endswith(".py") else importlib.import_module(module)
    return getattr(found, name)


def check_version(place: str, version: str) -> None:
    """Read the file of a reference, once in a process, and see that it is the one meant.

    Raises:
        ValueError: it has changed since the contest began.
    """
    path = place.rpartition(":")[0]
    if path.endswith(".py") and version_of(_content(path)) != version:
        raise ValueError(f"{path!r} has changed since the contest began: begin it again.")


def version_of(content: bytes) -> str:
    """What tells files of methods and tasks apart."""
    return f"sha256:{hashlib.sha256(content).hexdigest()[:12]}"


@cache
def _content(path: str) -> bytes:
    return Path(path).read_bytes()


@cache
def _file_module(path: str) -> Any:
    name = f"hidim_contest_{hashlib.sha256(path.encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # as its dataclasses expect
    try:
        # What was hashed, and no compiled copy of something else beside it.
        exec(compile(_content(path), path, "exec"), vars(module))
    except Exception as error:  # whatever the file does wrong
        del sys.modules[name]
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot load {path!r}: {said}") from None
    return module
