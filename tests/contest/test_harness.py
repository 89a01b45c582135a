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
    "reads the standard library, the text of three tasks": (
        "ForbiddenAccess",
        """
        import os
        from importlib.machinery import SourceFileLoader
        class Cheat(Own):
            def step(self):
                self.text = SourceFileLoader("os", os.__file__).get_source("os")
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "passes for the import machinery": (
        "ForbiddenAccess",
        """
        class Cheat(Own):
            def step(self):
                read = "text = open(torch.__file__).read()"
                exec(compile(read, "<frozen importlib._bootstrap>", "exec"), {"torch": torch})
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "loads such code": (
        "ForbiddenAccess",
        """
        import marshal
        class Cheat(Own):
            def step(self):
                exec(marshal.loads(marshal.dumps((lambda: 0).__code__)))
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "has its weights in another module": (
        "ForbiddenAccess",
        """
        import os, sys
        class Cheat(Own):
            def step(self):
                sys.path.insert(0, os.path.dirname("PLACE"))
                import beside
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "silences the guard": (
        "ForbiddenAccess",
        """
        import builtins, os, sys
        import hidim.contest.guard as guard
        class Cheat(Own):
            def step(self):
                guard._FORBIDDEN = guard._DATA = guard._IMPORTERS = ()
                guard.watch = guard.text = builtins.repr = lambda *args: ""
                os.write = os._exit = sys._getframe = lambda *args: None
                builtins.open(torch.__file__)
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "rewrites the guard": (
        "ForbiddenAccess",
        """
        import gc
        class Cheat(Own):
            def step(self):
                gc.unfreeze()
                for one in gc.get_objects():
                    if getattr(one, "__qualname__", "") == "watch.<locals>.hook":
                        one.__code__ = (lambda *args: None).__code__
                open(torch.__file__)
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "starts a fresh interpreter": (
        "ForbiddenAccess",
        """
        import multiprocessing
        class Cheat(Own):
            def step(self):
                multiprocessing.util.spawnv_passfds(b"/bin/true", [b"true"], [])
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "keeps what it learned in the name of a folder": (
        "ForbiddenAccess",
        """
        import os
        class Cheat(Own):
            def finish(self):
                os.mkdir("PLACE")
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "keeps what it learned in shared memory": (
        "Broken",
        """
        class Cheat(Own):
            def finish(self):
                self.weights[0].parameter.detach().clone().share_memory_()
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "calls the system past Python": (
        "ForbiddenAccess",
        """
        import ctypes
        class Cheat(Own):
            def step(self):
                ctypes.pythonapi.open(b"PLACE", 0)
        MINE = Method("mine", SPACE, Cheat)
        """,
    ),
    "sets the count back": (
        "OverBudget",
        """
        class Cheat(Own):
            def step(self, ask):
                ask()
                cells = dict(zip(ask.__code__.co_freevars, ask.__closure__))
                cells["asked"].cell_contents -= 0.5
        MINE = Method("mine", SPACE, Cheat, asks=True)
        """,
    ),
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
    (tmp_path / "beside.py").write_text("WEIGHTS = [1.0]", encoding="utf-8")
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


def test_hooks_seeds_and_rates_of_its_own_process_change_nothing(line, method):
    """No graph is there to hook, and the harness draws and counts by itself."""
    code = """
    import sys
    class Cheat:
        def __init__(self, weights, values, steps):
            self.inner = plain(weights, values, steps)
            self.param_groups = self.inner.param_groups
            self.hooked = []
            for w in weights:
                w.parameter.register_hook(self.hooked.append)
                w.parameter.register_post_accumulate_grad_hook(self.hooked.append)
            torch.manual_seed(99)
        def step(self):
            at = sys._getframe(1)
            while "job" not in at.f_locals:
                at = at.f_back
            at.f_locals["job"] |= {"seed": 7, "steps": 1, "values": {"lr": 9.0}}
            self.inner.step()
            assert not self.hooked
    MINE = Method("mine", SPACE, Cheat)
    """
    runs = [play(line, method(one), {"lr": 0.1}, **STEP) for one in (PLAIN, code)]
    assert runs[0].weights == runs[1].weights
    assert [run.gradients for run in runs] == [20, 20]


def test_a_file_that_changes_is_another_method(line, method, tmp_path):
    """Rows are named by the hash of the file: none is computed with other code."""
    reference = method(PLAIN)
    assert play(line, reference, {"lr": 0.1}, **STEP).gradients == 20
    with open(tmp_path / "mine.py", "a", encoding="utf-8") as file:
        file.write("# later")
    with pytest.raises(refusals.Broken, match="has changed since"):
        play(line, reference, {"lr": 0.1}, **STEP)


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


def test_a_file_of_methods_is_never_executed_by_the_harness(method, tmp_path):
    method(PLAIN + "\nimport builtins\nbuiltins.was_here = True")
    (found,) = METHODS.add_file(str(tmp_path / "mine.py"))
    METHODS.added.clear()
    assert found.space.keys() == {"lr"}
    assert not hasattr(builtins, "was_here")
    text = (tmp_path / "mine.py").read_text(encoding="utf-8")
    (tmp_path / "taken.py").write_text(text.replace('"mine"', '"adamw"'), encoding="utf-8")
    with pytest.raises(ValueError, match="has a built-in one's name"):
        METHODS.add_file(str(tmp_path / "taken.py"))


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        # The next run would start a new process for seats, which takes seconds: so these are last.
        *(
            pytest.param(
                "Broken",
                f"import os; [os.write(n, {said!r}) for n in (3, 4, 5, 6, 7, 8) if is_open(n)]",
                marks=pytest.mark.slow,
            )
            for said in (b"no\n", b'{"exit": 0, "seconds": 0}\n')
        ),
        ("Silent", "while True: pass"),
    ],
)
def test_a_method_that_hangs_or_speaks_for_the_harness_is_ended(kind, act, line, method):
    code = "import os\ndef is_open(n):\n    return os.path.exists(f'/proc/self/fd/{n}')\n"
    code += f"class Cheat(Own):\n    def step(self):\n        {act}\n"
    with pytest.raises(getattr(refusals, kind)):
        play(line, method(code + 'MINE = Method("mine", SPACE, Cheat)'), {"lr": 0.1},
             steps=20, seed=5, patience=0.3)  # fmt: skip
