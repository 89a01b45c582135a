"""A plain PyTorch training loop with DANA-decaying, to copy: `python examples/plain_loop.py`.

Trains a small LSTM on the source of Python's own `argparse` module, one token per byte.
"""

import argparse
import inspect

import torch
from torch import nn

from hidim.torch import DANADecaying

CONTEXT, BATCH, WIDTH, STEPS = 32, 16, 64, 200


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.output = nn.Linear(WIDTH, 256)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.output(self.lstm(self.embedding(tokens))[0])


torch.manual_seed(0)
text = torch.tensor(list(inspect.getsource(argparse).encode()))
model = Model()
# lr is the rate SGD would use; sweep kappa_3 for the smallest stable value on a small model.
optimizer = DANADecaying(model.parameters(), lr=2.0, kappa_3=0.85, fused=True)
for step in range(STEPS + 1):
    starts = torch.randint(len(text) - CONTEXT, (BATCH, 1))
    windows = text[starts + torch.arange(CONTEXT + 1)]
    logits = model(windows[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:4d}  loss {loss.item():.3f}")
