"""Why is a method refused? Each way of leaving the rules has a name."""

from __future__ import annotations


class Refused(ValueError):
    """A method left the rules; the message names it and says how."""


class OverBudget(Refused):
    """It asked for more gradients than the run has."""


class Idle(Refused):
    """It made a step without a gradient, which would never end."""


class ForbiddenAccess(Refused):
    """It reached for files, data sets, other processes or the network."""


class WeightsReplaced(Refused):
    """It put other tensors in the place of the model's."""


class Silent(Refused):
    """It did not answer in time."""


class Broken(Refused):
    """Its code raised an error, or its process died."""


KINDS: dict[str, type[Refused]] = {
    kind.__name__: kind
    for kind in (OverBudget, Idle, ForbiddenAccess, WeightsReplaced, Silent, Broken)
}
