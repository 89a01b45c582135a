"""A schedule is the same in a tensor's time and after a checkpoint, whoever wrote its class."""

import copy
import importlib
import io
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from schedule_examples import BUILT_IN, schedules
from torch.nn import Parameter

import hidim
import hidim.torch as ours
from hidim.algorithms import schedule_classes
from hidim.algorithms.decays import (
    ExponentialDecay,
    PolynomialDecay,
    PowerFall,
    PowerTail,
    Rise,
    Tail,
)
from hidim.algorithms.schedules import Complement, Schedule, Warmup
from hidim.torch._machine.plain import from_plain, to_plain
from hidim.torch._machine.schedules import value_at

STEPS = np.concatenate([np.arange(0.0, 40.0), np.geomspace(40.5, 1e6, 24)])


@dataclass(frozen=True)
class Ramp(Schedule):
    """What a user may write: nested, with text, a default and a derived field."""

    low: float
    inner: Schedule
    knots: tuple[float, ...] = (1.0, 2.0)
    label: str = "up"
    count: int = field(init=False, default=0)

    def __post_init__(self):
        object.__setattr__(self, "count", len(self.knots))

    def __call__(self, t):
        return self.low + self.count * self.inner(t)


@dataclass(frozen=True)
class SlowWarmup(Warmup):
    """A child with a formula of its own."""

    def __call__(self, t):
        return super().__call__(t) ** 2


class Wave(Schedule):
    """No dataclass: nobody can tell what it is made of."""

    def __init__(self, period):
        self.period = period

    def __call__(self, t):
        return 1 + np.sin(np.asarray(t, dtype=np.float64) / self.period)


@dataclass(frozen=True)
class Holding(Schedule):
    """Holds whatever it is given."""

    what: object

    def __call__(self, t):
        return np.ones(np.shape(t))


@dataclass(frozen=True, init=False)
class Halved(Schedule):
    """Does not come back as what its fields say."""

    value: float

    def __init__(self, value):
        object.__setattr__(self, "value", value / 2)

    def __call__(self, t):
        return np.full(np.shape(t), self.value)


OWN = [
    Ramp(0.1, Warmup(5)),
    Ramp(0.1, Ramp(0.2, hidim.Table([0, 4], [1, 0]), knots=(3.0,), label="é")),
    0.5 * Ramp(0.0, hidim.Constant(1.0)) * Warmup(9),
    SlowWarmup(7),
    Holding(None),
    Holding(np.float32(0.5)),
    Holding((1, (True, "b"), (Warmup(3),))),
]


def saved(optimizer):
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


def momentum(schedule, **options):
    return ours.GeneralMomentum([Parameter(torch.zeros(3))], gamma_2=schedule, **options)


# --- the value at a tensor --------------------------------------------------------------------


@given(schedules)
def test_a_tensor_of_times_gives_the_values_of_numpy(schedule):
    value = torch.as_tensor(value_at(schedule, torch.tensor(STEPS)), dtype=torch.float64)
    # float64 on both sides: a few roundings, of 1 where a schedule ends in a difference.
    np.testing.assert_allclose(
        value.expand(len(STEPS)), schedule(STEPS), rtol=1e-13, atol=1e-15 * schedule(STEPS).max()
    )


EXAMPLES = {
    "Complement": Complement(Warmup(6)),
    "Product": 0.1 * Warmup(5) * hidim.Cosine(20),
    "PolynomialDecay": PolynomialDecay(0.5, 30, 2.0),
    "ExponentialDecay": ExponentialDecay(0.5, 30, 0.01, start=10),
    "Tail": Tail(10, 30, 0.1),
    "Tail, sqrt": Tail(10, 30, 0.1, "sqrt"),
    "PowerTail": PowerTail(10, 30, 0.1, 2.0),
    "Rise": Rise(10, 0.04),
    "PowerFall": PowerFall(5.0, 0.5),
    "PowerFall, until": PowerFall(5.0, 0.5, 20.0),
    "Table": hidim.Table([0, 5, 9], [1.0, 0.3, 0.7]),
    "Table, previous": hidim.Table([0, 5, 9], [1.0, 0.3, 0.7], "previous"),
    "WSD": hidim.WSD(30, 5, 0.3),
    "WSD, exponential": hidim.WSD(30, 0, 0.3, 0.1, "exponential"),
    "Cosine": hidim.Cosine(20, 0.1),
    "CoolDown": hidim.CoolDown(25, 0.2),
    "RiskMatched": hidim.RiskMatched(0.5, 20, 1.0),
    "RiskMatched, exponential": hidim.RiskMatched(0.5, 20, 2.0),
    "RiskMatched, steep": hidim.RiskMatched(0.5, 20, 3.5),
    "PowerLaw": hidim.PowerLaw(1.0, 0.6),
    "Forgetting": hidim.Forgetting(8.0),
    "NesterovWeight": hidim.algorithms.schedules.NesterovWeight(0.1),
    "AverageWeight": hidim.algorithms.schedules.AverageWeight(2.0),
    "Warmup": Warmup(7),
    "Constant": hidim.Constant(0.5),
}


