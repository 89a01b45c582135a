"""What exactly does each optimizer compute? The update rules as written, slow and plain.

Every optimizer of `hidim.torch` and `hidim.optax` is tested against these classes. Arrays are
NumPy float64, one array at a time; complex parameters are not handled here (an optimizer treats
them as pairs of reals, so compare their real views).

Conventions shared by all:

* `t` counts optimizer updates. The DANA family uses t = 0, 1, ...; the ADANA family and log-time
  weight decay use t = 1, 2, ... A fresh state may start at `initial_step` instead of 0: the
  first update then has t = initial_step (DANA) or initial_step + 1 (ADANA).
* `lr` scales gamma_2 and gamma_3 together, so a learning-rate schedule changes both alike. It is
  a plain attribute: set it between steps to play a schedule.
* Decoupled decay acts on the old parameter, as torch's AdamW does:
  p <- p (1 - lr weight_decay - (lr / peak_lr) omega / (t_0 + t)), then the update is added.

Sources: arXiv 2505.16098 (DANA), 2602.05298 (ADANA family), 2409.03137 (AdEMAMix),
Jain et al. 2018 (accelerated SGD), 2411.12135 (signSGD), 2407.01800 (normalize and project).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hidim.algorithms.update import momentum_step

Array = np.ndarray
Schedule = Callable[[float], float] | float


def value_at(schedule: Schedule, t: float) -> float:
    """The number a schedule has at update `t`; a plain number is constant."""
    return float(schedule(t)) if callable(schedule) else float(schedule)


# --- the DANA family: y <- (1 - Delta) y + gamma_1 g;  p <- p - gamma_2 g - gamma_3 y -----------


class GeneralMomentum:
    """p <- p - lr (gamma_2(t) g + gamma_3(t) y), y <- (1 - Delta(t)) y + gamma_1(t) g (new y).

    Weight decay is coupled as in torch's SGD, g <- g + weight_decay p, because the theory's ridge
    is part of the loss; `decoupled_weight_decay` shrinks p by 1 - lr weight_decay instead.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        gamma_1: Schedule = 1.0,
        gamma_2: Schedule = 1.0,
        gamma_3: Schedule = 0.0,
        forgetting: Schedule = 1.0,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        initial_step: int = 0,
    ) -> None:
        self.lr = lr
        self.gamma_1, self.gamma_2, self.gamma_3 = gamma_1, gamma_2, gamma_3
        self.forgetting = forgetting
        self.weight_decay = weight_decay
        self.decoupled_weight_decay = decoupled_weight_decay
        self.t = initial_step
        self.y: Array | None = None

    def step(self, p: Array, g: Array) -> Array:
        """The parameter after one update with gradient `g`."""
        t = self.t
        if self.weight_decay and self.decoupled_weight_decay:
            p = p * (1 - self.lr * self.weight_decay)
        elif self.weight_decay:
            g = g + self.weight_decay * p
        self.y = np.zeros_like(p) if self.y is None else self.y
        self.t += 1
        rates = (self.lr * value_at(gamma, t) for gamma in (self.gamma_2, self.gamma_3))
        values = (value_at(self.gamma_1, t), *rates, 1 - value_at(self.forgetting, t))
        moved = np.array(p, dtype=np.float64)
        momentum_step(moved, self.y, np.array(g, dtype=np.float64), values)
        return moved


class DANADecaying(GeneralMomentum):
    """gamma_1 = 1, gamma_2 = lr, gamma_3 = c_3 lr (1+t)^-kappa_3, Delta = delta / (delta + t)."""

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        c_3: float = 1.0,
        kappa_3: float = 0.85,
        delta: float = 8.0,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        initial_step: int = 0,
    ) -> None:
        super().__init__(
            lr,
            gamma_3=lambda t: c_3 * (1 + t) ** -kappa_3,
            forgetting=lambda t: delta / (delta + t),
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            initial_step=initial_step,
        )


class DANAConstant(DANADecaying):
    """gamma_3 = c_3 lr / dimension, the rest as in `DANADecaying`."""

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        dimension: float,
        c_3: float = 1.0,
        delta: float = 8.0,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        initial_step: int = 0,
    ) -> None:
        super().__init__(
            lr,
            c_3=c_3 / dimension,
            kappa_3=0.0,
            delta=delta,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            initial_step=initial_step,
        )


class StochasticNesterov(GeneralMomentum):
    """gamma_1 = (t+1)^2/(t+2) - (t+1)/(t+2), gamma_2 = lr, gamma_3 = lr/(t+1), Delta = 1/(t+2).

    The sources put the rate in gamma_1; here it is in gamma_3, the same at a constant rate. It
    diverges for every rate and is for study.
    """

    def __init__(self, lr: float = 1e-3, *, weight_decay: float = 0.0, initial_step: int = 0):
        super().__init__(
            lr,
            gamma_1=lambda t: ((t + 1) ** 2 - (t + 1)) / (t + 2),
            gamma_3=lambda t: 1 / (t + 1),
            forgetting=lambda t: 1 / (t + 2),
            weight_decay=weight_decay,
            initial_step=initial_step,
        )


