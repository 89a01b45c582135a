"""torch may be absent: then nothing here runs. One task of twenty steps, and methods as files."""

import re
import textwrap

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

TASK = """
import torch
from torch import nn
from hidim.contest import Task

class Line:
    fingerprint, tokens = "line", 8
    def model(self):
        return nn.Linear(4, 3)
    def loss(self, model, generator):
        x = torch.randn(8, 4, generator=generator)
        return (model(x) - x[:, :3]).square().mean()
    def value(self, model):
        return float((model(torch.eye(4)) - torch.eye(4)[:, :3]).square().mean())

LINE = Task("line", "a linear map", steps=20, load=Line, seconds=0.05)
"""
METHOD = '''
import torch
from hidim.contest import Log, Method
SPACE = {"lr": Log(1e-3, 1.0)}

def plain(weights, values, steps):
    return torch.optim.AdamW([w.parameter for w in weights], **values)

class Own:
    """Signs of the gradient, and whatever a test adds."""
    def __init__(self, weights, values, steps):
        self.weights, self.lr, self.steps, self.count = weights, values["lr"], steps, 0
    def step(self, ask=None):
        self.count += 1
        with torch.no_grad():
            for w in self.weights:
                w.parameter.sub_(self.lr * w.parameter.grad.sign())
'''


@pytest.fixture(scope="session")
def line(tmp_path_factory):
    """The reference of a task of twenty steps."""
    from hidim.contest.tasks import TASKS

    path = tmp_path_factory.mktemp("task") / "line.py"
    path.write_text(TASK, encoding="utf-8")
    return TASKS.add_file(str(path))[0]


@pytest.fixture
def method(tmp_path):
    """Code at the end of a method's file to the reference of that method, not executed here."""
    from hidim.contest.entries import Reference, version_of
    from hidim.contest.spaces import Log

    def make(code, name="mine"):
        path = tmp_path / f"{name}.py"
        path.write_text(METHOD + textwrap.dedent(code), encoding="utf-8")
        attribute = re.search(r"^(\w+) = Method", path.read_text(encoding="utf-8"), re.M)[1]
        version = version_of(path.read_bytes())
        return Reference(name, f"{path}:{attribute}", version, {"lr": Log(1e-3, 1.0)})

    return make
