"""A run that is edited, frozen, copied, saved and loaded in other paths ends where the rule ends.

Every walk is a list of edits with updates between them; the rule in NumPy is told the same. What
a walk may not do to a rule is what the rule does not define: Jain's method carries its rate in
its second sequence, so its numbers stay.
"""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from catalogue import CASES, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import leave
from torch.nn import Parameter

import hidim.torch as ours
from hidim.algorithms import reference
from hidim.algorithms.schedules import PowerLaw

PATHS = {
    "default": {"foreach": None, "fused": None, "capturable": False},
    "loop": {"foreach": False, "fused": None, "capturable": False},
    "lists": {"foreach": True, "fused": None, "capturable": False},
    "one pass": {"foreach": None, "fused": True, "capturable": False},
    "captured": {"foreach": False, "fused": None, "capturable": True},
    "captured lists": {"foreach": True, "fused": None, "capturable": True},
}
SHAPES = [(3, 4), (5,), (2, 3, 2), ()]


# --- the wrappers as rules, and what an edit of a number means to a rule -------------------------


class Decaying:
    """Log-time decay before each update of DANA; its time is that of the group."""

    def __init__(self, lr, *, omega, t_0, peak_lr):
        self.inner, self.lr = reference.DANADecaying(lr), lr
        self.omega, self.t_0, self.peak_lr, self.group_t = omega, t_0, peak_lr, 0

    def step(self, p, g):
        self.inner.lr = self.lr
        share = reference.log_time_decay(self.lr / self.peak_lr, self.omega, self.t_0, self.group_t)
        return self.inner.step(p * (1 - share), g)


class Projected:
    def __init__(self, lr):
        self.inner, self.lr, self.norm = reference.ADANA(lr), lr, None

    def step(self, p, g):
        self.inner.lr = self.lr
        if self.norm is None:
            self.norm = np.linalg.norm(p) if p.ndim >= 2 else 0.0
        q = self.inner.step(p, g)
        return reference.project_to_norm(q, self.norm) if self.norm else q


def decaying(params, lr=1e-3, **options):
    return ours.LogTimeWeightDecay(params, lr, base=ours.DANADecaying, **options)


def projected(params, lr=1e-3, **options):
    return ours.NormalizeAndProject(params, lr, base=ours.ADANA, **options)


WRAPPED = [
    Case(
        "log-time decay of dana",
        decaying,
        Decaying,
        {"lr": 0.01, "omega": 4.0, "t_0": 20.0, "peak_lr": 0.05},
    ),
    Case("projected adana", projected, Projected, {"lr": 0.01}),
]


def power(kappa):
    return lambda t: (1 + t) ** -kappa


# Option -> values it may be given, and how the rule is told.
DANA = {
    "kappa_3": ((0.5, 0.9), lambda rule, x: setattr(rule, "gamma_3", power(x))),
    "delta": ((6.0, 12.0), lambda rule, x: setattr(rule, "forgetting", lambda t: x / (x + t))),
}
GENERAL = {
    "gamma_3": ((0.2, PowerLaw(0.5, 0.7)), lambda rule, x: setattr(rule, "gamma_3", x)),
    "weight_decay": ((0.0, 0.3), lambda rule, x: setattr(rule, "weight_decay", x)),
}
ADAPTIVE = {
    name: (values, lambda rule, x, name=name: setattr(rule, name, x))
    for name, values in {
        "kappa": (0.75, 0.95),
        "delta": (6.0, 12.0),
        "alpha_scale": (0.0, 0.5),
        "weight_decay": (0.0, 0.2),
        "eps": (1e-8, 1e-6),
    }.items()
}


def editable(case):
    if case.name == "dana-decaying":
        return DANA
    if case.cls is ours.GeneralMomentum:
        return GENERAL
    family = (ours.ADANA, ours.DanaMK4, ours.DanaStar, ours.LogTimeAdEMAMix)
    return ADAPTIVE if isinstance(case.cls, type) and issubclass(case.cls, family) else {}


