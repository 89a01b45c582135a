"""DANA in an Accelerate loop with accumulation, clipping and a checkpoint.

`python examples/accelerate_loop.py` or `accelerate launch examples/accelerate_loop.py` after
`pip install accelerate`. t counts updates: not the micro-batches of an accumulation.
"""

import tempfile

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from hidim.torch import DANADecaying

set_seed(0)
accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = DANADecaying(model.parameters(), lr=0.02)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10)
x = torch.randn(256, 8)
data = torch.utils.data.TensorDataset(x, x[:, :1].sin() + x[:, 1:2])
loader = torch.utils.data.DataLoader(data, batch_size=32)
model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)


def epoch() -> float:
    total = 0.0
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            loss = (model(inputs) - targets).pow(2).mean()
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        total += loss.item() / len(loader)
    return total


losses = [epoch() for _ in range(10)]
with tempfile.TemporaryDirectory() as folder:
    accelerator.save_state(folder)
    going_on = epoch()
    accelerator.load_state(folder)
    assert epoch() == going_on  # resumed: the same epoch, bit for bit
(count,) = {int(state["step"]) for state in optimizer.state.values()}
accelerator.print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} after {count} updates")
