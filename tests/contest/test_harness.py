"""Claims about one run: who counts, what is refused, and that nothing outlives it."""

from __future__ import annotations

import builtins
import math

import pytest
import torch

from hidim.contest import refusals
from hidim.contest.host import play, setting_of
from hidim.contest.methods import METHODS
from hidim.contest.seat import rate_factor

PLAIN = 'MINE = Method("mine", SPACE, plain)'
STEP = {"steps": 20, "seed": 5}


def test_a_run_is_the_plain_loop(line):
    """The same loop in one process; 1e-6: where tensors lie in memory moves roundings."""
    adamw = METHODS.find("adamw")
    values = {"lr": 0.1, "beta_1_gap": 0.1, "beta_2_gap": 0.01, "weight_decay": 0.01}
    played = play(line, adamw, values, **STEP)
    setting = setting_of(line.place)
    torch.manual_seed(5)
    model, generator = setting.model(), torch.Generator().manual_seed(6)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.1, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    for t in range(20):
        optimizer.param_groups[0]["lr"] = 0.1 * rate_factor("linear", 0.05, t, 20)
        optimizer.zero_grad()
        setting.loss(model, generator).backward()
        optimizer.step()
    with torch.no_grad():
        assert played.value == pytest.approx(setting.value(model), rel=1e-6)
    assert (played.gradients, played.tokens, played.status) == (20, 160, "ok")


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_learns_and_repeats_to_the_last_bit(name, line):
    from hidim.contest.spaces import points

    reference = METHODS.find(name)
    values = points(reference.entry.space, 12)[8]
    if name in ("sgd-m", "dana-decaying"):
        values["lr"] = 0.05
    first, second = (play(line, reference, values, **STEP) for _ in range(2))
    assert (first.value, first.weights) == (second.value, second.weights)
    setting = setting_of(line.place)
    torch.manual_seed(5)
    with torch.no_grad():
        assert first.value < setting.value(setting.model())


def test_neither_a_name_nor_the_methods_own_randomness_changes_a_run(line, method):
    runs = [
        play(line, method(code, name), {"lr": 0.1}, **STEP).weights
        for name, code in (
            ("mine", PLAIN),
            ("another", 'OTHER = Method("another", SPACE, plain)'),
            (
                "random",
                """
                def build(weights, values, steps):
                    torch.manual_seed(0), torch.rand(99)
                    return plain(weights, values, steps)
                MINE = Method("random", SPACE, build)
                """,
            ),
        )
    ]
    assert len(set(runs)) == 1


