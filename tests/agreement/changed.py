"""Plain loops for changed gradients: scalars by quadrature, moments one step after the other.

Nothing here is shared with the package but the schedules: expectations over the label noise are
integrals over its density, and the momentum is stepped as (theta, y) moments written out.
"""

import math

import numpy as np
from scipy import special, stats

from hidim.systems.polar_drift import muon_drift
from hidim.systems.running import adam_numbers, signum_numbers

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


def density_of(noise, floor, excess):
    """The density of a residual: a Laplace law, or none, blurred by N(0, 2 floor + excess)."""
    spread = math.sqrt(2.0 * floor + excess)
    if noise is None:
        return stats.norm(scale=spread).pdf
    scale = math.sqrt(noise.variance / 2.0)

    def density(e):
        sides = [special.erfcx((spread / scale + s * e / spread) / math.sqrt(2)) for s in (1, -1)]
        return np.exp(-0.5 * (e / spread) ** 2) / (4 * scale) * sum(sides)

    return density


def clip_numbers(noise, floor, excess, c):
    """mu, nu and kappa by integrals over the residual."""
    p = density_of(noise, floor, excess)
    e = 0.5 * c * (NODES + 1.0)  # half of it, by symmetry
    weight = c * WEIGHTS * p(e)
    inside = weight.sum()
    return inside, weight @ e**2 + c**2 * (1.0 - inside), 2.0 * inside - 4.0 * c * p(c)


def moments(start, schedules, steps, order, gradient):
    """Orders at steps 0..steps of E r^2, E y^2, E r y under a gradient h.

    Args:
        order: E r^2 -> what is recorded.
        gradient: (t, order, rho, chi) -> E r h, E y h and E h^2, each (modes,).
    """
    gamma_1, gamma_2, gamma_3, forgetting = schedules
    rho, sigma, chi = np.array(start, dtype=float), np.zeros(len(start)), np.zeros(len(start))
    found = np.empty(steps + 1)
    for t in range(steps + 1):
        found[t] = order(rho)
        rh, yh, hh = gradient(t, found[t], rho, chi)
        keep, a, b, c = 1.0 - forgetting(t), gamma_1(t), gamma_2(t), gamma_3(t)
        # y' = keep y + a h, r' = r - b h - c y', squared and multiplied out
        yy = keep**2 * sigma + 2 * keep * a * yh + a**2 * hh
        ry = keep * chi + a * rh
        hy = keep * yh + a * hh
        rho, sigma, chi = (
            rho - 2 * b * rh + b**2 * hh - 2 * c * ry + 2 * b * c * hy + c**2 * yy,
            yy,
            ry - b * hy - c * yy,
        )
    return found


def schedules_of(algorithm):
    return algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting


def clip_truth(spectrum, algorithm, batch_size, steps):
    """Clipped residuals at a threshold that may move."""
    lam, n, floor, B = spectrum.eigenvalues, spectrum.counts, spectrum.risk_floor, batch_size
    noise, clip = spectrum.law.noise, algorithm.gradient
    unit = 1.0 if clip.kind == "residual" else 1.0 / math.sqrt(n @ lam)
    whole = floor + (0.0 if noise is None else noise.variance / 2)

    def gradient(t, excess, rho, chi):
        mu, nu, kappa = clip_numbers(noise, floor, excess, unit * float(clip.threshold(float(t))))
        square = n * lam * nu / B + lam**2 * rho * (kappa / B + (1 - 1 / B) * mu**2)
        return mu * lam * rho, mu * lam * chi, square

    start = spectrum.error_sq
    found = moments(start, schedules_of(algorithm), steps, lambda rho: lam @ rho, gradient)
    return whole + found / 2


def sign_truth(spectrum, algorithm, batch_size, steps):
    """Signs of coordinates that lie in no relation to the modes, Gaussian noise, any batch."""
    lam, n, floor = spectrum.eigenvalues, spectrum.counts, spectrum.risk_floor
    share, chi_mean = (n @ lam) / n.sum(), stats.chi(batch_size).mean()
    omega = lam / math.sqrt(share)
    noise = n * math.sqrt(share) * (2 / math.pi * lam / share + 1 - 2 / math.pi)

    def gradient(t, excess, rho, chi):
        mu = math.sqrt(2 / math.pi) * chi_mean / math.sqrt(2 * floor + excess)
        return mu * omega * rho, mu * omega * chi, noise

    start = math.sqrt(share) * spectrum.error_sq
    found = moments(start, schedules_of(algorithm), steps, lambda rho: omega @ rho, gradient)
    return floor + found / 2