def test_every_schedule_is_traced_whole_by_the_compiler():
    assert {name.split(",")[0] for name in EXAMPLES} == {kind.__name__ for kind in BUILT_IN}

    def all_of_them(t):
        return torch.stack([value_at(s, t) * torch.ones_like(t) for s in EXAMPLES.values()])

    times = torch.arange(40, dtype=torch.float64)
    traced = torch.compile(all_of_them, fullgraph=True, backend="eager")(times)
    expected = np.stack([schedule(times.numpy()) for schedule in EXAMPLES.values()])
    np.testing.assert_allclose(traced, expected, rtol=1e-13, atol=1e-15)


@dataclass(frozen=True)
class Ripple(Schedule):
    """One's own, written for any array library."""

    period: float

    def __call__(self, t, xp=np):
        return 1 + xp.cos(xp.asarray(t, dtype=xp.float64) / self.period) ** 2


def test_a_users_formula_for_any_library_is_traced_whole_by_the_compiler():
    schedule = 0.1 * Warmup(5) * Ripple(3.0)
    times = torch.arange(20, dtype=torch.float64)
    traced = torch.compile(lambda t: value_at(schedule, t), fullgraph=True, backend="eager")
    np.testing.assert_allclose(traced(times), schedule(times.numpy()), rtol=1e-13)
    torch.testing.assert_close(steps_of(schedule, capturable=True), steps_of(schedule))


