"""The members of the family are the methods they are named after, gradient by gradient.

Each method runs as its paper or library writes it, beside the family, on the same sequence of
noisy gradients: theta must agree at every step up to rounding.
"""

import math

import numpy as np
import pytest

import hidim

STEPS, D = 60, 5
_RNG = np.random.default_rng(0)
BATCHES = _RNG.standard_normal((STEPS, 3, D)) * np.array([1.0, 0.8, 0.5, 0.3, 0.1])
TARGET = _RNG.standard_normal(D)


def gradient(t, theta):
    x = BATCHES[t]
    return x.T @ (x @ (theta - TARGET)) / len(x)


def family(algorithm, readout="gradient"):
    """The points theta_t + w(t) y_{t-1} of a member, from the definition of the family."""
    theta, y, points = np.zeros(D), np.zeros(D), []
    weight = algorithm.readout(readout)
    for t in range(STEPS):
        points.append(theta + weight(t) * y)
        g = gradient(t, theta)
        y = (1 - algorithm.forgetting(t)) * y + algorithm.gamma_1(t) * g
        theta = theta - algorithm.gamma_2(t) * g - algorithm.gamma_3(t) * y
    return np.array(points)


def same(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("offset", [2.0, 1.0])  # the paper's weights, and its code's
@pytest.mark.parametrize("b", [0.0, 0.5, 0.9, 1.0])
def test_schedule_free_sgd_is_its_three_sequences(b, offset):
    gamma = 0.3
    z, x, gradient_points, averages = np.zeros(D), np.zeros(D), [], []
    for t in range(STEPS):
        y = (1 - b) * z + b * x
        gradient_points.append(y)
        averages.append(x)
        z = z - gamma * gradient(t, y)
        c = 1 / (t + offset)
        x = (1 - c) * x + c * z
    member = hidim.schedule_free_sgd(gamma, b, offset)
    same(family(member), gradient_points)
    same(family(member, "average"), averages)


@pytest.mark.parametrize("long", [0.1, 0.4])
def test_accelerated_sgd_is_the_iteration_of_jain_et_al(long):
    short, mixing, averaging = 0.1, 0.7, 0.2
    w, v, q_points, w_points = np.zeros(D), np.zeros(D), [], []
    for t in range(STEPS):
        q = mixing * w + (1 - mixing) * v
        q_points.append(q)
        w_points.append(w)
        g = gradient(t, q)
        w = q - short * g
        v = averaging * q + (1 - averaging) * v - long * g
    member = hidim.accelerated_sgd(short, long, mixing, averaging)
    same(family(member), q_points)
    same(family(member, "short-step"), w_points)


@pytest.mark.parametrize("nesterov", [False, True])
def test_torch_momentum_is_a_member(nesterov):
    torch = pytest.importorskip("torch")
    rate, mu = 0.2, 0.9
    parameter = torch.zeros(D, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=rate, momentum=mu, nesterov=nesterov)
    points = []
    for t in range(STEPS):
        points.append(parameter.detach().numpy().copy())
        parameter.grad = torch.from_numpy(gradient(t, points[-1]))
        optimizer.step()
    if nesterov:
        member = hidim.sgd_momentum(rate, rate * mu, 1 - mu)
    else:
        member = hidim.sgd_momentum(0.0, rate, 1 - mu)
    same(family(member), points)


def test_stochastic_nesterov_is_the_extrapolation_of_two_gradient_steps():
    gamma = 0.05
    theta, previous, points = np.zeros(D), np.zeros(D), []
    for t in range(STEPS):
        points.append(theta)
        x = theta - gamma * gradient(t, theta)
        theta, previous = x + t / (t + 2) * (x - previous), x
    same(family(hidim.stochastic_nesterov(gamma)), points)


# Equal error at each scale of curvature: the worst case, in which the rates are attained.
SCALES = hidim.Spectrum(np.geomspace(1.0, 1e-8, 60), np.ones(60), 0.0)


def plain_descent(step, count):
    """Risk of a deterministic method given as (t, point, gradient) -> next gradient point."""
    lam = SCALES.eigenvalues
    point, risks = np.ones(60), []
    for t in range(count):
        risks.append(0.5 * lam @ point**2)
        point = step(t, point, lam * point)
    return np.array(risks)


def heavy_ball(rate, mu):
    buffer = np.zeros(60)

    def step(t, point, g):
        buffer[:] = mu * buffer + g
        return point - rate * buffer

    return step


def nesterov(rate):
    previous = np.ones(60)

    def step(t, point, g):
        x = point - rate * g
        ahead = x + t / (t + 2) * (x - previous)
        previous[:] = x
        return ahead

    return step


def gradient_descent(rate):
    return lambda t, point, g: point - rate * g


FULL_BATCH = {
    "gradient descent": hidim.sgd(0.9),
    "heavy ball": hidim.sgd_momentum(0.0, 0.5, 0.1),
    "nesterov": hidim.stochastic_nesterov(0.9),
}
PLAIN = {
    "gradient descent": lambda: gradient_descent(0.9),
    "heavy ball": lambda: heavy_ball(0.5, 0.9),
    "nesterov": lambda: nesterov(0.9),
}


@pytest.mark.parametrize("name", FULL_BATCH)
@pytest.mark.parametrize("engine", ["exact", "volterra", "simulate"])
def test_full_batches_are_the_deterministic_method(engine, name):
    algorithm = FULL_BATCH[name]
    at = np.unique(np.geomspace(1, 800, 40).astype(int))
    if engine == "simulate":
        curve = hidim.simulate(SCALES, algorithm, at=at, batch_size=math.inf)
        assert np.all(curve.stderr == 0)
    else:
        curve = hidim.predict(SCALES, algorithm, at=at, batch_size=math.inf, engine=engine)
    # 1e-7: blocks of the exact engine hold the risk to about 1e-8.
    np.testing.assert_allclose(curve.risk, plain_descent(PLAIN[name](), 801)[at], rtol=1e-7)


@pytest.mark.parametrize("name", ["gradient descent", "heavy ball"])
def test_descent_and_heavy_ball_fall_as_one_over_t(name):
    at = np.unique(np.geomspace(300, 1e6, 30).astype(int))
    risk = hidim.predict(SCALES, FULL_BATCH[name], at=at, batch_size=math.inf).risk
    slope = np.polyfit(np.log(at), np.log(risk), 1)[0]
    # 60 modes over 8 decades leave a ripple of about a percent on the power law.
    assert slope == pytest.approx(-1.0, abs=0.03)


def test_nesterov_falls_as_one_over_t_squared():
    at = np.unique(np.geomspace(100, 3000, 30).astype(int))
    risk = hidim.predict(SCALES, FULL_BATCH["nesterov"], at=at, batch_size=math.inf).risk
    # Each mode obeys lambda r^2 <= r(0)^2 / (gamma t^2), the bound of the method.
    assert np.all(risk <= 0.5 * 60 / (0.9 * at.astype(float) ** 2))
    # All scales between 1/t^2 and 1/t sit at the bound: their number adds a logarithm.
    slope = np.polyfit(np.log(at), np.log(risk / np.log(at)), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.1)