def coordinates_truth(spectrum, algorithm, batch_size, steps):
    """Signs in the coordinates of a covariance: every entry of E r r^T; Gaussian noise."""
    K, theta = spectrum.law.basis.covariance, spectrum.law.basis.optimum
    root, floor = np.sqrt(np.diag(K)), spectrum.risk_floor
    eta, chi_mean = algorithm.gamma_2, stats.chi(batch_size).mean()
    signs = 2 / math.pi * np.arcsin(np.clip(K / np.outer(root, root), -1, 1))
    second, risk = np.outer(theta, theta), np.empty(steps + 1)
    for t in range(steps + 1):
        excess = np.sum(K * second)
        risk[t] = floor + excess / 2
        mu = math.sqrt(2 / math.pi) * chi_mean / math.sqrt(2 * floor + excess)
        pulled = float(eta(float(t))) * mu * (K / root[:, None]) @ second
        second = second - pulled - pulled.T + float(eta(float(t))) ** 2 * signs
    return risk


def saturated_truth(spectrum, algorithm, batch_size, steps):
    """Signs of single samples on a diagonal, E over each coordinate's error by a fine sum."""
    lam, floor = spectrum.eigenvalues, spectrum.risk_floor
    z = np.linspace(-9, 9, 2001)
    weight = stats.norm.pdf(z) * (z[1] - z[0])
    mean, square = -np.sqrt(spectrum.error_sq), spectrum.error_sq
    risk = np.empty(steps + 1)
    for t in range(steps + 1):
        twice = 2 * floor + lam @ square
        risk[t] = twice / 2
        r = mean + z[:, None] * np.sqrt(np.maximum(square - mean**2, 0))
        lean = 2 / math.pi * np.arcsin(np.clip(np.sqrt(lam / twice) * r, -1, 1))
        eta = float(algorithm.gamma_2(float(t)))
        square = square - 2 * eta * (weight @ (r * lean)) + eta**2
        mean = mean - eta * (weight @ lean)
    return risk


def noisy_truth(spectrum, algorithm, batch_size, steps):
    """Noise and a penalty, by the matrix of second moments of (theta, y, theta*)."""
    lam, n, floor = spectrum.eigenvalues, spectrum.counts, spectrum.risk_floor
    std, l2 = algorithm.gradient.std, algorithm.gradient.l2
    spread, optimum = algorithm.gradient.start_variance, spectrum.error_sq
    second = np.zeros((len(lam), 3, 3))  # of (theta - theta*, y, theta*) by modes
    second[:, 0, 0] = optimum + n * spread
    second[:, 0, 2] = second[:, 2, 0] = -optimum
    second[:, 2, 2] = optimum
    risk = np.empty(steps + 1)
    for t in range(steps + 1):
        twice = 2 * floor + lam @ second[:, 0, 0]
        risk[t] = twice / 2
        a, b, c, forget = (float(s(float(t))) for s in schedules_of(algorithm))
        pull = np.zeros((len(lam), 3))  # h less what is random, of (r, y, theta*)
        pull[:, 0], pull[:, 2] = lam + l2, l2
        momentum = a * pull + (1 - forget) * np.array([0.0, 1.0, 0.0])
        map_ = np.stack(
            [
                np.array([1.0, 0.0, 0.0]) - b * pull - c * momentum,
                momentum,
                np.broadcast_to([0.0, 0.0, 1.0], pull.shape),
            ],
            axis=1,
        )
        kick = np.array([-b - c * a, a, 0.0])
        drawn = (lam**2 * second[:, 0, 0] + n * lam * twice) / batch_size + n * std**2
        second = map_ @ second @ map_.swapaxes(1, 2) + drawn[:, None, None] * np.outer(kick, kick)
    return risk