# --- the walk ------------------------------------------------------------------------------------


class Walk:
    """One optimizer, and for each of its parameters the rule in NumPy."""

    def __init__(self, case, path):
        self.case, self.rng, self.path = case, np.random.default_rng(0), path
        self.options = {"lr": 1e-3, **case.options}
        if self.options.get("omega"):
            self.options.setdefault("peak_lr", 0.05)
        self.shadows, self.rules, self.frozen, self.group_of = [], [], set(), []
        params = [self.begin(0, shape) for shape in SHAPES[:2]]
        self.optimizer = case.cls(params, **self.options, **self.flags())
        self.group_steps = [0]

    def flags(self):
        return {k: v for k, v in PATHS[self.path].items() if v is not None}

    def begin(self, group, shape):
        start = self.rng.standard_normal(shape)
        self.shadows.append(start)
        self.rules.append(self.case.reference(**self.options))
        self.group_of.append(group)
        return Parameter(torch.tensor(start))

    @property
    def params(self):
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def update(self):
        moving = {self.group_of[i] for i in range(len(self.rules)) if i not in self.frozen}
        for group in moving:
            self.group_steps[group] += 1
        for i, p in enumerate(self.params):
            if i in self.frozen:
                p.grad = None
                continue
            noise, q = self.rng.standard_normal(p.shape), self.shadows[i]
            p.grad = self.gradient(p, noise)
            self.rules[i].group_t = self.group_steps[self.group_of[i]]
            self.shadows[i] = self.rules[i].step(q, 0.5 * q + noise)
        self.optimizer.step()

    def gradient(self, p, noise):
        return 0.5 * p.detach() + torch.as_tensor(noise)

    def lr(self, factor):
        if self.case.cls is ours.AcceleratedSGD:
            return
        group = len(self.optimizer.param_groups) - 1
        self.optimizer.param_groups[group]["lr"] *= factor
        for rule, own in zip(self.rules, self.group_of, strict=True):
            if own == group:
                rule.lr = rule.lr * factor

    def number(self, which, second):
        known = editable(self.case)
        if not known:
            return
        name = sorted(known)[which % len(known)]
        values, tell = known[name]
        value = values[second]
        self.optimizer.param_groups[0][name] = value
        for rule, own in zip(self.rules, self.group_of, strict=True):
            if own == 0:
                tell(rule, value)

    def group(self):
        if len(self.optimizer.param_groups) > 2:
            return
        self.group_steps.append(0)
        p = self.begin(len(self.group_steps) - 1, SHAPES[len(self.group_steps)])
        own = self.options["lr"] / 2
        self.rules[-1] = self.case.reference(**{**self.options, "lr": own})
        self.optimizer.add_param_group({"params": [p], "lr": own})

    def freeze(self, which):
        self.frozen ^= {which % len(self.rules)}

    def load(self, path):
        """Into an optimizer of the same groups, built with another rate, in another path."""
        stream = io.BytesIO()
        torch.save(self.optimizer.state_dict(), stream)
        stream.seek(0)
        self.path = path
        groups = [{"params": group["params"]} for group in self.optimizer.param_groups]
        fresh = self.case.cls(groups, **{**self.options, "lr": 0.5})  # for groups still to come
        fresh.load_state_dict(torch.load(stream, weights_only=True))
        for group in fresh.param_groups:
            group.update(PATHS[path])
        self.optimizer = fresh

    def copy(self):
        self.optimizer = copy.deepcopy(self.optimizer)

    def pickle(self):
        self.optimizer = pickle.loads(pickle.dumps(self.optimizer))

    def check(self):
        for p, q in zip(self.params, self.shadows, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q, rtol=1e-9, atol=1e-9)


