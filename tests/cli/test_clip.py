"""`hidim clip`."""

import json

import pytest

from hidim.cli.main import main

PROBLEM = ("--alpha", "1", "--beta", "0.7", "--d", "10", "--v", "40", "--seed", "1")


def test_the_table_the_object_and_the_picture_say_one_thing(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    words = ["clip", *PROBLEM, "--noise", "student:2.2:0.3", "--steps", "4"]
    assert main([*words, "--json", "--plot", str(tmp_path / "clip.svg")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["helps"] is True
    assert found["problem"]["noise"] == "student:2.2:0.3"
    assert set(found) >= {"unclipped", "constant", "scheduled", "thresholds", "gain", "share"}
    assert found["constant"]["times_lower"] > 0.99
    assert (tmp_path / "clip.svg").stat().st_size > 1000


def test_gaussian_noise_is_never_clipped(capsys):
    assert main(["clip", *PROBLEM, "--noise-variance", "0.3", "--steps", "50"]) == 0
    assert "does clipping help?  never" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--noise", "student:3"), "must have the form student:df:scale"),
        (("--noise", "laplace:-1"), "must be positive"),
        (("--kurtosis", "3"), "--kurtosis 3"),
        (("--batch-size", "inf"), "`batch_size`=inf"),
        (("--kind", "batch"), "kind"),
    ],
)
def test_one_line_says_what_is_wrong(capsys, words, said):
    assert main(["clip", *PROBLEM, "--steps", "20", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
