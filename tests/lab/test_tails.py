"""Claims about tails: planted exponents come back, covariances are those of others' programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hidim.cli.main import main
from hidim.lab import Shape, build, train
from hidim.lab.reports.tails import activation_spectra, gradient_spectrum, tail
from hidim.lab.training.models import next_token_loss


@pytest.mark.parametrize("alpha", [0.6, 1.0, 1.4])
def test_a_planted_alpha_comes_back_from_samples(alpha):
    random = np.random.default_rng(0)
    scale = np.arange(1, 201) ** -alpha
    rows = random.standard_normal((4000, 200)) * scale
    rotation = np.linalg.qr(random.standard_normal((200, 200)))[0]
    covariance = np.cov((rows @ rotation).T, bias=True)
    found = tail(np.linalg.eigvalsh(covariance))
    # A sample of 20 rows per dimension spreads eigenvalues by (1 ± sqrt(1/20))^2.
    assert found.alpha == pytest.approx(alpha, rel=0.1)
    assert found.kappa_3 == pytest.approx(1 / (2 * alpha), rel=0.1)


def test_no_kappa_is_suggested_where_momentum_cannot_gain():
    assert tail(np.arange(1, 100) ** -0.8).kappa_3 is None


def test_a_bent_spectrum_shows_it_in_the_halves():
    j = np.arange(1, 201)
    bent = tail(np.where(j < 20, j**-1.0, 20.0 * j**-2.0))
    assert bent.halves[1] > bent.halves[0] + 0.5


def test_activations_are_those_of_pca():
    decomposition = pytest.importorskip("sklearn.decomposition")
    shape = Shape("lstm", 50, 12)
    model = build(shape)
    windows = torch.randint(0, 50, (40, 9), generator=torch.Generator().manual_seed(0))
    spectra = activation_spectra(model, windows)
    assert set(spectra) == {"embedding", "lstm"}
    with torch.no_grad():
        rows = model.features(windows[:, :-1]).flatten(0, 1).numpy()
    variance = decomposition.PCA().fit(rows).explained_variance_ * (len(rows) - 1) / len(rows)
    # PCA works in float32 here, so small eigenvalues carry its rounding.
    assert spectra["lstm"] == pytest.approx(variance, rel=1e-3)


def test_gradients_have_the_covariance_written_out():
    model = build(Shape("transformer", 11, 4, layers=1, context=6))
    windows = torch.randint(0, 11, (9, 7), generator=torch.Generator().manual_seed(0))
    rows = []
    for one in windows:
        model.zero_grad()
        next_token_loss(model, one[None]).backward()
        rows.append(np.concatenate([p.grad.numpy().ravel() for p in model.parameters()]))
    covariance = np.cov(np.array(rows, dtype=np.float64).T, bias=True)
    expected = np.linalg.eigvalsh(covariance)[::-1][:9]
    # The mean takes one direction: the ninth eigenvalue is rounding in both.
    assert gradient_spectrum(model, windows)[:8] == pytest.approx(expected[:8], rel=1e-6)


def test_the_command_reads_a_run(small, tmp_path, capsys):
    settings = small.replace(steps=3, width=16)
    train(settings, tmp_path / "run")
    assert main(["spectrum", str(tmp_path / "run"), "--windows", "16", "--json"]) == 0
    tails = json.loads(capsys.readouterr().out)["tails"]
    assert [one["site"] for one in tails] == ["embedding", "lstm", "gradients"]
    for one in tails:
        assert one["alpha"] == pytest.approx(one["slope"] / 2)
    assert main(["spectrum", str(tmp_path / "run"), "--ranks", "2,9"]) == 0
    assert "kappa_3" in capsys.readouterr().out
    assert main(["spectrum", str(tmp_path / "run"), "--ranks", "1,999"]) == 2
    assert "must hold at least 4" in capsys.readouterr().err
    assert main(["spectrum", str(tmp_path)]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
