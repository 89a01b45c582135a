"""A Spectrum is what any quadratic becomes, whatever it was made from."""

import json
import math

import numpy as np
import pytest

import hidim
from hidim.problems.law import DataLaw


def test_from_covariance_predicts_the_descent_of_that_quadratic():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    K, target = root @ root.T / 6, rng.standard_normal(6)
    spectrum = hidim.Spectrum.from_covariance(K, target, noise_variance=0.2)
    theta = np.zeros(6)
    curve = hidim.predict(spectrum, hidim.sgd(0.2), 50, math.inf, at=range(51))
    for t in range(51):
        r = theta - target
        assert curve.risk[t] == pytest.approx(0.1 + 0.5 * r @ K @ r, rel=1e-10)
        theta = theta - 0.2 * K @ r


def test_from_data_is_the_least_squares_of_the_rows():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 7)) * np.arange(1, 8) ** -0.5
    y = X @ rng.standard_normal((7, 3)) + 0.3 * rng.standard_normal((200, 3))
    spectrum = hidim.Spectrum.from_data(X, y)
    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    residual = y - X @ best
    assert spectrum.risk_floor == pytest.approx(0.5 * np.sum(residual**2) / 200, rel=1e-12)
    assert spectrum.initial_risk == pytest.approx(0.5 * np.sum(y**2) / 200, rel=1e-12)
    assert spectrum.trace == pytest.approx(np.sum(X**2) / 200, rel=1e-12)
    one_by_one = [hidim.Spectrum.from_data(X, y[:, k]) for k in range(3)]
    assert spectrum.risk_floor == pytest.approx(sum(s.risk_floor for s in one_by_one))
    np.testing.assert_allclose(spectrum.error_sq, sum(s.error_sq for s in one_by_one), rtol=1e-8)


def test_more_features_than_rows_leave_modes_that_never_move():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((5, 9)), rng.standard_normal(5)
    spectrum = hidim.Spectrum.from_data(X, y)
    assert spectrum.dimension == 9
    assert np.count_nonzero(spectrum.eigenvalues) == 5
    assert spectrum.risk_floor < 1e-25


@pytest.mark.parametrize(
    "make",
    [
        lambda: hidim.Spectrum.from_data([[1.0, math.nan]], [1.0]),
        lambda: hidim.Spectrum.from_data(np.ones((5, 2)), np.arange(5.0)),
        lambda: hidim.Spectrum.from_data(np.eye(3), np.ones(4)),
        lambda: hidim.Spectrum.from_data(np.eye(3), [1.0, math.inf, 0.0]),
        lambda: hidim.Spectrum.from_data(np.ones(3), np.ones(3)),
        lambda: hidim.Spectrum.from_data([["a"]], [1.0]),
        lambda: hidim.Spectrum.from_covariance(np.eye(2), np.ones(3)),
        lambda: hidim.Spectrum.from_covariance([[1.0, 2.0], [0.0, 1.0]], np.ones(2)),
        lambda: hidim.Spectrum.from_covariance(-np.eye(2), np.ones(2)),
        lambda: hidim.Spectrum.from_covariance(np.eye(2), np.ones(2), -1.0),
        lambda: hidim.Spectrum([1.0, -1.0], [1.0, 1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [1.0, 1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [-1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [1.0], -0.5),
        lambda: hidim.Spectrum([], [], 0.0),
        lambda: hidim.Spectrum([1.0], [math.nan], 0.0),
    ],
)
def test_impossible_spectra_are_refused_in_one_line(make):
    with pytest.raises(ValueError) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_compression_keeps_trace_risk_and_dimension():
    rng = np.random.default_rng(3)
    spectrum = hidim.Spectrum(rng.uniform(1e-6, 1, 5000) ** 3, rng.uniform(0, 1, 5000), 0.1)
    few = spectrum.compress(nodes_per_octave=14)
    assert len(few) < len(spectrum) / 5
    assert few.trace == pytest.approx(spectrum.trace, rel=1e-12)
    assert few.initial_risk == pytest.approx(spectrum.initial_risk, rel=1e-12)
    assert few.dimension == pytest.approx(5000, rel=1e-10)


def test_no_multiplicity_is_a_multiplicity_of_one():
    plain, ones = (hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.1, m) for m in (None, [1, 1]))
    assert plain.multiplicity is plain.counts
    np.testing.assert_array_equal(plain.multiplicity, [1.0, 1.0])
    assert plain == ones
    assert hash(plain) == hash(ones)
    assert repr(plain) == repr(ones)
    for other in (
        hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.1, [1, 2]),
        hidim.Spectrum([0.5, 1.0], [1.0, 2.5], 0.1),
        hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.2),
        hidim.Spectrum([0.5, 1.0, 1.0], [1.0, 2.0, 0.0], 0.1),
        hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.1, label="another"),
    ):
        assert plain != other
    assert hidim.PLRF(1.0, 0.7, 50).spectrum() == hidim.PLRF(1.0, 0.7, 50).spectrum()
    assert hidim.PLRF(1.0, 0.7, 50).spectrum(1) != hidim.PLRF(1.0, 0.7, 50).spectrum(2)