def steps_of(schedule, **path):
    optimizer = momentum(schedule, lr=0.1, **path)
    (p,) = optimizer.param_groups[0]["params"]
    for step in range(12):
        p.grad = torch.full((3,), 1.0 + step)
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize("name", EXAMPLES)
def test_capturable_steps_are_the_plain_ones(name):
    # float32 parameters, coefficients in float64: the last bits of the sums may differ.
    torch.testing.assert_close(
        steps_of(EXAMPLES[name], capturable=True), steps_of(EXAMPLES[name]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "schedule", [OWN[0], 0.5 * SlowWarmup(7), Wave(3.0)], ids=["own", "product", "callable"]
)
def test_a_schedule_that_torch_cannot_evaluate_is_refused_before_training(schedule):
    with pytest.raises(ValueError, match=r"Ramp|SlowWarmup|Wave"):
        momentum(schedule, capturable=True)
    optimizer = momentum(1.0, capturable=True)
    with pytest.raises(ValueError, match=r"Ramp|SlowWarmup|Wave"):
        optimizer.add_param_group({"params": [Parameter(torch.zeros(2))], "gamma_3": schedule})
    assert torch.isfinite(steps_of(schedule)).all()


# --- checkpoints ------------------------------------------------------------------------------


@given(schedules)
def test_a_weights_only_checkpoint_brings_the_same_schedule_back(schedule):
    stream = io.BytesIO()
    torch.save(to_plain(schedule), stream)
    stream.seek(0)
    assert from_plain(torch.load(stream, weights_only=True)) == schedule


@pytest.mark.parametrize("schedule", OWN, ids=lambda s: type(s).__name__)
def test_a_users_schedule_survives_a_weights_only_checkpoint(schedule):
    other = momentum(1.0)
    other.load_state_dict(saved(momentum(0.5 * schedule, gamma_3=schedule)))
    assert other.param_groups[0]["gamma_2"] == 0.5 * schedule
    assert other.param_groups[0]["gamma_3"] == schedule
    wrapped = ours.LogTimeWeightDecay(torch.optim.SGD([Parameter(torch.zeros(3))], lr=0.1))
    wrapped.param_groups[0]["mine"] = {"of": [schedule]}
    wrapped.load_state_dict(saved(wrapped))
    assert wrapped.param_groups[0]["mine"] == {"of": [schedule]}


REFUSED = {
    "no dataclass": (Wave(3.0), "not a dataclass"),
    "a lambda": (Holding(lambda t: t), "`what` holds a function"),
    "a tensor": (Holding(torch.ones(3)), "`what` holds a Tensor"),
    "a set": (Holding(frozenset({1})), "`what` holds a frozenset"),
    "an object": (Holding((1.0, object())), "`what` holds a object"),
    "deep inside": (Warmup(4) * Complement(Holding(torch.float32)), "`what` holds a dtype"),
    "deep inside, no dataclass": (Warmup(4) * Complement(Wave(3.0)), "Wave .* not a dataclass"),
    "other fields": (Halved(1.0), "has others"),
}


@pytest.mark.parametrize(("schedule", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_plain_data_cannot_say_is_refused_in_one_line(schedule, reason):
    optimizer = momentum(schedule)
    with pytest.raises(ValueError, match=reason) as refusal:
        optimizer.state_dict()
    assert "Table of its values" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_can_be_changed_or_is_no_schedule_is_refused_at_once():
    @dataclass
    class Loose(Schedule):
        value: float

        def __call__(self, t):
            return np.full(np.shape(t), self.value)

    for wrong in (Loose(1.0), Holding([1.0]), Holding(np.ones(3)), lambda t: t):
        with pytest.raises(ValueError, match=r"`gamma_2` .*frozen dataclass"):
            momentum(wrong)


def test_a_class_replaced_by_another_of_its_name_is_not_mistaken_for_it():
    def made(factor):
        @dataclass(frozen=True)
        class Local(Schedule):
            value: float

            def __call__(self, t):
                return np.full(np.shape(t), factor * self.value)

        return Local(1.0)

    first = momentum(made(1.0))
    state = saved(first)
    made(2.0)
    with pytest.raises(ValueError, match="another class was defined under this name"):
        first.state_dict()
    momentum(1.0).load_state_dict(state)  # the newest of the name, as after running a cell again


MODULE = """
from dataclasses import dataclass
from hidim.algorithms import Schedule

@dataclass(frozen=True)
class Mine(Schedule):
    value: float
    def __call__(self, t):
        return self.value + 0.0 * t
"""


def test_a_schedule_is_read_once_the_module_that_defines_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "my_schedules.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = importlib.import_module("my_schedules")
    state = saved(momentum(mine.Mine(0.5)))
    del schedule_classes._KNOWN["my_schedules.Mine"]  # as in a process that has not imported it
    other = momentum(1.0)
    with pytest.raises(ValueError, match=r"my_schedules\.Mine.*import the module") as refusal:
        other.load_state_dict(state)
    assert str(refusal.value).endswith("first. Nothing has been changed.")
    importlib.reload(mine)
    other.load_state_dict(state)
    assert other.param_groups[0]["gamma_2"] == mine.Mine(0.5)


def test_a_checkpoint_calls_nothing_but_schedules_and_changes_nothing_when_refused():
    optimizer = momentum(Warmup(5))
    state = optimizer.state_dict()
    for made_up, message in [
        ({"hidim.schedule": "builtins.print", "value": 1}, "builtins.print"),
        ({"hidim.schedule": "Schedule"}, "Schedule"),
        ({"hidim.schedule": "os.system"}, "os.system"),
        ({"hidim.schedule": ["Warmup"]}, "must be text"),
        ({"hidim.schedule": "Warmup", "steps": 5, "more": 1}, "more"),
        ({"hidim.schedule": "Warmup"}, "steps"),
        ({"hidim.schedule": "Warmup", "steps": -5}, "at least 1"),
        ({"hidim.schedule": "Warmup", 7: 5}, "Warmup"),
        ('{"hidim.schedule": "os.system"}', "os.system"),
        ('{"hidim.schedule": "Warmup", "steps": 5, "more": 1}', "more"),
        ('{"hidim.schedule": "Warmup", "st', "cannot be read"),
        ('{"hidim.schedule": 7}', "must be text"),
        ({"schedule": "Warmup", "steps": "many"}, "steps"),
        ({"schedule": "Unheard", "steps": 5}, "gamma_2"),
    ]:
        damaged = copy.deepcopy(state)
        damaged["param_groups"][0]["gamma_2"] = made_up
        with pytest.raises(ValueError, match=message) as refusal:
            optimizer.load_state_dict(damaged)
        assert "Nothing has been changed" in str(refusal.value)
        assert optimizer.state_dict() == state


# What version 0.1 wrote: torch.save(hidim.torch.GeneralMomentum(...).state_dict(), ...).
VERSION_01 = [
    ({"schedule": "PowerLaw", "scale": 1.0, "t_exponent": 0.5}, hidim.PowerLaw(1.0, 0.5)),
    (
        {
            "schedule": "Product",
            "factors": (
                {"schedule": "Constant", "value": 0.1},
                {"schedule": "Table", "steps": (0.0, 9.0), "values": (1.0, 0.5)}
                | {"interpolation": "linear"},
            ),
        },
        0.1 * hidim.Table([0, 9], [1.0, 0.5]),
    ),
    # The one class whose field hid its name: version 0.1 wrote this and could not read it.
    ({"schedule": {"schedule": "Warmup", "steps": 4}}, Complement(Warmup(4))),
    # What was written between the two versions.
    ({"hidim.schedule": "PowerLaw", "scale": 1.0, "t_exponent": 0.5}, hidim.PowerLaw(1.0, 0.5)),
    # A user's own, never a schedule.
    ({"schedule": "cosine", "steps": 4}, {"schedule": "cosine", "steps": 4}),
]


@pytest.mark.parametrize(("written", "meant"), VERSION_01)
def test_checkpoints_of_version_0_1_are_read(written, meant):
    optimizer = momentum(1.0)
    state = optimizer.state_dict()
    name = "gamma_2" if isinstance(meant, Schedule) else "mine"
    state["param_groups"][0] |= {name: written, "scaled_by": (1.0, written, 1.0, 1.0)}
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0][name] == meant
    assert optimizer.param_groups[0]["scaled_by"][1] == meant