EDITS = st.one_of(
    st.tuples(st.just("lr"), st.sampled_from([0.5, 0.1, 2.0])),
    st.tuples(st.just("number"), st.integers(0, 4), st.integers(0, 1)),
    st.tuples(st.just("group")),
    st.tuples(st.just("freeze"), st.integers(0, 3)),
    st.tuples(st.just("load"), st.sampled_from(list(PATHS))),
    st.tuples(st.just("copy")),
    st.tuples(st.just("pickle")),
)
ANY = [*CASES, *WRAPPED]


def walked(case, path, edits):
    walk = Walk(case, path)
    for name, *arguments in [("copy",), *edits]:
        getattr(walk, name)(*arguments)
        for _ in range(3):
            walk.update()
    walk.check()


@settings(max_examples=25)
@given(case=st.sampled_from(ANY), path=st.sampled_from(list(PATHS)), edits=st.lists(EDITS))
def test_a_walk_of_edits_ends_where_the_rule_ends(case, path, edits):
    walked(case, path, edits)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", ANY, ids=str)
def test_many_walks_end_where_the_rule_ends(case, path):
    @settings(max_examples=30)
    @given(edits=st.lists(EDITS, min_size=3, max_size=12))
    def walks(edits):
        walked(case, path, edits)

    walks()


# --- resharded on two processes ------------------------------------------------------------------


class Sharded(Walk):
    """The same with parameters that are cut over the processes along a dimension, or whole."""

    def reshard(self, dim):
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_optimizer_state_dict,
            set_optimizer_state_dict,
        )

        whole = StateDictOptions(full_state_dict=True)
        saved = get_optimizer_state_dict(self.module, self.optimizer, options=whole)
        old = self.optimizer.param_groups
        groups, numbers = [], iter(range(len(self.shadows)))
        for group in old:
            names = [f"p{next(numbers)}" for _ in group["params"]]
            for name in names:
                p = getattr(self.module, name)
                setattr(self.module, name, Parameter(self.cut(complete(p.detach()), dim)))
            groups.append({"params": [getattr(self.module, name) for name in names]})
        known = {k: v for k, v in self.options.items() if k in ("dimension", "peak_lr")}
        self.optimizer = self.case.cls(groups, lr=0.5, **known)
        set_optimizer_state_dict(self.module, self.optimizer, saved, options=whole)

    def cut(self, x, dim):
        from torch.distributed.tensor import Shard, distribute_tensor

        if dim is None or x.dim() <= dim:
            return x
        return distribute_tensor(x, self.mesh, [Shard(dim)])

    def gradient(self, p, noise):
        g = 0.5 * complete(p.detach()) + torch.as_tensor(noise)
        shards = getattr(p, "placements", None)
        return g if shards is None else self.cut(g, shards[0].dim)


def complete(x):
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def worker(rank, folder):
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", rank=rank, world_size=2, store=store)
    mesh = init_device_mesh("cpu", (2,))
    for case in ANY:
        if case.cls is ours.SignSGD:  # torch loads no whole state that has no tensors (SGD's too)
            continue
        walk = Sharded(case, "default")
        walk.mesh, walk.module = mesh, torch.nn.Module()
        for i, p in enumerate(walk.params):
            walk.module.register_parameter(f"p{i}", p)
        for edit in [("reshard", 0), ("lr", 0.5), ("reshard", None), ("reshard", 1), ("lr", 2.0)]:
            for _ in range(3):
                walk.update()
            getattr(walk, edit[0])(*edit[1:])
        for _ in range(3):
            walk.update()
        for p, q in zip(walk.params, walk.shadows, strict=True):
            np.testing.assert_allclose(complete(p.detach()).numpy(), q, rtol=1e-9, atol=1e-9)
    leave()


@pytest.mark.slow
def test_a_resharded_walk_ends_where_the_rule_ends(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    workers = [context.Process(target=worker, args=(rank, str(tmp_path))) for rank in (0, 1)]
    for process in workers:
        process.start()
    for process in workers:
        process.join(300)
        assert process.exitcode == 0