def test_modes_without_curvature_survive_compression():
    lam = np.concatenate([np.zeros(40), np.linspace(0.5, 1, 400)])
    spectrum = hidim.Spectrum(lam, np.ones(440), 0.0)
    assert spectrum.compress().dimension == pytest.approx(440, rel=1e-12)


EIGENVALUES, ERROR_SQ = [1.0, 0.3, 0.0], [1.0, 4.0, 2.5]
CSV = "eigenvalues,error_sq,risk_floor,multiplicity\n"


def held(tmp_path, suffix, **changed):
    """A file with a spectrum, some of its parts renamed or left out (None)."""
    parts = {"eigenvalues": EIGENVALUES, "error_sq": ERROR_SQ, "risk_floor": 0.2}
    parts = {changed.get(name, name): value for name, value in parts.items()}
    parts.pop(None, None)
    path = tmp_path / f"s{suffix}"
    if suffix == ".npz":
        np.savez(path, **parts)
    elif suffix == ".json":
        path.write_text(json.dumps(parts))
    else:
        columns = [value if isinstance(value, list) else [value] * 3 for value in parts.values()]
        rows = [",".join(parts), *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
        path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize("suffix", [".json", ".npz", ".csv", ".CSV"])
def test_a_file_is_the_spectrum_it_holds(tmp_path, suffix):
    path = held(tmp_path, ".csv").rename(tmp_path / "s.CSV") if suffix == ".CSV" else None
    found = hidim.Spectrum.load(path or held(tmp_path, suffix))
    assert found == hidim.Spectrum(EIGENVALUES, ERROR_SQ, 0.2)
    without = hidim.Spectrum.load(held(tmp_path, ".json", risk_floor=None))
    assert without.risk_floor == 0.0


@pytest.mark.parametrize("suffix", [".json", ".npz", ".csv"])
@pytest.mark.parametrize(
    ("known", "typo"),
    [("risk_floor", "risk_flor"), ("risk_floor", "Risk_Floor"), ("error_sq", "error-sq")],
)
def test_a_name_misspelt_is_answered_with_the_right_one(tmp_path, suffix, known, typo):
    with pytest.raises(ValueError, match=f"'{typo}' is unknown. Did you mean '{known}'") as caught:
        hidim.Spectrum.load(held(tmp_path, suffix, **{known: typo}))
    assert "s" + suffix in str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".npz", ".csv"])
