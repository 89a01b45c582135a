"""Which TensorBoard folders are one run whose tags were written apart?

`add_scalars("loss", {"train": ..., "val": ...})` of torch writes a folder for each name, loss_train
and loss_val beside the run's own events, and the tag in all of them is "loss". Such a folder is the
tag, a slash of which became "_", and a name.
Limits: folders that only look so, one tag each and named after it, are read as parts of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hidim.fitting.logs.tensorboard import tags_of


def runs_of(events: Sequence[Path]) -> dict[Path, dict[Path, str]]:
    """Folder of each run to its event files, with what the tag of a file is called, or "".

    Args:
        events: event files, of several folders.
    """
    folders = sorted({event.parent for event in events})
    out: dict[Path, dict[Path, str]] = {}
    for folder in folders:
        files = [event for event in events if event.parent == folder]
        tag = _split_tag(folder, files)
        for file in files:
            out.setdefault(folder.parent if tag else folder, {})[file] = tag
    return out


def _split_tag(folder: Path, files: Sequence[Path]) -> str:
    """What the only tag of a folder is to be called, "train/loss", or "" where it is a run."""
    tags = {tag for file in files for tag in tags_of(file)}
    if len(tags) != 1:
        return ""
    tag = tags.pop()
    stem = tag.replace("/", "_")
    name = folder.name.removeprefix(f"{stem}_")
    return f"{name}/{tag}" if folder.name.startswith(f"{stem}_") and name else ""