def matrix_truth(problem, algorithm, batch_size, steps):
    """SGD, signs in unrelated coordinates and polar factors of a matrix; Gaussian noise."""
    spectrum, m, B = problem.spectrum, problem.outputs, batch_size
    lam, n, floor = spectrum.eigenvalues, spectrum.counts, spectrum.risk_floor
    along, start, read = lam, spectrum.error_sq, lam
    if algorithm.name == "sign-sgd":
        share = (n @ lam) / n.sum()
        along = read = lam / math.sqrt(share)
        start = math.sqrt(share) * start
        noise = m * n * math.sqrt(share) * (2 / math.pi * lam / share + 1 - 2 / math.pi)
        lean = math.sqrt(2 / math.pi) * 2 / math.pi  # a single sample's |a c|
    elif algorithm.name == "sign-svd":
        factors, shares = muon_drift(spectrum, m, B)  # held to its equations elsewhere
        along, noise, lean = lam * factors, n * shares, 1.0

    def gradient(t, excess, rho, chi):
        if algorithm.name == "sgd-momentum":
            own = lam * excess + 2 * lam**2 * rho
            square = (1 - 1 / B) * lam**2 * rho + ((m + 2) * own + m * 2 * floor * lam) / B
            return lam * rho, lam * chi, square
        mu = lean / math.sqrt(2 * floor + excess)
        return mu * along * rho, mu * along * chi, noise

    found = moments(start, schedules_of(algorithm), steps, lambda rho: read @ rho, gradient)
    return floor + found / 2


def adaptive_truth(spectrum, algorithm, batch_size, steps):
    """Adam and Signum on coordinates that are the modes, as SGD with momentum at moving rates."""
    lam, n, floor, B = spectrum.eigenvalues, spectrum.counts, spectrum.risk_floor, batch_size
    omega, eta = np.sqrt(lam), algorithm.eta
    if algorithm.name == "adam":  # drift and noise are held to runs elsewhere
        numbers, beta = adam_numbers(algorithm.beta_1, algorithm.beta_2, B), algorithm.beta_1
    else:
        numbers, beta = signum_numbers(algorithm.beta, B), algorithm.beta
    a, size = numbers.drift, {"v": 0.0}

    def gradient(t, excess, rho, chi):
        seen = (2 * floor + excess) / B
        size["v"] = seen
        if algorithm.name == "adam":
            size["sum"] = algorithm.beta_2 * size.get("sum", 0.0) + (1 - algorithm.beta_2) * seen
            size["v"] = size["sum"]
            if algorithm.bias_correction:
                size["v"] *= (1 - beta ** (t + 1)) ** 2 / (1 - algorithm.beta_2 ** (t + 1))
        noise = numbers.alone * n * omega
        return a * omega * rho, a * omega * chi, a**2 * omega**2 * rho + noise * seen

    schedules = (
        lambda t: 1 - beta,
        lambda t: 0.0,
        lambda t: eta(float(t)) / math.sqrt(size["v"]),
        lambda t: 1 - beta,
    )
    found = moments(omega * spectrum.error_sq, schedules, steps, lambda rho: omega @ rho, gradient)
    return floor + found / 2


def pairs_truth(spectrum, algorithm, batch_size, steps):
    """Signs of single samples in any coordinates: all second moments, E by a fine sum."""
    K, theta = spectrum.law.basis.covariance, spectrum.law.basis.optimum
    root, floor = np.sqrt(np.diag(K)), spectrum.risk_floor
    signs = 2 / math.pi * np.arcsin(np.clip(K / np.outer(root, root), -1, 1))
    z = np.linspace(-9, 9, 2001)
    weight = stats.norm.pdf(z) * (z[1] - z[0])
    mean, second, risk = -theta, np.outer(theta, theta), np.empty(steps + 1)
    for t in range(steps + 1):
        twice = 2 * floor + np.sum(K * second)
        risk[t] = twice / 2
        V, size = second - np.outer(mean, mean), root * math.sqrt(twice)
        spread = np.sqrt(np.maximum(np.diag(K @ V @ K), 0)) / size
        x = (K @ mean) / size + z[:, None] * spread
        lean = 2 / math.pi * np.arcsin(np.clip(x, -1, 1))
        slope = (weight * z) @ lean / np.maximum(spread, 1e-12)
        cross = np.outer(mean, weight @ lean) + V @ K * (slope / size)
        eta = float(algorithm.gamma_2(float(t)))
        second = second - eta * (cross + cross.T) + eta**2 * signs
        mean = mean - eta * (weight @ lean)
    return risk