def test_a_name_of_something_else_is_refused_with_those_known(tmp_path, suffix):
    with pytest.raises(ValueError, match=r"'temperature' is unknown\. Known are eigenvalues"):
        hidim.Spectrum.load(held(tmp_path, suffix, risk_floor="temperature"))
    with pytest.raises(ValueError, match=r"has no 'error_sq'; it has 'eigenvalues'"):
        hidim.Spectrum.load(held(tmp_path, suffix, error_sq=None))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("s.json", '{"eigenvalues": [1], "error_sq": [1, 2]}', "one length"),
        ("s.json", '{"eigenvalues": [[1]], "error_sq": [1]}', "dimension"),
        ("s.json", '{"eigenvalues": ["a"], "error_sq": [1]}', "eigenvalues"),
        ("s.json", '{"eigenvalues": [1], "error_sq": [NaN]}', "error_sq"),
        ("s.json", '{"eigenvalues": [1], "error_sq": [1], "provenance": 3}', "provenance"),
        ("s.json", "[1, 2]", "eigenvalues"),
        ("s.json", "not json", "not JSON"),
        ("s.csv", CSV + "1,1,0,1\n1,1,0.5,1\n", "one `risk_floor`"),
        ("s.csv", CSV + "1,1,0,1\n1,1,0\n", "row 3"),
        ("s.csv", "eigenvalues,error_sq,error_sq\n1,1,2\n", "twice"),
        ("s.csv", "eigenvalues,error_sq\n-1,1\n", "negative"),
        ("s.txt", "", ".json, .npz or .csv"),
    ],
)
def test_a_file_without_a_spectrum_is_refused_in_one_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as caught:
        hidim.Spectrum.load(tmp_path / name)
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def made():
    own = hidim.Spectrum([1.0, 0.1 + 0.2, 0.0], [1 / 3, 2.0, 0.5], 0.1, [1, 2, 3], 'λ, "quoted"')
    endless = hidim.PLRF(1.0, 0.7, 1000).spectrum()  # its multiplicities are no counts
    drawn = hidim.PLRF(0.4, 0.7, 6, 20).spectrum(seed=12345678901234567891)
    data = hidim.Spectrum.from_data([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0]).compress()
    return {"own": own, "endless": endless, "drawn": drawn, "data": data}


@pytest.mark.parametrize("suffix", [".json", ".npz", ".csv", ".CSV"])
@pytest.mark.parametrize("name", made())
def test_a_spectrum_comes_back_from_a_file_as_it_was(tmp_path, suffix, name):
    spectrum = made()[name]
    spectrum.save(tmp_path / f"s{suffix}")
    found = hidim.Spectrum.load(tmp_path / f"s{suffix}")
    if suffix.lower() == ".csv":  # numbers alone
        spectrum = hidim.Spectrum(
            spectrum.eigenvalues, spectrum.error_sq, spectrum.risk_floor, spectrum.multiplicity
        )
    assert found == spectrum


