"""Child processes to kill: forked, which costs no import."""

from __future__ import annotations

import os
import warnings

import torch


def fork(function):
    """Run `function` in a child process; returns its process id. Its exit code is 0 or 1."""
    with warnings.catch_warnings():
        # Python warns of forking beside torch's idle threads; the child uses none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)
            function()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return child