class AcceleratedSGD:
    """Jain et al. 2018 in its own three sequences, with the parameter p at the query point q.

    w <- q - lr g;  v <- mixing q + (1 - mixing) v - long_step g;  q <- anchor w + (1 - anchor) v,
    where, in the parameters of Kidambi et al. 2018, mixing = c^2 xi / kappa,
    long_step = c xi lr and anchor = c / (c + mixing), c = `small_const`.
    As a member of the DANA family: gamma_2 = lr, gamma_3 = (1 - anchor)(long_step - lr),
    Delta = 1 - anchor (1 - mixing).
    """

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        kappa: float = 1000.0,
        xi: float = 10.0,
        small_const: float = 0.7,
        weight_decay: float = 0.0,
    ) -> None:
        self.lr, self.xi, self.small_const = lr, xi, small_const
        self.mixing = small_const**2 * xi / kappa
        self.anchor = small_const / (small_const + self.mixing)
        self.weight_decay = weight_decay
        self.v: Array | None = None

    def step(self, p: Array, g: Array) -> Array:
        """The query point after one update with gradient `g` taken at `p`."""
        g = g + self.weight_decay * p
        v = p if self.v is None else self.v
        w = p - self.lr * g
        long_step = self.small_const * self.xi * self.lr
        self.v = self.mixing * p + (1 - self.mixing) * v - long_step * g
        return self.anchor * w + (1 - self.anchor) * self.v


# --- the ADANA family: log-time averages of g and g^2, no bias correction -----------------------


class _LogTimeAdaptive:
    """Counts t = 1, 2, ..., keeps m and v with weight a = delta / (delta + t), and decays p."""

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        kappa: float = 0.85,
        delta: float = 8.0,
        eps: float = 1e-8,
        alpha_scale: float = 1.0,
        weight_decay: float = 0.0,
        omega: float = 0.0,
        t_0: float = 1000.0,
        peak_lr: float | None = None,
        decay_after: bool = False,
        initial_step: int = 0,
    ) -> None:
        self.lr, self.kappa, self.delta, self.eps = lr, kappa, delta, eps
        self.alpha_scale = alpha_scale
        self.weight_decay, self.omega, self.t_0 = weight_decay, omega, t_0
        self.peak_lr = lr if peak_lr is None else peak_lr
        self.decay_after = decay_after
        self.t = initial_step
        self.m: Array | float = 0.0
        self.v: Array | float = 0.0

    def step(self, p: Array, g: Array) -> Array:
        """The parameter after one update with gradient `g`."""
        self.t += 1
        keep = 1.0
        if self.weight_decay:
            keep -= self.lr * self.weight_decay
        if self.omega:
            keep -= log_time_decay(self.lr / self.peak_lr, self.omega, self.t_0, self.t)
        change = -self.lr * self.direction(g)
        return (p + change) * keep if self.decay_after else p * keep + change

    def direction(self, g: Array) -> Array:
        raise NotImplementedError

    def _averages(self, g: Array) -> tuple[Array, Array]:
        weight = self.delta / (self.delta + self.t)
        self.m = (1 - weight) * self.m + weight * g
        self.v = (1 - weight) * self.v + weight * g * g
        return self.m, np.sqrt(self.v) + self.eps


