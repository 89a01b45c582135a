"""What ADANA does, in TensorBoard: `python examples/monitor_tensorboard.py` after
`pip install tensorboard`, then `tensorboard --logdir runs`.

Every 20 updates, between `step` and `zero_grad`; nothing is measured in the updates between. Biases
are group_1.
"""

import torch
from torch.utils.tensorboard import SummaryWriter

from hidim.torch import ADANA, monitor, param_groups

STEPS, EVERY = 200, 20
torch.manual_seed(0)
x = torch.randn(512, 8)
y = x[:, :1].sin() + x[:, 1:2]
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = ADANA(param_groups(model, weight_decay=0.1), lr=3e-3)
with SummaryWriter("runs") as writer:
    for step in range(1, STEPS + 1):
        batch = torch.randint(len(x), (32,))
        loss = (model(x[batch]) - y[batch]).pow(2).mean()
        loss.backward()
        optimizer.step()
        if step % EVERY == 0:
            writer.add_scalar("loss", loss.item(), step)
            for name, value in monitor(optimizer).items():
                writer.add_scalar(name, value, step)
            print(f"step {step:4d}  loss {loss.item():.3f}")
        optimizer.zero_grad()
