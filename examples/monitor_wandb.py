"""What ADANA does, in Weights & Biases: `python examples/monitor_wandb.py` after
`pip install wandb`.

Offline, so that it needs neither account nor network: the run is in `wandb/`, for `wandb sync`.
Every 20 updates, between `step` and `zero_grad`; nothing is measured in the updates between. Biases
are group_1.
"""

import torch
import wandb

from hidim.torch import ADANA, monitor, param_groups

STEPS, EVERY = 200, 20
torch.manual_seed(0)
x = torch.randn(512, 8)
y = x[:, :1].sin() + x[:, 1:2]
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = ADANA(param_groups(model, weight_decay=0.1), lr=3e-3)
with wandb.init(project="hidim", mode="offline") as run:
    for step in range(1, STEPS + 1):
        batch = torch.randint(len(x), (32,))
        loss = (model(x[batch]) - y[batch]).pow(2).mean()
        loss.backward()
        optimizer.step()
        if step % EVERY == 0:
            run.log({"loss": loss.item(), **monitor(optimizer)}, step=step)
            print(f"step {step:4d}  loss {loss.item():.3f}")
        optimizer.zero_grad()
