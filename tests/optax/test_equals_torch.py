"""The transformation and the torch optimizer of one name take the same steps in float64."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")
torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'hidim[torch]'")

import jax.numpy as jnp  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402
import hidim.torch as ht  # noqa: E402

STEPS = 1000
LR = 0.01
SHAPE = (3, 4)

PAIRS: dict[str, tuple[Callable, Callable, dict]] = {
    "dana_decaying": (hx.dana_decaying, ht.DANADecaying, {"c_3": 0.8, "weight_decay": 0.1}),
    "dana_constant": (hx.dana_constant, ht.DANAConstant, {"delta": 6.0}),
    "general_momentum": (
        hx.general_momentum,
        ht.GeneralMomentum,
        {"gamma_2": hidim.Warmup(100), "decoupled_weight_decay": True, "weight_decay": 0.1},
    ),
    "accelerated_sgd": (hx.accelerated_sgd, ht.AcceleratedSGD, {"kappa": 100.0}),
    "stochastic_nesterov": (hx.stochastic_nesterov, ht.StochasticNesterov, {}),
    "adana": (hx.adana, ht.ADANA, {"omega": 4.0, "t_0": 30.0}),
    "adana readme": (hx.adana, ht.ADANA, {"alpha_form": "readme", "initial_step": 50}),
    "dana_mk4": (hx.dana_mk4, ht.DanaMK4, {"clip": 0.5, "weight_decay": 0.1}),
    "dana_star": (hx.dana_star, ht.DanaStar, {"decay_after": True, "weight_decay": 0.1}),
    "dana_star_mk4": (hx.dana_star_mk4, ht.DanaStarMK4, {}),
    "log_time_ademamix": (hx.log_time_ademamix, ht.LogTimeAdEMAMix, {}),
    "sign_sgd": (hx.sign_sgd, ht.SignSGD, {"weight_decay": 0.1}),
    "log_time_weight_decay": (
        lambda lr, **o: optax.chain(optax.sgd(lr), hx.log_time_weight_decay(**o)),
        lambda params, lr, **o: ht.LogTimeWeightDecay(torch.optim.SGD(params, lr=lr), **o),
        {"omega": 3.0, "t_0": 40.0},
    ),
    "normalize_and_project": (
        lambda lr: hx.normalize_and_project(optax.sgd(lr, momentum=0.9)),
        lambda params, lr: ht.NormalizeAndProject(torch.optim.SGD(params, lr=lr, momentum=0.9)),
        {},
    ),
    "from_algorithm": (
        lambda lr, **o: hx.from_algorithm(hidim.dana_decaying(lr, lr, 0.6, 8.0), **o),
        lambda ps, lr, **o: ht.from_algorithm(hidim.dana_decaying(lr, lr, 0.6, 8.0), ps, **o),
        {},
    ),
}
# Both start here; the gradient is noise and a pull to zero.
START = np.linspace(-1.0, 1.5, 12).reshape(SHAPE)


def noise() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((STEPS, *SHAPE)) * np.logspace(-2, 0, 4)


def jax_path(optimizer: Any) -> np.ndarray:
    def step(carry: tuple, z: Any) -> tuple:
        params, state = carry
        updates, state = optimizer.update(z + 0.2 * params, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    start = jnp.asarray(START)
    run = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.asarray(noise())))
    return np.asarray(run((start, optimizer.init(start)))[1])


def torch_path(make: Callable) -> np.ndarray:
    p = torch.nn.Parameter(torch.tensor(START))
    optimizer = make([p])
    path = []
    for z in torch.tensor(noise()):
        p.grad = z + 0.2 * p.detach()
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return np.array(path)


# Compiling is what these tests cost: one of each kind is fast, the rest slow.
FAST = ("dana_decaying", "adana", "log_time_weight_decay")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in PAIRS]
)
def test_torch_and_optax_take_the_same_steps(name: str, x64: None) -> None:
    ours, theirs, options = PAIRS[name]
    in_jax = jax_path(ours(LR, **options))
    in_torch = torch_path(lambda params: theirs(params, lr=LR, **options))
    # Float64: 1,000 roundings of 1e-16 on paths of order 1.
    np.testing.assert_allclose(in_jax, in_torch, rtol=1e-12, atol=1e-12)


COOLED = (
    *("dana_decaying", "dana_constant", "general_momentum", "from_algorithm", "log_time_ademamix"),
    *("adana", "adana readme", "dana_mk4", "dana_star", "dana_star_mk4"),
)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in COOLED]
)
def test_the_momentum_cools_down_alike(name: str, x64: None) -> None:
    ours, theirs, options = PAIRS[name]
    for cooldown in (STEPS - 100, hidim.CoolDown(STEPS, 0.3)):
        in_jax = jax_path(ours(LR, **options, cooldown=cooldown))
        in_torch = torch_path(lambda ps, c=cooldown: theirs(ps, lr=LR, **options, cooldown=c))
        np.testing.assert_allclose(in_jax, in_torch, rtol=1e-12, atol=1e-12)


def test_a_transformation_cools_down_where_its_torch_namesake_does() -> None:
    for name, (ours, theirs, _) in PAIRS.items():
        for made in () if name == "from_algorithm" else (ours, theirs):
            assert ("cooldown" in inspect.signature(made).parameters) == (name in COOLED), name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dana_decaying", "accelerated_sgd", "adana"])
def test_a_scheduled_rate_does_the_same_in_both(name: str, x64: None) -> None:
    ours, theirs, options = PAIRS[name]
    shape = hidim.Warmup(50) * hidim.Cosine(STEPS, final=0.1)
    peak = {"peak_lr": LR} if name == "adana" else {}

    def scheduled(params: Any) -> Any:
        optimizer = theirs(params, lr=LR, **options, **peak)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: float(shape(t)))
        optimizer.register_step_post_hook(lambda *_: scheduler.step())
        return optimizer

    in_jax = jax_path(ours(LR * shape, **options, **peak))
    np.testing.assert_allclose(in_jax, torch_path(scheduled), rtol=1e-12, atol=1e-12)
