"""Independent truths for the moment engines: plain recursions, and powers of the full map."""

import math
from decimal import Decimal, localcontext

import numpy as np

import hidim


def sampled_spectrum(alpha, beta, d, v, seed=1):
    """Power-law random features with W drawn, by a singular value decomposition."""
    W = np.random.default_rng(seed).standard_normal((v, d)) / math.sqrt(d)
    j = np.arange(1, v + 1.0)
    left, singular, _ = np.linalg.svd((j**-alpha)[:, None] * W, full_matrices=False)
    target = j ** -(alpha + beta)
    seen = left.T @ target
    residual = target - left @ seen
    return hidim.Spectrum(singular**2, (seen / singular) ** 2, 0.5 * residual @ residual)


def plain_recursion(spectrum, algorithm, batch_size, steps):
    """Risk at steps 0..steps, the three moments written out as in the source."""
    lam, n, B = spectrum.eigenvalues, spectrum.counts, batch_size
    rho, sig, chi = np.array(spectrum.error_sq), np.zeros_like(lam), np.zeros_like(lam)
    risk = np.full(steps + 1, np.inf)
    t = np.arange(steps + 1.0)
    schedules = [s(t) for s in (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3)]
    forgetting = algorithm.forgetting(t)
    e = (B + 1) / B if math.isfinite(B) else 1.0
    for k in range(steps + 1):
        two_p = 2 * spectrum.risk_floor + lam @ rho
        risk[k] = 0.5 * two_p
        if not two_p < 1e280:
            break
        g1, g2, g3 = (s[k] for s in schedules)
        D, G = 1 - forgetting[k], g2 + g1 * g3
        feed = n * lam * two_p / B
        rho, sig, chi = (
            rho * (1 - 2 * G * lam + e * G**2 * lam**2)
            + g3**2 * D**2 * sig
            + (-2 * g3 * D + 2 * G * g3 * D * lam) * chi
            + G**2 * feed,
            e * g1**2 * lam**2 * rho + D**2 * sig + 2 * g1 * D * lam * chi + g1**2 * feed,
            (g1 * lam - e * G * g1 * lam**2) * rho
            - g3 * D**2 * sig
            + (D - (G + g1 * g3) * D * lam) * chi
            - G * g1 * feed,
        )
    return risk


def matrix_powers(spectrum, algorithm, batch_size, steps):
    """Risk at each of `steps` for constant schedules: powers of the full map, extended floats."""
    lam, n, B = spectrum.eigenvalues, spectrum.counts, batch_size
    g1, g2, g3 = (s.constant for s in (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3))
    D = 1 - algorithm.forgetting.constant
    G, e = g2 + g1 * g3, (B + 1) / B
    zero, modes = 0 * lam, len(lam)
    rows = [
        [-2 * G * lam + e * G**2 * lam**2, g3**2 * D**2 + zero, -2 * g3 * D * (1 - G * lam)],
        [e * g1**2 * lam**2, D**2 - 1 + zero, 2 * g1 * D * lam],
        [g1 * lam - e * G * g1 * lam**2, -g3 * D**2 + zero, D - 1 - (G + g1 * g3) * D * lam],
    ]
    change = np.zeros((3 * modes + 1, 3 * modes + 1), dtype=np.longdouble)
    for a, row in enumerate(rows):
        for b, entry in enumerate(row):
            change[a * modes : (a + 1) * modes, b * modes : (b + 1) * modes] += np.diag(entry)
    feed = np.concatenate([G**2 * n * lam, g1**2 * n * lam, -G * g1 * n * lam]) / B
    change[:-1, :modes] += np.outer(feed, lam)
    change[:-1, -1] += feed * 2 * spectrum.risk_floor
    state = np.zeros(3 * modes + 1, dtype=np.longdouble)
    state[:modes], state[-1] = spectrum.error_sq, 1.0
    states = {t: state for t in steps}
    for k in range(max(steps).bit_length()):
        for t in steps:
            if t >> k & 1:
                states[t] = states[t] + change @ states[t]
        change = 2 * change + change @ change
    return np.array([float(0.5 * lam @ states[t][:modes]) for t in steps]) + spectrum.risk_floor


