"""Changed gradients and laws of noise at the command line."""

import json

import pytest

import hidim
from hidim.cli.main import main

PROBLEM = ("--alpha", "1", "--beta", "0.7", "--d", "20", "--v", "80", "--seed", "1")


def answer(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("clipped-sgd:gamma_2=0.1,threshold=0.5", hidim.clipped(hidim.sgd(0.1), 0.5)),
        ("ClippedSGD:gamma_2=0.1,threshold=2,kind=norm", hidim.clipped(hidim.sgd(0.1), 2, "norm")),
        ("clipped-sgd:gamma_2=0.1,threshold=best", hidim.clipped(hidim.sgd(0.1), "best")),
        ("sign_sgd:eta=0.001,drift=linear", hidim.sign_sgd(0.001, drift="linear")),
        ("noisy-sgd:gamma_2=0.1,std=0.1,l2=0.01", hidim.noisy(hidim.sgd(0.1), 0.1, 0.01)),
    ],
)
def test_changed_gradients_are_named_with_their_parameters(capsys, text, algorithm):
    noise = ("--noise", "student:3:0.3")
    found = answer(capsys, "predict", *PROBLEM, *noise, "--steps", "50", "--algorithm", text)
    problem = hidim.PLRF(1.0, 0.7, 20, 80, noise=hidim.noise.StudentT(3, 0.3))
    truth = hidim.predict(problem, algorithm, at=found["steps"], seed=1)
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-12)


def test_they_stand_in_one_table_with_sgd_and_its_runs(capsys):
    named = ("sgd", "clipped-sgd:gamma_2=0.2,threshold=0.5", "sign-sgd:eta=0.001")
    words = ("--noise", "laplace:0.1", "--steps", "30", "--runs", "3", "--algorithm", *named)
    found = answer(capsys, "compare", *PROBLEM, *words)
    assert [one["label"] for one in found["predicted"]] == list(named)
    assert found["problem"]["noise"] == "laplace:0.1"


def test_names_alone_stand_at_their_best_rate_for_the_horizon(capsys):
    small = ("--alpha", "1", "--beta", "0.7", "--d", "12", "--v", "48", "--seed", "1")
    words = ("--noise-variance", "1", "--outputs", "4", "--batch-size", "3", "--steps", "12")
    found = answer(capsys, "compare", *small, *words, "--algorithm", "sgd", "sign-svd")
    matrix = hidim.MatrixLeastSquares(hidim.PLRF(1.0, 0.7, 12, 48, 1.0).spectrum(1), 4)
    for name, curve in zip(("sgd", "sign-svd"), found["predicted"], strict=True):
        chosen = hidim.recommend(matrix, name, 3, steps=12)
        for times in (0.7, 1.0, 1.4):
            other = chosen.scheduled(hidim.Constant(times))
            left = hidim.predict(matrix, other, at=[12], batch_size=3).risk[0]
            assert left > curve["risk"][-1] if times != 1.0 else left == curve["risk"][-1]


