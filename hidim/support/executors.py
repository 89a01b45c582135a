"""Which executor is meant by its name? Processes, the workers of a Dask scheduler, jobs of Slurm.

with opened("dask", scheduler="tcp://10.0.0.1:8786") as executor: ...
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hidim.support.checks import choice
from hidim.support.extras import require
from hidim.support.workers import WorkersLost

NAMES = ("processes", "dask", "slurm")
_ANSWER_SECONDS = 10.0


def check_name(name: str, *, scheduler: str | None, folder: object) -> str:
    """A name that `opened` knows, with what it needs.

    Raises:
        ValueError: an unknown name, or what it needs is missing or not its own.
        MissingExtra: the package behind it is not installed.
    """
    choice("executor", name, NAMES)
    if name == "dask" and not scheduler:
        raise ValueError(
            "`scheduler` is missing: with executor=dask give the address that `dask scheduler` "
            "prints, such as scheduler=tcp://10.0.0.1:8786."
        )
    if name != "dask" and scheduler is not None:
        raise ValueError(f"`scheduler` goes with executor=dask, not with {name!r}.")
    if name == "slurm" and folder is None:
        raise ValueError("executor=slurm needs a folder that the jobs see: give out=DIR.")
    if name != "processes":
        require({"dask": "distributed", "slurm": "submitit"}[name], "cluster")
    return name


@contextlib.contextmanager
def opened(
    name: str,
    *,
    scheduler: str | None = None,
    folder: Path | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """The executor of that name while the block lasts, as `run_tasks` takes it.

    Args:
        name: one of `NAMES`.
        scheduler: address of Dask's.
        folder: where Slurm's jobs keep their logs; they must see it.
        parameters: of submitit's executor, such as slurm_partition and timeout_min.

    Raises:
        ValueError: as `check_name`.
        MissingExtra: likewise.
        WorkersLost: nobody answers at the scheduler's address, or there is no Slurm.
    """
    check_name(name, scheduler=scheduler, folder=folder)
    if name == "dask":
        assert scheduler is not None
        with _client(scheduler) as client:
            yield client.get_executor(pure=False)
    elif name == "slurm":
        assert folder is not None
        yield submitting(folder, name, parameters)
    else:
        yield name


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    distributed: Any = require("distributed", "cluster")
    # What it logs of a lost connection comes as our own line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        # A Client that cannot read its address leaves a traceback behind.
        if not address.startswith("inproc://"):
            distributed.comm.get_address_host_port(address)
        client = distributed.Client(address, timeout=_ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        reason = "" if isinstance(error, OSError) else f" ({said})"
        raise WorkersLost(f"no Dask scheduler answers at {address!r}{reason}.") from None
    if not client.nthreads():
        print(f"hidim: waiting for a worker to join {address}", file=sys.stderr)
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):  # where the scheduler has gone
            client.close(timeout=2)


def submitting(folder: Path, cluster: str, parameters: Mapping[str, Any] | None = None) -> Any:
    """submitit's executor with its files in `folder`.

    Args:
        folder: on a disk that the jobs see.
        cluster: "slurm", "local" (processes) or "debug" (here, when a result is asked for).
        parameters: such as slurm_partition and timeout_min.

    Raises:
        MissingExtra: submitit is not installed.
        ValueError: Slurm is not there, or it does not take a parameter.
    """
    submitit: Any = require("submitit", "cluster")
    choice("cluster", cluster, ("slurm", "local", "debug"))
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**(parameters or {}))
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"the jobs cannot be submitted to {cluster}: {said[:300]}") from None
    return executor
