"""Loaders of data that no package ships, on small copies; clipping and signs on real rows."""

import numpy as np
import pytest

import hidim
from hidim.problems import features
from papers.real_data import elsewhere


@pytest.fixture
def copies(tmp_path):
    rng = np.random.default_rng(0)
    pictures = tmp_path / "cifar-10-batches-bin"
    pictures.mkdir()
    for k in (1, 2):
        records = rng.integers(0, 256, (30, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(30) % 10
        (pictures / f"data_batch_{k}.bin").write_bytes(records.tobytes())
    words = rng.choice(["the", "of", "networks", " = Heading = \n", "<unk>", "observatory"], 4000)
    (tmp_path / "wikitext-2").mkdir()
    (tmp_path / "wikitext-2" / "wiki.train.tokens").write_text(" ".join(words), encoding="utf-8")
    return tmp_path


def test_pictures_become_rows_and_a_target(copies):
    X, y = elsewhere.cifar10(copies, rows=40, size=7)
    assert X.shape == (40, 7)
    assert len(set(np.round(y, 9))) == 2
    assert (y.mean(), y.std()) == pytest.approx((0.0, 1.0), abs=1e-12)
    everything, _ = elsewhere.cifar10(copies, size=7)
    assert len(everything) == 60


def test_text_becomes_rows_and_a_target(copies):
    X, y = elsewhere.wikitext2(copies)
    assert X.shape[1] == 200
    assert len(X) == len(y) > 3
    assert np.abs(X.mean(axis=0)).max() < 1e-9
    curve = hidim.predict(hidim.Spectrum.from_data(X, y), "sgd", steps=100)
    assert curve.status == "ok"


def test_the_folder_is_named_by_the_environment(copies, monkeypatch):
    from papers import clipping

    monkeypatch.delenv(elsewhere.VARIABLE, raising=False)
    assert len(clipping._sets()) == 2
    monkeypatch.setenv(elsewhere.VARIABLE, str(copies))
    sets = clipping._sets()
    assert sets["CIFAR-10"]()[0].shape == (60, 100)
    assert sets["WikiText-2"]()[0].shape[1] == 200


def test_what_is_no_copy_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="no cifar-10"):
        elsewhere.cifar10(tmp_path)
    with pytest.raises(ValueError, match=r"wiki\.train"):
        elsewhere.wikitext2(tmp_path)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(b"12345")
    with pytest.raises(ValueError, match="no whole number of records"):
        elsewhere.cifar10(tmp_path)
    with pytest.raises(ValueError, match="fewer than two passages"):
        elsewhere.passages(["short"], rows=10)


def test_clipping_and_signs_run_on_real_rows_and_lower_their_risk():
    # Simulated: nobody predicts changed gradients on measured rows.
    wine = pytest.importorskip("sklearn.datasets").load_wine()
    X = features.standardize(wine.data)
    y = (wine.target - wine.target.mean()) / wine.target.std()
    for algorithm in (
        hidim.clipped(hidim.sgd(0.01), 1.0),
        hidim.clipped(hidim.sgd(0.01), 2.0, kind="norm"),
        hidim.sign_sgd(0.002),
    ):
        run = hidim.simulate_rows(X, y, algorithm, 500, batch_size=4, runs=8, seed=0)
        assert run.risk[-1] < 0.2 * run.risk[0]
        with pytest.raises(ValueError, match="simulate_rows"):
            hidim.predict(hidim.Spectrum.from_data(X, y), algorithm, steps=500)
