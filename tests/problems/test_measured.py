"""Measured rows: what a Spectrum makes of them, what it keeps, and which cells it refuses."""

import math

import numpy as np
import pytest

import hidim
from hidim.problems import features, measured
from hidim.problems.rows import Rows


def table(rows=60, seed=0):
    """Heavy-tailed columns, one of them twice, and two targets with noise of their own."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(5, (rows, 6)) * [3.0, 2.0, 1.0, 0.5, 0.2, 0.1] + 0.3
    X = np.column_stack([X, X[:, 0]])
    y = X @ rng.standard_normal((7, 2)) + np.abs(X[:, :1]) * rng.standard_normal((rows, 2))
    return X, y


def kept(*args, **options):
    spectrum = hidim.Spectrum.from_data(*args, rows=True, **options)
    return spectrum, spectrum.law.rows


def test_rows_are_the_data_in_the_eigenbasis():
    X, y = table()
    spectrum, rows = kept(X, y)
    assert rows.features.shape == (60, 6)  # the column that comes twice moves nothing
    moving = spectrum.eigenvalues[:6]
    np.testing.assert_allclose(rows.features.T @ rows.features / 60, np.diag(moving), atol=1e-12)
    np.testing.assert_allclose(rows.residual - rows.features @ rows.start, y, atol=1e-12)
    np.testing.assert_allclose(rows.features.T @ rows.residual, 0.0, atol=1e-10)
    np.testing.assert_allclose(np.sum(rows.start**2, axis=1), spectrum.error_sq[:6], rtol=1e-12)
    assert spectrum.risk_floor == pytest.approx(0.5 * np.sum(rows.residual**2) / 60, rel=1e-12)
    np.testing.assert_allclose(rows.features @ rows.features.T, X @ X.T, atol=1e-10)
    assert (rows.of, rows.index.tolist()) == (60, list(range(60)))
    assert rows.kurtosis == pytest.approx(hidim.tail_ratio(X), rel=1e-12)


def test_the_algorithm_on_the_kept_rows_is_the_algorithm_on_the_data():
    X, y = table()
    spectrum, rows = kept(X, y)
    algorithm = hidim.dana_decaying(0.1 / spectrum.trace, 0.02 / spectrum.trace, 0.5, 4.0)
    options = {"steps": 50, "runs": 4, "batch_size": 2, "seed": 3}
    truth = hidim.simulate_rows(X, y, algorithm, **options)
    targets = rows.residual - rows.features @ rows.start
    found = hidim.simulate_rows(rows.features, targets, algorithm, **options)
    np.testing.assert_allclose(found.risk, truth.risk, rtol=1e-9)


def test_without_rows_nothing_else_changes():
    X, y = table()
    spectrum, _ = kept(X, y)
    bare = hidim.Spectrum.from_data(X, y, rows=False)
    assert bare.law.rows is None
    np.testing.assert_array_equal(bare.eigenvalues, spectrum.eigenvalues)
    np.testing.assert_array_equal(bare.error_sq, spectrum.error_sq)
    assert bare.provenance == {"problem": "data", "rows": 60, "d": 7, "outputs": 2}


def seen(rows, eigenvalues):
    """What no choice of the basis within an eigenvalue changes: forms of the rows, row by row."""
    Z, moving = rows.features, eigenvalues[: rows.features.shape[1]]
    return [Z @ rows.start, rows.residual, *((Z * moving**p) @ Z.T for p in (-1.0, 0.0, 2.0))]


@pytest.mark.parametrize("repeated", [False, True])
def test_neither_the_order_of_rows_nor_a_rotation_changes_what_an_algorithm_sees(repeated):
    rng = np.random.default_rng(5)
    X, y = table()
    if repeated:
        X = np.linalg.qr(rng.standard_normal((60, 4)))[0] * [3.0, 1.0, 1.0, 1.0]
    spectrum, rows = kept(X, y)
    truth = seen(rows, spectrum.eigenvalues)
    rotated, others = kept(X @ np.linalg.qr(rng.standard_normal((X.shape[1],) * 2))[0], y)
    for found, true in zip(seen(others, rotated.eigenvalues), truth, strict=True):
        np.testing.assert_allclose(found, true, atol=1e-9 * np.abs(true).max())
    order = rng.permutation(60)
    permuted, others = kept(X[order], y[order])
    for found, true in zip(seen(others, permuted.eigenvalues), truth, strict=True):
        true = true[order] if true.shape[1] < 60 else true[np.ix_(order, order)]
        np.testing.assert_allclose(found, true, atol=1e-9 * np.abs(true).max())
    assert permuted.risk_floor == pytest.approx(spectrum.risk_floor, rel=1e-12)


def test_of_too_many_rows_a_random_subset_is_kept_and_everything_else_is_of_all(monkeypatch):
    X, y = table()
    whole, every = kept(X, y)
    monkeypatch.setattr(measured, "MOST_ENTRIES", 6 * 25 + 1)
    spectrum, rows = kept(X, y)
    assert (len(rows), rows.of) == (25, 60)
    assert np.all(np.diff(rows.index) > 0)
    np.testing.assert_array_equal(rows.features, every.features[rows.index])
    np.testing.assert_array_equal(rows.residual, every.residual[rows.index])
    np.testing.assert_array_equal(rows.start, every.start)
    np.testing.assert_array_equal(spectrum.eigenvalues, whole.eigenvalues)
    assert spectrum.risk_floor == whole.risk_floor
    assert spectrum.provenance == whole.provenance | {"rows_kept": 25, "rows_seed": 0}
    assert repr(rows) == "Rows(25 of 60 rows, 6 features)"
    assert kept(X, y)[0] == spectrum


def test_centering_scaling_and_an_intercept_are_done_to_the_columns_and_said():
    X, y = table()
    centred = X - X.mean(axis=0)
    made = {
        "center": centred,
        "standardize": centred / X.std(axis=0),
        "intercept": np.column_stack([X, np.ones(60)]),
    }
    for option, same in made.items():
        found, truth = hidim.Spectrum.from_data(X, y, **{option: True}), hidim.Spectrum.from_data
        moving = found.eigenvalues > 0
        np.testing.assert_allclose(found.eigenvalues, truth(same, y).eigenvalues, atol=1e-13)
        np.testing.assert_allclose(found.error_sq, truth(same, y).error_sq, rtol=1e-8)
        assert found.provenance == truth(same, y).provenance | {option: True}
        assert np.count_nonzero(moving) == 6 + (option == "intercept")
    both = hidim.Spectrum.from_data(X, y, center=True, intercept=True)
    shifted = hidim.Spectrum.from_data(centred, y - y.mean(axis=0))
    assert both.risk_floor == pytest.approx(shifted.risk_floor, rel=1e-12)  # it learns the mean


def test_a_column_that_never_changes_becomes_zero_and_is_named():
    X, y = table()
    X[:, 2] = 0.1  # a sum of which is not the multiple of it
    spectrum = hidim.Spectrum.from_data(X, y, standardize=True)
    assert spectrum.provenance["constant"] == [2]
    assert spectrum.dimension == 7
    assert np.count_nonzero(spectrum.eigenvalues) == 5
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    named = hidim.Spectrum.from_data(frame, y, standardize=True)
    assert named.provenance["constant"] == ["c"]
    np.testing.assert_allclose(named.eigenvalues, spectrum.eigenvalues, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_standardizing_takes_any_unit(scale):
    X, _ = table()
    np.testing.assert_allclose(
        features.standardize(X * scale), features.standardize(X), rtol=1e-12, atol=1e-14
    )


def hole(value, where=(17, 3)):
    X, _ = table()
    X = X.astype(object)
    X[where] = value
    return X


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (hole(math.nan), "`X` has no number in row 17, column 3: nan"),
        (hole(None), "`X` has no number in row 17, column 3: nan"),
        (hole(-math.inf), "`X` is infinite in row 17, column 3: -inf"),
        (hole("a lot"), "`X` holds text in row 17, column 3: 'a lot'"),
        (hole([1.0]), "`X` holds a list in row 17, column 3: [1.0]"),
        (hole(1j), "`X` holds a complex in row 17, column 3: 1j"),
        (table()[0][:, 0], "got shape (60,): give X[:, None] if it is one column, X[None]"),
        ([[1.0, 2.0], [3.0]], "`X` has 2 numbers in row 0 and 1 in row 1"),
        (
            np.ma.masked_where(np.eye(60, 7, -14) == 1, table()[0]),
            "in row 14, column 0: nan (6 more",
        ),
    ],
)
def test_a_cell_that_is_no_number_is_refused_by_its_place(X, said):
    with pytest.raises(ValueError) as caught:
        hidim.Spectrum.from_data(X, table()[1])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cell_of_a_target_or_a_frame_is_refused_by_its_name():
    X, y = table()
    gap = y[:, 0].copy()
    gap[[4, 9]] = math.nan
    with pytest.raises(ValueError, match=r"`y` has no number in row 4: nan \(1 more such cells\)"):
        hidim.Spectrum.from_data(X, gap)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdefg"))
    frame.loc[17, "d"] = math.nan
    with pytest.raises(ValueError, match=r"`X` has no number in row 17, column 'd': nan\."):
        hidim.Spectrum.from_data(frame, y)
    frame["d"] = "red"
    with pytest.raises(ValueError, match=r"`X` holds text in row 0, column 'd': 'red'\. Write"):
        features.relu(frame, 10)
    sparse = pytest.importorskip("scipy.sparse").csr_array(X)
    with pytest.raises(ValueError, match=r"give X\.toarray\(\)"):
        hidim.Spectrum.from_data(sparse, y)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_file_keeps_the_rows(tmp_path, suffix):
    spectrum, rows = kept(*table())
    spectrum.save(tmp_path / f"s{suffix}")
    found = hidim.Spectrum.load(tmp_path / f"s{suffix}")
    assert found == spectrum
    assert found.law.rows.index.dtype == rows.index.dtype
    assert not found.law.rows.features.flags.writeable


def test_a_csv_refuses_rows_and_says_where_they_can_be_kept(tmp_path):
    with pytest.raises(ValueError, match=r"law's rows\. Save as \.json or \.npz\."):
        kept(*table())[0].save(tmp_path / "s.csv")
    assert list(tmp_path.iterdir()) == []


def test_rows_in_a_file_must_fit_its_spectrum(tmp_path):
    spectrum, _ = kept(*table())
    spectrum.save(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as arrays:
        parts = dict(arrays)
    for name, changed, said in (
        ("eigenvalues", np.where(np.arange(7) < 5, parts["eigenvalues"], 0.0), "5 .*have 6"),
        ("rows.start", parts["rows.start"][1:], "`start`"),
        ("rows.features", np.full_like(parts["rows.features"], np.nan), "`features`"),
        ("rows.of", np.array(3), "`of`"),
    ):
        np.savez(tmp_path / "t.npz", **(parts | {name: changed}))
        with pytest.raises(ValueError, match=said):
            hidim.Spectrum.load(tmp_path / "t.npz")
    parts.pop("rows.start")
    np.savez(tmp_path / "t.npz", **parts)
    with pytest.raises(ValueError, match=r"rows\.start"):
        hidim.Spectrum.load(tmp_path / "t.npz")


def test_descriptions_of_rows_are_those_of_a_gaussian_for_gaussian_rows():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((40_000, 3)) * [2.0, 1.0, 0.5]
    noise = rng.standard_normal(40_000)
    _, rows = kept(X, X[:, 0] + noise)
    assert rows.kurtosis == pytest.approx(1.0, abs=0.03)  # 3 standard errors of 40,000 rows
    assert rows.noise_kurtosis == pytest.approx(1.0, abs=0.03)
    length = np.linalg.norm(X, axis=1)
    _, rows = kept(X, X[:, 0] + noise * length)
    truth = np.mean(length**4) / np.mean(length**2) ** 2
    assert rows.noise_kurtosis == pytest.approx(truth, rel=0.05)
    _, exact = kept(np.eye(3), np.ones(3))
    assert isinstance(exact, Rows)
    assert exact.noise_kurtosis >= 0


@pytest.mark.parametrize("name", ["rows", "center", "standardize", "intercept"])
def test_what_only_counts_as_true_is_no_flag(name):
    with pytest.raises(ValueError, match=f"`{name}` must be True or False, got 'no'"):
        hidim.Spectrum.from_data(*table(), **{name: "no"})


def test_squares_of_targets_below_float64_are_refused_and_no_risk_of_zero():
    X, y = table()
    with pytest.raises(ValueError, match=r"leave float64\. Measure in other units"):
        hidim.Spectrum.from_data(X, 1e-170 * y)
    assert hidim.Spectrum.from_data(X, 0 * y).initial_risk == 0.0


def test_frames_that_name_the_same_rows_are_in_one_order():
    pandas = pytest.importorskip("pandas")
    X, y = table()
    frame, target = pandas.DataFrame(X), pandas.Series(y[:, 0])
    for take in (hidim.Spectrum.from_data, lambda *a: hidim.simulate_rows(*a, hidim.sgd(0.1), 1)):
        with pytest.raises(ValueError, match=r"another order.* give y.loc\[X.index\]"):
            take(frame, target.iloc[::-1])
    known = hidim.Spectrum.from_data(X, y[:, 0])
    other = target.set_axis(np.arange(100, 160))  # names that have nothing to do with each other
    assert hidim.Spectrum.from_data(frame, other) == known


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (np.concatenate([X, X]), np.concatenate([y, y])),  # every row twice
        lambda X, y: (np.concatenate([X, X[:, :1] + X[:, 1:2]], axis=1)[:, [7, *range(1, 7)]], y),
        lambda X, y: (1e8 * X, y),
        lambda X, y: (1e-8 * X, y),
        lambda X, y: (X.astype(object), y.astype(object)),
        lambda X, y: (np.asfortranarray(X)[::-1], y[::-1]),
    ],
)
def test_what_rows_say_does_not_hang_on_how_they_are_written(change):
    X, y = table()
    floor = hidim.Spectrum.from_data(X, y).risk_floor
    spectrum = hidim.Spectrum.from_data(*change(X, y))
    assert spectrum.risk_floor == pytest.approx(floor, rel=1e-10)
    curve = hidim.predict(spectrum, "dana-decaying", at=[0, 10, 1000])
    assert curve.status == "ok"
    assert curve.risk[0] == pytest.approx(0.5 * np.mean(np.sum(y**2, axis=1)), rel=1e-12)