def test_a_spectrum_is_not_saved_under_any_name(tmp_path):
    with pytest.raises(ValueError, match=r"\.json, \.npz or \.csv"):
        hidim.Spectrum([1.0], [1.0], 0.0).save(tmp_path / "s.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("multiplicity", [[-3.0, 1.0], [0.0, 0.0], [-1.0, 3.0], [3.5, -3.2]])
def test_multiplicities_that_no_modes_have_are_refused(multiplicity):
    with pytest.raises(ValueError, match="`multiplicity`"):
        hidim.Spectrum([1.0, 2.0], [1.0, 1.0], 0.0, multiplicity)


@pytest.mark.parametrize(
    "build",
    [
        lambda: hidim.Spectrum([1e308, 1e308], [1.0, 1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [1e308], 0.0),
        lambda: hidim.Spectrum([1.0], [1.0], 1e308),
        lambda: hidim.Spectrum([10**400], [1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [1.0], 10**5000),
        lambda: hidim.Spectrum.from_data(1e200 * np.eye(3), [1.0, 2.0, 3.0]),
        lambda: hidim.Spectrum.from_data(np.eye(3), [1e200, 2.0, 3.0]),
        lambda: hidim.Spectrum.from_covariance(np.diag([1e308, 1e308]), [1.0, 1.0]),
        lambda: hidim.Spectrum.from_covariance(np.eye(2), [1e200, 1.0]),
    ],
)
def test_numbers_beyond_float64_are_refused_in_one_line_before_any_work(build):
    with pytest.raises(ValueError) as caught:  # warnings are errors here
        build()
    assert "float64" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", ["complex", "timedelta64[s]"])
def test_numbers_that_are_not_real_are_refused_instead_of_cut(kind):
    wrong = np.ones(3).astype(kind)
    for build in (
        lambda: hidim.Spectrum(wrong, np.ones(3), 0.0),
        lambda: hidim.Spectrum.from_data(np.diag(wrong), np.ones(3)),
        lambda: hidim.Spectrum.from_covariance(np.ones(3), wrong),
    ):
        with pytest.raises(ValueError, match="real numbers"):
            build()


ELLIPTICAL = hidim.Spectrum([1.0, 0.5], [1.0, 2.0], 0.1, kurtosis=3.0, noise_kurtosis=2.0)


def test_a_spectrum_has_gaussian_rows_unless_it_says_otherwise():
    gaussian = hidim.Spectrum([1.0, 0.5], [1.0, 2.0], 0.1)
    assert gaussian.law == DataLaw()
    assert gaussian.law.gaussian
    assert gaussian != ELLIPTICAL
    assert hidim.Spectrum([1.0, 0.5], [1.0, 2.0], 0.1, law=ELLIPTICAL.law) == ELLIPTICAL
    assert "kurtosis" not in repr(gaussian)
    assert repr(ELLIPTICAL).endswith("floor 0.1, kurtosis=3, noise_kurtosis=2)")


def test_a_law_shares_out_the_noise_of_a_batch():
    law = ELLIPTICAL.law
    assert (law.own(10), law.shared(10), law.constant(10)) == (0.5, 0.3, -0.1)
    assert law.own(math.inf) == law.shared(math.inf) == law.constant(math.inf) == 0
    amounts = np.random.default_rng(0).random(100)
    for batch in (1, 3, 7, 10):
        np.testing.assert_array_equal(DataLaw().own(batch, amounts), amounts / batch)
        np.testing.assert_array_equal(DataLaw().shared(batch, amounts), amounts / batch)
        assert not np.any(DataLaw().constant(batch, amounts))


def test_fewer_nodes_keep_the_kurtosis_and_drop_what_speaks_of_modes():
    law = DataLaw(3.0, 2.0, noise=hidim.noise.Laplace(0.5), rows=np.eye(2), basis=np.eye(2))
    few = hidim.Spectrum([1.0, 0.5], [1.0, 2.0], 0.1, law=law).compress()
    assert few.law == DataLaw(3.0, 2.0, noise=hidim.noise.Laplace(0.5))


@pytest.mark.parametrize("suffix", [".json", ".npz", ".csv"])
def test_a_file_keeps_the_law_of_the_data(tmp_path, suffix):
    path = tmp_path / f"spectrum{suffix}"
    ELLIPTICAL.save(path)
    assert hidim.Spectrum.load(path).law == ELLIPTICAL.law
    carried = hidim.Spectrum(
        [1.0], [1.0], 0.0, law=DataLaw(2.0, noise=hidim.noise.Laplace(0.5), basis=np.eye(1))
    )
    if suffix == ".csv":
        with pytest.raises(ValueError, match="noise, basis"):
            carried.save(path)
        return
    carried.save(path)
    assert hidim.Spectrum.load(path) == carried


def test_a_kurtosis_in_a_file_is_checked(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("eigenvalues,error_sq,kurtosis\n1,1,2\n0.5,1,3\n")
    with pytest.raises(ValueError, match="one `kurtosis`"):
        hidim.Spectrum.load(path)


@pytest.mark.parametrize(
    "options", [{"kurtosis": 0.9}, {"noise_kurtosis": -1}, {"kurtosis": 2, "law": DataLaw()}]
)
def test_a_law_that_no_rows_have_is_refused(options):
    with pytest.raises(ValueError, match=r"`(kurtosis|noise_kurtosis|law)`"):
        hidim.Spectrum([1.0], [1.0], 0.0, **options)
