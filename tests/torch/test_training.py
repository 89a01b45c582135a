"""What is predicted is what is trained; compiled and distributed steps are the same steps."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from catalogue import CLASSES
from processes import leave
from torch.nn import Parameter

import hidim
import hidim.torch as ours

SPECTRUM = hidim.Spectrum(np.arange(1, 9.0) ** -2, np.arange(1, 9.0) ** -1.4, 0.5e-3)
ALGORITHMS = {
    "sgd": hidim.sgd(0.25),
    "sgd-momentum": hidim.sgd_momentum(0.05, 0.01, 0.1),
    "dana-decaying": hidim.dana_decaying(0.25, 0.1, 0.5, 6.0),
    "dana-constant": hidim.dana_constant(0.2, 0.01, 8.0),
    "schedule-free": hidim.schedule_free_sgd(0.3),
    "accelerated": hidim.accelerated_sgd(0.1, 0.5, 0.9, 0.1),
    "cosine": hidim.dana_decaying(0.25, 0.1, 0.5, 6.0).scheduled(hidim.Cosine(60)),
}
RUNS, BATCH, AT = 400, 4, [0, 1, 3, 10, 30, 60]


def train_streaming(optimizer_of, runs=RUNS, seed=0):
    """Risks of `runs` independent streaming regressions with the spectrum, at AT.

    In the eigenbasis: features sqrt(lambda) z, labels <feature, b> plus independent noise of
    variance 2 risk_floor. The runs are one parameter whose loss is the sum of theirs: the
    gradient is of each run's 0.5 residual^2 averaged over its batch.
    """
    generator = torch.Generator().manual_seed(seed)
    root = torch.tensor(SPECTRUM.eigenvalues).sqrt()
    target = torch.tensor(SPECTRUM.error_sq).sqrt()
    theta = Parameter(torch.zeros(runs, len(root), dtype=torch.float64))
    optimizer = optimizer_of([theta])
    risks = []
    for step in range(max(AT) + 1):
        if step in AT:
            error = (theta.detach() - target) * root
            risks.append(SPECTRUM.risk_floor + 0.5 * error.pow(2).sum(1))
        features = root * torch.randn(
            runs, BATCH, len(root), generator=generator, dtype=torch.float64
        )
        noise = torch.randn(runs, BATCH, generator=generator, dtype=torch.float64)
        labels = features @ target + noise * (2 * SPECTRUM.risk_floor) ** 0.5
        residual = torch.einsum("rbi,ri->rb", features, theta) - labels
        optimizer.zero_grad()
        (0.5 * residual.pow(2).mean(1)).sum().backward()
        optimizer.step()
    return torch.stack(risks).numpy()


@pytest.mark.parametrize("path", [{"foreach": True}, {"fused": True}], ids=str)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_streaming_training_follows_the_prediction(name, path):
    algorithm = ALGORITHMS[name]
    risks = train_streaming(lambda params: ours.from_algorithm(algorithm, params, **path))
    predicted = hidim.predict(SPECTRUM, algorithm, steps=max(AT), batch_size=BATCH, at=AT).risk
    spread = risks.std(1, ddof=1) / RUNS**0.5
    assert risks[0] == pytest.approx(predicted[0], rel=1e-12)
    # 14 x 5 correlated comparisons at a fixed seed: 4.5 standard errors.
    assert np.all(np.abs(risks.mean(1) - predicted)[1:] < 4.5 * spread[1:])


def test_dana_decaying_is_from_algorithm_at_equal_rates():
    named = train_streaming(
        lambda params: ours.DANADecaying(params, lr=0.25, c_3=0.4, kappa_3=0.5, delta=6.0), runs=3
    )
    general = train_streaming(
        lambda params: ours.from_algorithm(ALGORITHMS["dana-decaying"], params), runs=3
    )
    np.testing.assert_allclose(named, general, rtol=1e-12)


def test_without_momentum_dana_is_torch_sgd():
    def run(optimizer_of):
        return train_streaming(optimizer_of, runs=3)

    sgd = run(lambda params: torch.optim.SGD(params, lr=0.2, weight_decay=0.01))
    dana = run(lambda params: ours.DANADecaying(params, lr=0.2, c_3=0.0, weight_decay=0.01))
    np.testing.assert_allclose(dana, sgd, rtol=1e-13)
    heavy = run(lambda params: torch.optim.SGD(params, lr=0.02, momentum=0.9))
    ours_heavy = run(
        lambda params: ours.GeneralMomentum(
            params, lr=0.02, gamma_2=0.0, gamma_3=1.0, forgetting=1 - 0.9
        )
    )
    np.testing.assert_allclose(ours_heavy, heavy, rtol=1e-11)


def test_from_algorithm_refuses_what_is_not_one():
    with pytest.raises(ValueError, match="algorithm"):
        ours.from_algorithm("dana-decaying", [Parameter(torch.zeros(2))])


def test_adana_without_its_extra_terms_is_adam_without_bias_correction():
    p = Parameter(torch.ones(4, dtype=torch.float64))
    optimizer = ours.ADANA([p], lr=0.01, alpha_scale=0.0, gradient_scale=0.0)
    q, m, v = p.detach().clone(), torch.zeros(4).double(), torch.zeros(4).double()
    generator = torch.Generator().manual_seed(0)
    for t in range(1, 50):
        g = torch.randn(4, generator=generator, dtype=torch.float64)
        beta = 1 - 8 / (8 + t)
        m, v = beta * m + (1 - beta) * g, beta * v + (1 - beta) * g * g
        q = q - 0.01 * m / (v.sqrt() + 1e-8)
        p.grad = g
        optimizer.step()
    torch.testing.assert_close(p.detach(), q, rtol=1e-13, atol=0)


COMPILED = [
    (ours.DANADecaying, {"lr": 0.01}),
    (ours.ADANA, {"lr": 0.01, "omega": 4.0}),
    (ours.DanaStarMK4, {"lr": 0.01}),
    (ours.DANADecaying, {"lr": 0.01, "gain": "measured", "cooldown": 30}),
    (ours.ADANA, {"lr": 0.01, "gain": "measured"}),
    (ours.GeneralMomentum, {"lr": 0.01, "gamma_2": hidim.Warmup(5) * hidim.Cosine(30)}),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("cls", "options"), COMPILED)
def test_a_compiled_step_is_the_same_step_and_is_compiled_once(cls, options, foreach):
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    params = [Parameter(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)))]
    copies = [Parameter(p.detach().clone()) for p in params]
    compiled, plain = cls(params, foreach=foreach, **options), cls(copies, **options)
    step = torch.compile(compiled.step)
    graphs = []
    for t in range(12):
        generator = torch.Generator().manual_seed(t)
        params[0].grad = torch.randn(5, 3, generator=generator)
        copies[0].grad = params[0].grad.clone()
        step()
        plain.step()
        graphs.append(counters["stats"]["unique_graphs"])
    torch.testing.assert_close(params, copies, rtol=1e-5, atol=1e-6)
    assert graphs[-1] == graphs[2]  # nothing is compiled after the first steps


EDITS = {
    "lr": [0.02, 0.01, 0.005, 0.0025],
    "weight_decay": [0.1, 0.2, 0.3, 0.4],
    "kappa": [0.85, 0.8, 0.7, 0.6],
    "kappa_3": [0.85, 0.8, 0.7, 0.6],
    "delta": [8.0, 7.0, 6.0, 9.0],
    "c_3": [1.0, 0.9, 0.5, 0.2],
    "dimension": [10, 11, 12, 13],
    "gamma_2": [1.0, 0.9, 0.8, 0.7],
    "forgetting": [0.1, 0.2, 0.3, 0.4],
    "xi": [10.0, 9.0, 8.0, 7.0],
    "omega": [2.0, 3.0, 4.0, 5.0],
    "t_0": [20.0, 21.0, 30.0, 40.0],
    "peak_lr": [0.02, 0.03, 0.04, 0.05],
    "eps": [1e-8, 1e-2, 1e-1, 0.2],
    "clip": [2.0, 1.0, 0.5, 0.2],
    "alpha_scale": [1.0, 2.0, 3.0, 4.0],
    "gradient_scale": [1.0, 0.5, 0.2, 0.1],
    "betas": [(0.9, 0.99), (0.8, 0.98), (0.7, 0.97), (0.6, 0.9)],
}
FLOATS = {"weight_decay": 0.1, "omega": 2.0, "t_0": 20.0, "gamma_2": 1.0, "forgetting": 0.1}
EDITED = [
    (
        case.cls,
        {k: v for k, v in FLOATS.items() if k in case.cls([Parameter(torch.zeros(1))]).defaults},
    )
    for case in CLASSES
]
EDITED += [
    (ours.DANADecaying, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (ours.GeneralMomentum, {"gamma_2": 1.0, "forgetting": 0.1, "rates": ("gamma_1",)}),
    (ours.LogTimeWeightDecay, {"base": torch.optim.SGD, "t_0": 20.0}),
]


def _edited_run(cls, options, name, *, foreach, compiled):
    torch._dynamo.reset()
    generator = torch.Generator().manual_seed(0)
    params = [Parameter(torch.randn(5, generator=generator, dtype=torch.float64)) for _ in range(2)]
    optimizer = cls(params, lr=0.02, foreach=foreach, **options)
    step = torch.compile(optimizer.step) if compiled else optimizer.step
    path = []
    for t in range(6):
        for p in params:
            p.grad = torch.randn(5, generator=generator, dtype=torch.float64)
        optimizer.param_groups[0][name] = EDITS[name][min(t, 3)]
        step()
        path.append(torch.cat([p.detach() for p in params]))
    return torch.stack(path)


def _follows_edits(cls, options, name, foreach):
    runs = [
        _edited_run(cls, options, name, foreach=foreach, compiled=compiled)
        for compiled in (False, True)
    ]
    torch.testing.assert_close(*runs, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
@pytest.mark.parametrize(
    ("cls", "foreach"), [(ours.DANADecaying, False), (ours.DANADecaying, True), (ours.ADANA, True)]
)
def test_no_graph_of_a_step_has_a_scheduled_number_as_a_scalar_argument(cls, foreach):
    # Beside arithmetic with tensors, torch would keep its old value there (issue 120934).
    torch._dynamo.reset()
    scalars, graphs = [], []

    def reads(module, inputs):
        graphs.append(module)
        scalars.extend(
            value
            for node in module.graph.nodes
            for value in node.kwargs.values()
            if isinstance(value, torch.fx.Node)
        )
        return module.forward

    p = Parameter(torch.ones(3))
    optimizer = cls([p], foreach=foreach, **({"omega": 4.0} if cls is ours.ADANA else {}))
    step = torch.compile(optimizer.step, backend=reads)
    for lr in (1.0, 0.5, 0.25):
        p.grad = torch.ones(3)
        optimizer.param_groups[0]["lr"] = lr
        step()
    assert len(graphs) >= 2
    assert not scalars


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(("cls", "options"), EDITED)
def test_a_compiled_step_follows_every_edit_of_a_number(cls, options, foreach):
    for name in set(EDITS) & set(cls([Parameter(torch.zeros(1))], **options).param_groups[0]):
        _follows_edits(cls, options, name, foreach)


# --- distributed: 2 processes on gloo equal one --------------------------------------------------


def _model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def _batch(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 6, generator=generator), torch.randn(8, 3, generator=generator)


DISTRIBUTED = [
    (ours.DANADecaying, {"lr": 0.1, "weight_decay": 0.01}),
    (ours.DANAConstant, {"lr": 0.1, "dimension": 83}),
    (ours.ADANA, {"lr": 0.01, "omega": 4.0}),
    (ours.DanaStar, {"lr": 0.01}),
    (ours.NormalizeAndProject, {"lr": 0.01, "base": ours.ADANA}),
    (ours.LogTimeWeightDecay, {"lr": 0.01, "t_0": 10.0, "base": ours.DANADecaying}),
    (ours.DANADecaying, {"lr": 0.1, "gain": "measured", "cooldown": 20}),
    (ours.ADANA, {"lr": 0.01, "gain": "measured"}),
]
IMPLS = [{"foreach": False}, {"foreach": True}, {"fused": True}]


def _losses(model, optimizer, share):
    for step in range(6):
        x, y = _batch(step)
        optimizer.zero_grad()
        (model(x[share]) - y[share]).pow(2).mean().backward()
        optimizer.step()


def _worker(rank, folder, kind):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0", OMP_NUM_THREADS="1")
    torch.set_num_threads(1)
    import torch.distributed as dist

    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", rank=rank, world_size=2, store=store)
    share = slice(4 * rank, 4 * rank + 4)
    results = {}
    for number, (cls, options) in enumerate(DISTRIBUTED):
        for path, impl in enumerate(IMPLS):
            model = _model()
            if kind == "ddp":
                model = torch.nn.parallel.DistributedDataParallel(model)
            else:
                from torch.distributed.device_mesh import init_device_mesh
                from torch.distributed.fsdp import fully_shard

                mesh = init_device_mesh("cpu", (2,))
                for layer in (model[0], model[2]):
                    fully_shard(layer, mesh=mesh)
                fully_shard(model, mesh=mesh)
            optimizer = cls(model.parameters(), **options, **impl)
            _losses(model, optimizer, share)
            if kind == "fsdp2":  # and through a sharded checkpoint
                from torch.distributed.checkpoint.state_dict import (
                    get_optimizer_state_dict,
                    set_optimizer_state_dict,
                )

                saved = get_optimizer_state_dict(model, optimizer)
                optimizer = cls(model.parameters(), **{**options, "lr": 9.0}, **impl)
                set_optimizer_state_dict(model, optimizer, saved)
            _losses(model, optimizer, share)
            seen = ours.monitor(optimizer)
            results[number, path, "norms"] = [seen["gradient_norm"], seen["weight_norm"]]
            full = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
            results[number, path] = [p.detach().clone() for p in full]
    if rank == 0:
        torch.save(results, f"{folder}/results.pt")
    leave()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_processes_train_as_one(kind, tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    workers = [context.Process(target=_worker, args=(r, str(tmp_path), kind)) for r in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
        assert worker.exitcode == 0
    results = torch.load(tmp_path / "results.pt")
    for number, (cls, options) in enumerate(DISTRIBUTED):
        model = _model()
        optimizer = cls(model.parameters(), **options)
        _losses(model, optimizer, slice(None))
        _losses(model, optimizer, slice(None))
        seen = ours.monitor(optimizer)
        for path in range(len(IMPLS)):
            norms = [seen["gradient_norm"], seen["weight_norm"]]
            assert results[number, path, "norms"] == pytest.approx(norms, rel=1e-3)
            # The mean over two halves is summed in another order: float32 rounding, normalised
            # by sqrt(v) for the adaptive rules.
            alone = [p.detach() for p in model.parameters()]
            torch.testing.assert_close(results[number, path], alone, rtol=1e-4, atol=2e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.gpu
@pytest.mark.parametrize(("cls", "options"), COMPILED)
def test_a_gpu_step_is_the_cpu_step(cls, options):
    for impl in IMPLS:
        here = Parameter(torch.randn(50, 30, generator=torch.Generator().manual_seed(1)))
        there = Parameter(here.detach().cuda())
        on_cpu, on_gpu = cls([here], **options), cls([there], **options, **impl)
        for t in range(10):
            here.grad = torch.randn(50, 30, generator=torch.Generator().manual_seed(t))
            there.grad = here.grad.cuda()
            on_cpu.step()
            on_gpu.step()
        torch.testing.assert_close(there.detach().cpu(), here.detach(), rtol=1e-5, atol=1e-6)


def test_import_without_torch_names_the_extra(tmp_path):
    import subprocess

    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    root = Path(hidim.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", "import hidim.torch"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert run.stderr.strip().splitlines()[-1].endswith("pip install 'hidim[torch]'")
