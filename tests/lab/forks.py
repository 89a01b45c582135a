"""Child processes to kill: forked, which costs no import."""

from __future__ import annotations

import os
import socket
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


def two_processes(function):
    """Run `function` in two forked members of a group, as torchrun would; their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def member(rank):
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
        }
        function()
        torch.distributed.destroy_process_group()

    children = [fork(lambda rank=rank: member(rank)) for rank in range(2)]
    return [os.waitpid(child, 0)[1] for child in children]
