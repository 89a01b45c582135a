"""The Python and the commands shown in the how-tos on fitting runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from hidim.cli.main import main

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", ["fit.md", "logs.md"])
def test_the_python_of_the_how_to_runs(page: str) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    assert names


def test_the_commands_on_public_runs_print_what_the_page_shows(
    measured: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    runs = measured("llm-curves", "100M")
    monkeypatch.chdir(tmp_path)
    cosine = (runs / "cosine_24000.csv").read_text().splitlines()
    Path("cosine.csv").write_text("\n".join(cosine[:90]) + "\n")
    harder = [line.split(",") for line in cosine[1:90]]
    rows = [(s, r, float(y) * (1.015 if int(s) > 9000 else 1.0)) for s, r, y in harder]
    Path("late.csv").write_text("\n".join([cosine[0], *(f"{s},{r},{y:.4f}" for s, r, y in rows)]))
    printed = []
    lines = "".join(blocks("logs.md", "console")).replace("\\\n", " ").splitlines()
    for line in [*lines, lines[-1].replace("cosine.csv", "late.csv")]:
        command = line.removeprefix("$ ").replace("$HIDIM_DATA", str(runs.parents[1]))
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
        printed.append(capsys.readouterr().out)
    for shown in blocks("logs.md", "text"):
        assert any(stands_in(shown, text) for text in printed), shown


NUMBER = r"\d(?:[\d,.]*\d)?"


def stands_in(shown: str, text: str) -> bool:
    """Whether text has these words, whatever their lines, and numbers near these."""
    shown, text = " ".join(shown.split()), " ".join(text.split())
    words = map(re.escape, re.split(NUMBER, shown))
    pattern = f"({NUMBER})".join(words)
    mine = [float(a.replace(",", "")) for a in re.findall(NUMBER, shown)]
    return any(
        [float(a.replace(",", "")) for a in found.groups()] == pytest.approx(mine, rel=3e-4)
        for found in re.finditer(pattern, text)
    )
