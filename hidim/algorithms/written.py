"""How is a schedule written into the provenance of a curve, and read back from there?

    0.3                                      a constant
    PowerLaw(scale=0.1, t_exponent=0.5)      another, as it prints
    0.3 * Cosine(steps=20000, final=0.0)     a product

Limits: a schedule from outside the package is read back where its module was imported and it
prints as dataclasses do. Text is taken apart, never run.
"""

from __future__ import annotations

import ast
import math
from typing import Any

from hidim.algorithms.schedule_classes import find_printed
from hidim.algorithms.schedules import Constant, Product, Schedule, as_schedule
from hidim.support.checks import shown

_NUMBERS = {"inf": math.inf, "nan": math.nan, "True": True, "False": False, "None": None}


def written(schedule: Schedule) -> Any:
    """A constant as its number, anything else as text.

    >>> from hidim.algorithms.schedules import Cosine
    >>> written(0.3 * Cosine(100))
    '0.3 * Cosine(steps=100, final=0.0)'
    """
    if isinstance(schedule, Constant):
        return schedule.value
    if isinstance(schedule, Product):
        return " * ".join(str(written(factor)) for factor in schedule.factors)
    return repr(schedule)


def read_written(text: Any) -> Schedule:
    """The schedule behind `written`.

    Raises:
        ValueError: it is none, or of a class that this process does not know.

    >>> float(read_written("0.3 * PowerLaw(scale=1.0, t_exponent=0.5)")(3))
    0.15
    """
    from hidim.algorithms import decays  # noqa: F401  (on use: its classes must be known)

    if isinstance(text, int | float):
        return as_schedule("schedule", text)
    try:
        return as_schedule("schedule", _value(ast.parse(str(text), mode="eval").body))
    except (SyntaxError, TypeError, LookupError, RecursionError, MemoryError):
        raise ValueError(f"no schedule prints as {shown(text)}.") from None


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return _NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        first, second = _value(node.left), _value(node.right)
        return as_schedule("schedule", first) * as_schedule("schedule", second)
    if isinstance(node, ast.Call):
        return _called(node)
    raise TypeError


def _called(node: ast.Call) -> Any:
    if isinstance(node.func, ast.Attribute):  # how NumPy prints its numbers: np.float64(0.1)
        return _value(node.args[0])
    if not isinstance(node.func, ast.Name):
        raise TypeError
    given = {str(word.arg): _value(word.value) for word in node.keywords}
    return find_printed(node.func.id)(*(_value(item) for item in node.args), **given)
