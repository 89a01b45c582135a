"""From the algorithm whose curve was predicted to the optimizer that trains it."""

from __future__ import annotations

from typing import Any

from hidim.algorithms.gradients import IN_TRAINING, plain_gradient
from hidim.algorithms.momentum import Momentum
from hidim.torch._machine.optimizer import Params
from hidim.torch.general_momentum import GeneralMomentum


def from_algorithm(algorithm: Momentum, params: Params, **options: Any) -> GeneralMomentum:
    """An optimizer that does exactly the updates of `algorithm`.

    The prediction's gradient is that of the loss with the 1/2, averaged over the batch: train on
    ``0.5 * (residual ** 2).mean()``.

    Args:
        algorithm: a member of hidim's momentum family, for example ``hidim.dana_decaying(...)``.
        params: parameters, named parameters or groups.
        options: further options of `GeneralMomentum`; `lr`, 1 by default, multiplies the
            algorithm's `rates`, as `algorithm.scheduled` does.

    Returns:
        A `GeneralMomentum` with the algorithm's four schedules.

    Raises:
        ValueError: `algorithm` is not a `hidim.Momentum`, or has a gradient of its own.

    Example:
        >>> import torch, hidim
        >>> optimizer = from_algorithm(
        ...     hidim.dana_decaying(0.1, 0.1, 0.5, 8.0), [torch.nn.Parameter(torch.zeros(3))])
        >>> optimizer.param_groups[0]["gamma_3"]
        PowerLaw(scale=0.1, t_exponent=0.5)
    """
    if not isinstance(algorithm, Momentum):
        raise ValueError(
            f"`algorithm` must be a hidim.Momentum, got {algorithm!r}; "
            "for example hidim.dana_decaying(0.1, 0.1, 0.5, 8.0)."
        )
    plain_gradient(algorithm, IN_TRAINING)
    names = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
    schedules = {name: getattr(algorithm, name) for name in names}
    chosen = {"lr": 1.0, "rates": tuple(algorithm.rates), **schedules, **options}
    return GeneralMomentum(params, **chosen)