def recursion(spectrum, algorithm, batch_size, steps, readout="gradient"):
    """Risk at steps 0..steps from the update rule itself, read at any point."""
    return recursions(spectrum, [(algorithm, batch_size)], steps, readout)[:, 0]


def recursions(spectrum, runs, steps, readout="gradient"):
    """The same for several pairs (algorithm, batch size) side by side, (steps + 1, runs)."""
    t = np.arange(steps + 1.0)
    g1, g2, g3, forgetting, w = (
        np.stack([np.broadcast_to(f(t), t.shape) for f in column], axis=1)[..., None]
        for column in zip(
            *((a.gamma_1, a.gamma_2, a.gamma_3, a.forgetting, a.readout(readout)) for a, _ in runs),
            strict=True,
        )
    )  # (steps + 1, runs, 1)
    keep, inverse = 1 - forgetting, np.array([[1 / batch] for _, batch in runs])
    lam, n = spectrum.eigenvalues, spectrum.counts
    kappa, kappa_e = spectrum.law.kurtosis, spectrum.law.noise_kurtosis
    rr = np.tile(spectrum.error_sq, (len(runs), 1))
    yy, ry = np.zeros_like(rr), np.zeros_like(rr)
    shown = np.empty((steps + 1, len(runs)))
    for k in range(steps + 1):
        shown[k] = spectrum.risk_floor + 0.5 * (rr + 2 * w[k] * ry + w[k] ** 2 * yy) @ lam
        two_p = 2 * spectrum.risk_floor + (rr @ lam)[:, None]
        seen = kappa * (two_p - 2 * spectrum.risk_floor) + kappa_e * 2 * spectrum.risk_floor
        gg = (1 + (2 * kappa - 1) * inverse) * lam**2 * rr + inverse * n * lam * seen  # E g^2
        rg, yg = lam * rr, lam * ry  # E r g, E y g
        # y' = keep y + g1 g;  r' = r - g2 g - g3 y'
        yy_new = keep[k] ** 2 * yy + 2 * keep[k] * g1[k] * yg + g1[k] ** 2 * gg
        ry_new = keep[k] * ry + g1[k] * rg
        gy_new = keep[k] * yg + g1[k] * gg
        rr = rr + g2[k] ** 2 * gg + g3[k] ** 2 * yy_new
        rr += 2 * g2[k] * (g3[k] * gy_new - rg) - 2 * g3[k] * ry_new
        ry = ry_new - g2[k] * gy_new - g3[k] * yy_new
        yy = yy_new
    return shown


def descent(spectrum, algorithm, steps, digits=60):
    """Full batches at constant rates: the risk at each of `steps`, in decimals of that many digits.

    Every mode is a power of one 2 x 2 map of (r, y).
    """
    with localcontext() as context:
        context.prec = digits
        g1, g2, g3, forgetting = (
            Decimal(s.constant)
            for s in (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting)
        )
        keep, total = 1 - forgetting, g2 + g1 * g3
        risks = {step: Decimal(spectrum.risk_floor) for step in steps}
        for lam, error_sq in zip(spectrum.eigenvalues, spectrum.error_sq, strict=True):
            lam, weight = Decimal(float(lam)), Decimal(float(error_sq)) / 2
            maps = [(1 - total * lam, -g3 * keep, g1 * lam, keep)]
            while len(maps) < max(steps).bit_length():
                a, b, c, d = maps[-1]
                maps.append((a * a + b * c, b * (a + d), c * (a + d), b * c + d * d))
            for step in risks:
                r, y = Decimal(1), Decimal(0)
                for k, (a, b, c, d) in enumerate(maps):
                    if step >> k & 1:
                        r, y = a * r + b * y, c * r + d * y
                risks[step] += weight * lam * r * r
        return [risks[step] for step in steps]
