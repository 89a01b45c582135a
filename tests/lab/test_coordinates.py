"""Claims about `hidim coordinates`: what it measures, and that muP passes where standard fails."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.lab import Coordinates, Settings
from hidim.lab.training.coordinates import coordinates
from hidim.lab.training.entry import load_tokens


@pytest.fixture(scope="module")
def asked(text_file):
    settings = Settings(
        data=str(text_file), tokens="char", model="modern", width=32, heads=2, context=8,
        batch_size=8, steps=4, optimizer="adamw", lr=4e-3,
    )  # fmt: skip
    return settings, load_tokens(settings)


def test_mup_holds_over_widths_and_standard_does_not(asked):
    settings, text = asked
    found = {
        one: coordinates(
            settings.replace(parametrization=one), values=(32, 128), seeds=3, tokens=text
        )
        for one in ("standard", "mup")
    }
    logits = found["mup"].sites.index("logits")
    assert abs(found["mup"].slopes[logits]) < 0.2
    assert found["standard"].slopes[logits] > 0.5
    assert "grows" in {found["standard"].verdict(k) for k in range(len(found["mup"].sites))}
    assert not found["standard"].holds


def test_slopes_are_those_of_the_changes_that_are_kept(asked):
    settings, text = asked
    found = coordinates(settings, values=(64, 32), seeds=2, tokens=text)
    assert found.values == (32, 64)
    assert found.steps == (0, 1, 2, 4)
    assert found.sizes.shape == found.changes.shape == (len(found.sites), 2, 2, 4)
    assert (found.changes[..., 0] == 0).all()
    last = np.log(found.changes[..., -1])
    slopes = (last[:, 1] - last[:, 0]) / np.log(2)
    np.testing.assert_allclose(found.slopes, slopes.mean(axis=1))


def test_verdicts_mind_the_interval():
    ones = np.ones((5, 2, 2, 2))
    slopes, errors = np.array([0.1, 0.9, -0.9, 0.5, np.nan]), np.array([9, 0.1, 0.1, 0.4, np.nan])
    found = Coordinates("width", (1, 2), tuple("abcde"), (0, 1), ones, ones, slopes, errors)
    said = [found.verdict(k) for k in range(5)]
    assert said == ["flat", "grows", "shrinks", "unclear", "lost"]


def test_the_command_prints_draws_and_refuses(text_file, tmp_path, capsys):
    small = f"--data {text_file} --tokens char --context 8 --batch-size 4 --steps 2 --seeds 2"
    command = ["coordinates", *small.split(), "--width", "8", "--heads", "1"]
    plot = str(tmp_path / "c.png")
    assert main([*command, "--over", "layers=1,2", "--plot", plot, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["over"] == "layers"
    assert {site["verdict"] for site in answer["sites"]} <= {"flat", "grows", "shrinks", "unclear"}
    assert (tmp_path / "c.png").stat().st_size > 1000
    assert main([*command, "--over", "width=8,16", "--model", "lstm"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] in ("one", "undecided")
    for wrong in ("--over depth=1,2", "--over width=8", "--over width=8,x", "--optimizer sgd"):
        assert main([*command, *wrong.split()]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