class ADANA(_LogTimeAdaptive):
    """-lr [gradient_scale g/s + alpha(t) m/s], s = sqrt(v) + eps.

    alpha = 1 + alpha_scale (1+t)^(1-kappa) as in the authors' code; `alpha_form="readme"` leaves
    the 1 out, as their page writes it, and "whole" scales it too. `gradient_scale=0, alpha_scale=0`
    in the code's form is Adam with beta_1 = beta_2 = 1 - delta/(delta+t) and no bias correction.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        alpha_form: str = "code",
        gradient_scale: float = 1.0,
        **options: object,
    ) -> None:
        super().__init__(lr, **options)  # type: ignore[arg-type]
        self.alpha_form, self.gradient_scale = alpha_form, gradient_scale

    def direction(self, g: Array) -> Array:
        m, s = self._averages(g)
        growth = (1 + self.t) ** (1 - self.kappa)
        alpha = self.alpha_scale * (growth + (1.0 if self.alpha_form == "whole" else 0.0))
        alpha += 1.0 if self.alpha_form == "code" else 0.0
        return self.gradient_scale * g / s + alpha * m / s


class DanaMK4(_LogTimeAdaptive):
    """-lr [g/s + sign(m) min(alpha_scale (1+t)^(1-kappa) |m|/s, clip) + m/s]."""

    def __init__(self, lr: float = 1e-3, *, clip: float = 2.0, **options: object) -> None:
        super().__init__(lr, **options)  # type: ignore[arg-type]
        self.clip = clip

    def direction(self, g: Array) -> Array:
        m, s = self._averages(g)
        extra = self.alpha_scale * (1 + self.t) ** (1 - self.kappa) * np.abs(m) / s
        return g / s + np.sign(m) * np.minimum(extra, self.clip) + m / s


class DanaStar(_LogTimeAdaptive):
    """-lr [g n + sign(m) (tau_hat extra + |m| n)], extra = alpha_scale T^(1-kappa) |m| n / tau_hat.

    tau is the log-time average of |g|/(|g| + s): how often the coordinate is seen;
    tau_hat = max(min(tau, 1/2) / (1 - min(tau, 1/2)), 1/(1+t)), n = sqrt(tau_hat)/s,
    T = max(tau t, 1) is the coordinate's own time.
    """

    clip = np.inf

    def __init__(self, lr: float = 1e-3, **options: object) -> None:
        super().__init__(lr, **options)  # type: ignore[arg-type]
        self.tau: Array | float = 0.0

    def direction(self, g: Array) -> Array:
        m, s = self._averages(g)
        weight = self.delta / (self.delta + self.t)
        self.tau = (1 - weight) * self.tau + weight * np.abs(g) / (np.abs(g) + s)
        capped = np.minimum(self.tau, 0.5)
        tau_hat = np.maximum(capped / (1 - capped), 1 / (1 + self.t))
        n = np.sqrt(tau_hat) / s
        own_time = np.maximum(self.tau * self.t, 1.0)
        extra = self.alpha_scale * own_time ** (1 - self.kappa) * np.abs(m) * n / tau_hat
        extra = np.minimum(extra, self.clip)
        return g * n + np.sign(m) * (tau_hat * extra + np.abs(m) * n)


class DanaStarMK4(DanaStar):
    """`DanaStar` with the inner term `extra` clipped at `clip`."""

    def __init__(self, lr: float = 1e-3, *, clip: float = 2.0, **options: object) -> None:
        super().__init__(lr, **options)
        self.clip = clip


class LogTimeAdEMAMix(_LogTimeAdaptive):
    """-lr (m_1 / (1 - beta_1^t) + alpha m_2) / (sqrt(v / (1 - beta_2^t)) + eps).

    AdEMAMix whose slow average m_2 has weight delta/(delta+t) and whose alpha grows as
    alpha_scale (1+t)^(1-kappa). m_1 and v are Adam's, bias correction included: it counts the
    updates of the state itself, so `initial_step` does not enter it.
    """

    def __init__(
        self, lr: float = 1e-3, *, betas: tuple[float, float] = (0.9, 0.999), **options: object
    ) -> None:
        super().__init__(lr, **options)  # type: ignore[arg-type]
        self.betas = betas
        self.m_1: Array | float = 0.0
        self.first = self.t

    def direction(self, g: Array) -> Array:
        beta_1, beta_2 = self.betas
        weight = self.delta / (self.delta + self.t)
        self.m_1 = beta_1 * self.m_1 + (1 - beta_1) * g
        self.m = (1 - weight) * self.m + weight * g
        self.v = beta_2 * self.v + (1 - beta_2) * g * g
        alpha = self.alpha_scale * (1 + self.t) ** (1 - self.kappa)
        updates = self.t - self.first
        scale = np.sqrt(self.v / (1 - beta_2**updates)) + self.eps
        return (self.m_1 / (1 - beta_1**updates) + alpha * self.m) / scale


# --- for study, and the two wrappers ------------------------------------------------------------


def sign_sgd(p: Array, g: Array, lr: float, weight_decay: float = 0.0) -> Array:
    """p (1 - lr weight_decay) - lr sign(g); the paper's step is lr = eta / d."""
    return p * (1 - lr * weight_decay) - lr * np.sign(g)


def log_time_decay(schedule_factor: float, omega: float, t_0: float, t: float) -> float:
    """The share of the old parameter removed at t = 1, 2, ...: factor omega / (t_0 + t).

    `schedule_factor` is lr / peak lr, not lr. The source takes omega = 4, t_0 = T/10 for T
    updates. At t_0 = 0 the first step would remove omega times the weights.
    """
    return schedule_factor * omega / (t_0 + t)


def project_to_norm(p: Array, norm: float) -> Array:
    """`p` rescaled to Euclidean norm `norm`; a zero array stays zero (2407.01800)."""
    size = float(np.linalg.norm(p))
    return p * (norm / size) if size > 0 else p