def test_a_spectrum_in_a_file_takes_a_law(capsys, tmp_path):
    path = str(tmp_path / "s.csv")
    hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.1).save(path)
    words = ("--algorithm", "clipped-sgd:gamma_2=0.1,threshold=0.5", "--steps", "20")
    found = answer(capsys, "stability", "--spectrum", path, "--noise", "cauchy:0.5", *words)
    assert found["stable"] is True
    assert found["limit_risk"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--noise", "pareto:1"), "student:df:scale"),
        (("--noise", "student:3"), "must have the form student:df:scale"),
        (("--noise", "cauchy:-1"), "`scale` must be positive"),
        (("--noise", "laplace:1", "--noise-variance", "1"), "give one of the two"),
        (("--algorithm", "sign-sgd:drift=linear"), "give eta"),
        (("--algorithm", "noisy-sgd"), "a matter of privacy"),
        (("--algorithm", "clipped-sgd:gamma_2=0.1"), "give threshold"),
        (("--algorithm", "sign-sgd:eta=0.1,basis=both"), "`basis`"),
        (("--algorithm", "sgd:gamma_2=fast"), "gamma_2"),
        (("--algorithm", "clipped-sgd:gamma_2=0.1,threshold=1,kind=l2"), "`kind` must be one of"),
        (("--algorithm", "adam:eta=.1,beta_1=0,beta_2=.9,bias_correction=maybe"), "yes nor no"),
    ],
)
def test_what_is_not_meant_is_refused_in_one_line(capsys, words, said):
    assert main(["predict", *PROBLEM, "--steps", "9", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1


def test_three_algorithms_stand_in_one_table_on_one_matrix(capsys):
    named = ("sgd:gamma_2=0.02", "sign-sgd:eta=0.002,basis=generic", "sign-svd:eta=0.01")
    words = ("--noise-variance", "1", "--outputs", "8", "--batch-size", "6", "--steps", "8")
    found = answer(capsys, "compare", *PROBLEM, *words, "--runs", "2", "--algorithm", *named)
    assert [one["label"] for one in found["predicted"]] == list(named)
    assert len(found["simulated"]) == 3
    spectrum = hidim.PLRF(1.0, 0.7, 20, 80, noise_variance=1.0).spectrum(1)
    matrix, steps = hidim.MatrixLeastSquares(spectrum, 8), found["predicted"][2]["steps"]
    truth = hidim.predict(matrix, hidim.sign_svd(0.01), at=steps, batch_size=6)
    assert found["predicted"][2]["risk"] == pytest.approx(list(truth.risk), rel=1e-12)
    said = answer(capsys, "stability", *PROBLEM, *words, "--algorithm", named[2])
    assert said["limit_risk"] > 0


STRONG = ("--algorithm", "sign-sgd:eta=0.001,drift=linear", "--steps", "9")


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("predict", *STRONG), "  step "),
        (("simulate", *STRONG, "--runs", "2"), "  step "),
        (("compare", *STRONG), "  step "),
        (("stability", *STRONG), "limit risk"),
        (("clip", "--kind", "norm", "--noise", "student:3:0.3", "--steps", "9"), "excess"),
        (
            ("privacy", "--accountant", "one-pass", "--clip", "1", "--rates", "0.1", "--stds", "1"),
            "epsilon",
        ),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_what_is_wrong_with_numbers_is_said_before_them(capsys, words, before):
    assert main([words[0], *PROBLEM, *words[1:]]) == 0
    told = capsys.readouterr().out
    said = "linear in the signal" if "sign-sgd" in str(words) else "rows of nearly one length"
    assert said in told[: told.index(before)]


def test_what_a_small_matrix_makes_of_a_long_way_down_is_said_before_too(capsys):
    words = ("--alpha", "0.4", "--beta", "0.7", "--d", "14", "--v", "56", "--seed", "0")
    svd = ("--outputs", "12", "--batch-size", "16", "--algorithm", "sign-svd:eta=0.01")
    assert main(["predict", *words, *svd, "--steps", "80"]) == 0
    told = capsys.readouterr().out
    assert "an excess on its way down is predicted too low" in told[: told.index("  step ")]


def test_rows_that_are_printed_have_their_caution_on_standard_error(capsys):
    assert main(["predict", *PROBLEM, *STRONG, "--csv", "-"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("hidim: caution    the drift of signs")
    assert told.out.startswith("step,flops,risk")


def test_noise_without_a_variance_is_compared_by_its_excess(capsys):
    named = ("clipped-sgd:gamma_2=0.2,threshold=0.5", "sign-sgd:eta=0.01")
    words = ("--noise", "cauchy:0.1", "--steps", "40", "--algorithm", *named)
    assert main(["compare", *PROBLEM, *words, "--runs", "2"]) == 0
    told = capsys.readouterr().out
    assert "excess risk: the noise has no variance" in told
    assert "diverged" not in told
    found = answer(capsys, "compare", *PROBLEM, *words)
    assert found["summary"][0]["final_risk"] == found["predicted"][0]["columns"]["excess"][-1]
    assert found["loss"] == found["predicted"][0]["loss"] == "excess"
    assert main(["predict", *PROBLEM, *words[:-1]]) == 0
    assert "diverged" not in capsys.readouterr().out
    assert answer(capsys, "predict", *PROBLEM, *words[:-1])["loss"] == "excess"
    for command, last in (("compare", words), ("predict", words[:-1])):
        assert main([command, *PROBLEM, *last, "--csv", "-"]) == 0
        assert "loss       excess risk: the noise has no variance" in capsys.readouterr().err


def test_what_has_no_theory_is_run_and_says_so(capsys):
    words = ("--noise-variance", "1", "--outputs", "8", "--steps", "8", "--runs", "2")
    muon = ("--algorithm", "sign-svd:eta=0.01,momentum=0.9,nesterov=1")
    assert main(["simulate", *PROBLEM, *words, *muon]) == 0
    told = capsys.readouterr().out
    assert "prediction: `momentum`=0.9 before the polar factor is not predicted" in told
    said = answer(capsys, "simulate", *PROBLEM, *words, *muon)
    assert said["predicted"] is None
    assert "is not predicted" in said["not_predicted"]


def test_adam_and_signum_are_named_with_their_parameters(capsys):
    named = ("adam:eta=0.001,beta_1=0.8,beta_2=0.95", "signum:eta=0.001,beta=0.9")
    found = answer(capsys, "compare", *PROBLEM, "--steps", "20", "--algorithm", *named)
    problem = hidim.PLRF(1.0, 0.7, 20, 80).spectrum(1)
    truth = hidim.predict(problem, hidim.adam(0.001, 0.8, 0.95), at=found["predicted"][0]["steps"])
    assert found["predicted"][0]["risk"] == pytest.approx(list(truth.risk), rel=1e-12)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--algorithm", "sign-svd:eta=0.1"), "outputs"),
        (("--algorithm", "sign-svd:drift=linear", "--outputs", "4"), "give eta"),
        (("--algorithm", "sgd-momentum", "--outputs", "4"), "no rates are recommended"),
        (("--algorithm", "sgd", "--outputs", "0"), "`outputs`"),
        (("--algorithm", "adam:eta=0.1,beta_1=0.9"), "give beta_2"),
    ],
)
def test_a_matrix_and_adam_say_what_they_need(capsys, words, said):
    assert main(["predict", *PROBLEM, "--steps", "9", *words]) == 2
    told = capsys.readouterr().err
    assert said.replace("`", "--") in told.replace("`", "--")
    assert len(told.strip().splitlines()) == 1


def test_stability_says_what_sets_signs_apart_from_sgd(capsys):
    words = ("--algorithm", "sign-sgd:eta=0.001", "--steps", "50", "--noise", "student:3:0.3")
    found = answer(capsys, "stability", *PROBLEM, *words)["sign"]
    assert found["compression"][-1] > 1
    assert found["best_eta"] > 0
    assert main(["stability", *PROBLEM, *words]) == 0
    told = capsys.readouterr().out
    assert "signs beside SGD" in told
    assert "reshaping" in told
