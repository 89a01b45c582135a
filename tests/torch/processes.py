"""How does a process end that had tensors on a device mesh?"""

import os
import sys

import torch.distributed as dist


def leave() -> None:
    """Destroy the process group and end the process at once, with code 0.

    torch's caches keep a mesh, and so gloo's threads, beyond `destroy_process_group`; a thread that
    lets go of its last tensor while the interpreter is taken down aborts the process ("terminate
    called without an active exception", once in ten runs of two seconds; torch 2.13).
    """
    dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