CHEATS = {
    "asks for more than the run has": (
        "OverBudget",
        """
        class Cheat(Own):
            def step(self, ask):
                for _ in range(self.steps + 1):
                    ask()
        MINE = Method("mine", SPACE, Cheat, asks=True)
        """,
    ),
    "asks once more at the end": (
        "OverBudget",
        """
        class Cheat(Own):
            def step(self, ask):
                ask()
                self.ask = ask
            def finish(self):
                self.ask()
        MINE = Method("mine", SPACE, Cheat, asks=True)
        """,
    ),
    "steps without a gradient": (
        "Idle",
        'MINE = Method("mine", SPACE, Own, asks=True)',
    ),
    "reads the data of scikit-learn": (
        "ForbiddenAccess",
        """
        class Cheat(Own):
            def step(self):
                try:
                    import sklearn.datasets
                except BaseException:
                    pass
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "imports the tasks": (
        "ForbiddenAccess",
        """
        class Cheat(Own):
            def step(self):
                import hidim.contest.tasks.images
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "reads the text as it is loaded": (
        "ForbiddenAccess",
        "with open(torch.__file__) as file:\n    file.read()\n" + PLAIN,
    ),
    "keeps weights for another run": (
        "ForbiddenAccess",
        """
        class Cheat(Own):
            def finish(self):
                with open("PLACE", "wb") as file:
                    file.write(b"weights")
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "keeps weights, past Python": (
        "Broken",
        """
        class Cheat(Own):
            def finish(self):
                torch.from_file("PLACE", shared=True, size=99)
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "starts a process": (
        "ForbiddenAccess",
        """
        import os
        class Cheat(Own):
            def step(self):
                os.system("true")
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "puts other tensors in place": (
        "WeightsReplaced",
        """
        class Cheat(Own):
            def step(self):
                for w in self.weights:
                    w.parameter.data = w.parameter.data.clone()
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "leaves": (
        "Broken",
        """
        import os
        class Cheat(Own):
            def step(self):
                os._exit(0)
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "fails": ("Broken", 'MINE = Method("mine", SPACE, lambda weights, values, steps: 1 / 0)'),
    "differentiates by itself": (
        "Broken",
        """
        class Cheat(Own):
            def step(self):
                self.weights[0].parameter.sum().grad_fn(torch.ones(())).backward()
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_method_that_cheats_is_refused_by_name(cheat, line, method, tmp_path):
    kind, code = CHEATS[cheat]
    code = code.replace("PLACE", str(tmp_path / "kept"))
    with pytest.raises(getattr(refusals, kind), match="mine"):
        play(line, method(code), {"lr": 0.1}, **STEP)


def test_a_method_has_no_model_and_no_data_to_look_at(line, method):
    code = """
    import gc, inspect
    class Look(Own):
        def step(self):
            super().step()
            if self.count > 1:
                return
            gc.unfreeze()
            kinds = (torch.nn.Module, torch.Generator)
            found = [o for o in gc.get_objects() if isinstance(o, kinds)]
            assert not found, found
            assert not any("host" in f.filename for f in inspect.stack(0))
    MINE = Method("mine", SPACE, Look)
    """
    assert play(line, method(code), {"lr": 0.01}, **STEP).status == "ok"


def test_nothing_of_a_run_is_there_in_the_next(line, method):
    code = """
    class Cache(Own):
        kept = []
        def finish(self):
            assert not Cache.kept
            Cache.kept.append([w.parameter.clone() for w in self.weights])
    MINE = Method("mine", SPACE, Cache)
    """
    reference = method(code)
    first, second = (play(line, reference, {"lr": 0.01}, **STEP) for _ in range(2))
    assert first.weights == second.weights


def test_nan_is_a_divergence(line, method):
    code = """
    class Lost(Own):
        def step(self):
            for w in self.weights:
                w.parameter.data.fill_(float("nan"))
    MINE = Method("mine", SPACE, Lost)
    """
    played = play(line, method(code), {"lr": 0.1}, **STEP)
    assert (played.value, played.status) == (math.inf, "diverged")
    assert played.gradients == 2


def test_a_method_may_ask_for_itself(line, method):
    """Two gradients a step: half as many steps, and as many gradients."""
    code = """
    class Twice(Own):
        def step(self, ask):
            before = [w.parameter.detach().clone() for w in self.weights]
            ask()
            super().step()
            ask()
            with torch.no_grad():
                for w, old in zip(self.weights, before):
                    w.parameter.copy_(old)
            super().step()
            assert self.count <= 20
    MINE = Method("mine", SPACE, Twice, asks=True)
    """
    assert play(line, method(code), {"lr": 0.05}, **STEP).gradients == 20


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        # The next run would start a new process for seats, which takes seconds: so these are last.
        pytest.param(
            "Broken", "import os; [os.write(n, b'no') for n in range(3, 9)]", marks=pytest.mark.slow
        ),
        ("Silent", "while True: pass"),
    ],
)
def test_a_method_that_hangs_or_speaks_for_the_harness_is_ended(kind, act, line, method):
    code = f"class Cheat(Own):\n    def step(self):\n        {act}\n"
    with pytest.raises(getattr(refusals, kind)):
        play(line, method(code + 'MINE = Method("mine", SPACE, Cheat)'), {"lr": 0.1},
             steps=20, seed=5, patience=0.3)  # fmt: skip


def test_a_file_of_methods_is_never_executed_by_the_harness(method, tmp_path):
    found = method(PLAIN + "\nimport builtins\nbuiltins.was_here = True")
    assert found.space.keys() == {"lr"}
    assert not hasattr(builtins, "was_here")
    text = (tmp_path / "mine.py").read_text(encoding="utf-8")
    (tmp_path / "taken.py").write_text(text.replace('"mine"', '"adamw"'), encoding="utf-8")
    with pytest.raises(ValueError, match="has a built-in one's name"):
        METHODS.add_file(str(tmp_path / "taken.py"))
