"""ADANA under FSDP2 with distributed checkpoints, as torchtitan trains: two processes, gloo.

`python examples/fsdp2.py`. The checkpoint is written by two processes and loaded by one, where the
run goes on as it did.
"""

import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

from hidim.torch import ADANA


def trained(processes: int, folder: Path, steps: range, load: bool) -> list[float]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 33), nn.Tanh(), nn.Linear(33, 1))  # cut unevenly
    mesh = dist.init_device_mesh("cpu", (processes,))
    for layer in (model[0], model[2]):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = ADANA(model.parameters(), lr=3e-3, omega=4.0, t_0=4.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)

    def parts() -> dict:
        weights, state = get_state_dict(model, optimizer)
        return {"model": weights, "optimizer": state, "scheduler": scheduler.state_dict()}

    if load:
        saved = parts()
        dcp.load(saved, checkpoint_id=folder / "checkpoint")
        set_state_dict(
            model, optimizer, model_state_dict=saved["model"], optim_state_dict=saved["optimizer"]
        )
        scheduler.load_state_dict(saved["scheduler"])
    losses = []
    for step in steps:
        if step == 20 and not load:
            dcp.save(parts(), checkpoint_id=folder / "checkpoint")
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(32, 8, generator=generator)
        loss = (model(x) - x[:, :1].sin() - x[:, 1:2]).pow(2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return losses


def process(rank: int, processes: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store-{processes}"), processes)
    dist.init_process_group("gloo", rank=rank, world_size=processes, store=store)
    losses = trained(processes, folder, range(20 if processes == 1 else 0, 40), processes == 1)
    if rank == 0:
        torch.save(losses, folder / f"losses-{processes}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for processes in (2, 1):
            torch.multiprocessing.spawn(process, (processes, folder), processes)
        two, one = (torch.load(folder / f"losses-{n}.pt") for n in (2, 1))
    torch.testing.assert_close(one, two[20:], rtol=1e-5, atol=0.0)
    print(f"loss {two[0]:.3f} -> {two[-1]:.3f}, and on one process {one[-1]:.3f}")
