"""What the library of C computes is what NumPy computes, and NumPy is asked where it does not."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

import hidim
from hidim.compiled import blocks, library, moments
from hidim.support import native

LIBRARY = library.library()
needed = pytest.mark.skipif(LIBRARY is None, reason="the package came without its library")
WIDTHS = [width for width in (2, 4, 8) if width <= library.lanes()]

PROBLEM = hidim.PLRF(1.0, 0.7, 300, 1200)
NOISY = hidim.PLRF(1.0, 0.4, 300, noise=hidim.noise.StudentT(5, scale=0.1))
DANA = hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)
RUNS = {
    "momentum": (PROBLEM, DANA, 1, 10**6),
    "its drawn modes": (PROBLEM.spectrum(seed=0), DANA, 4, 10**5),
    "plain descent": (hidim.PLRF(0.7, 0.3, 300), hidim.sgd(0.3), 1, 10**7),
    "label noise": (NOISY, hidim.dana_constant(0.3, 0.001, 9.0), 16, 10**5),
    "full batches": (PROBLEM, DANA, np.inf, 10**4),
    "signs": (PROBLEM, hidim.sign_sgd(1e-3, basis="generic"), 8, 10**4),
    "clipping": (PROBLEM, hidim.clipped(hidim.sgd(0.2), 1.0), 1, 10**5),
}  # fmt: skip


@pytest.fixture
def without(monkeypatch):
    """A package that came without its library."""
    for module in (blocks, moments):
        monkeypatch.setattr(module, "library", lambda: None)


@needed
@pytest.mark.parametrize("name", RUNS)
def test_curves_are_the_same_to_rounding(name, without, monkeypatch):
    problem, algorithm, batch_size, steps = RUNS[name]

    def curve():
        return hidim.predict(problem, algorithm, steps, batch_size=batch_size)

    plain = curve()
    monkeypatch.undo()
    found = curve()
    assert np.array_equal(found.steps, plain.steps)
    assert found.status == plain.status
    np.testing.assert_allclose(found.risk, plain.risk, rtol=1e-12)


@needed
@pytest.mark.parametrize("seed", range(12))
def test_rounding_decides_nothing_about_blocks(seed, without, monkeypatch):
    """Lengths are rounded, and errors that say nothing are not listened to (engines/pace.py)."""
    rng = np.random.default_rng(seed)
    modes = int(rng.integers(2, 12))
    places = np.geomspace(1, 10.0 ** -rng.uniform(1, 4), modes)
    spectrum = hidim.Spectrum(places, rng.uniform(0.1, 1, modes), float(rng.choice([0, 0.1, 1])))
    rate = 10 ** rng.uniform(-3.5, -1)
    algorithm = [hidim.sgd(rate), hidim.dana_constant(rate, rate / 100, 9.0)][seed % 2]
    ask = {"steps": 10 ** int(rng.integers(4, 6)), "batch_size": int(rng.choice([1, 4, 64]))}
    plain = hidim.predict(spectrum, algorithm, **ask)
    monkeypatch.undo()
    found = hidim.predict(spectrum, algorithm, **ask)
    fallen = 1.0 + np.log(plain.risk[0] / plain.risk)  # rounding of a rate grows with its exponent
    assert np.all(np.abs(found.risk / plain.risk - 1.0) < 1e-12 * fallen)
    assert found.provenance["error"] == pytest.approx(plain.provenance["error"], rel=0.1, abs=1e-12)


@needed
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("modes", [1, 2, 7, 8, 9, 33])
def test_every_width_of_vectors_solves_every_number_of_modes(width, modes, monkeypatch):
    monkeypatch.setattr(blocks, "lanes", lambda: width)
    rng = np.random.default_rng(modes)
    features = np.abs(rng.standard_normal((modes, 3))) + 0.1
    left, right = rng.standard_normal((3, 6, 6)) / 8, rng.standard_normal((3, 6, 4))
    left[0] += np.eye(6) * 30
    for given in (0, 1, 4):
        for rows in (1, modes):
            more = rng.standard_normal((rows, 6, given))
            matrix = np.einsum("mp,pij->mij", features, left)
            flat = np.einsum("mp,pij->mij", features, right)
            flat[:, :, :given] += more
            expected = np.linalg.solve(matrix, flat)
            found = blocks._solved(features, left, right, more)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(blocks.solve(matrix, flat), expected, rtol=1e-12, atol=1e-14)


@needed
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("modes", [1, 3, 8, 21])
@pytest.mark.parametrize("kinds", [1, 3])
def test_every_width_of_vectors_takes_the_same_steps(width, modes, kinds, monkeypatch):
    spectrum = hidim.Spectrum(np.geomspace(1, 1e-3, modes), np.ones(modes), 0.5)
    algorithm = DANA if kinds == 3 else hidim.sgd(0.2)

    def risks():
        return hidim.predict(spectrum, algorithm, 200, batch_size=2).risk

    monkeypatch.setattr(moments, "lanes", lambda: width)
    found = risks()
    monkeypatch.setattr(moments, "library", lambda: None)
    np.testing.assert_allclose(found, risks(), rtol=1e-13)


@needed
def test_where_a_pivot_is_wanted_lapack_is_asked():
    turned = np.array([[[0.0, 1.0], [1.0, 0.0]], [[1e-9, 1.0], [1.0, 1.0]]])
    right = np.arange(4.0).reshape(2, 2, 1)
    np.testing.assert_array_equal(blocks.solve(turned, right), np.linalg.solve(turned, right))
    with pytest.raises(np.linalg.LinAlgError):
        blocks.solve(np.zeros((1, 2, 2)), right[:1])
    assert np.isnan(blocks.solve(np.full((1, 2, 2), np.nan), right[:1])).all()


EYE, TURNED, SMALL = np.eye(2), np.array([[0.0, 1], [1, 0]]), np.array([[1e-14, 1], [1, 1]])


@needed
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("after", [0, 1, 6])
def test_what_one_mode_wants_is_not_forgotten_for_the_others(order, after):
    systems = np.stack([*(np.stack([EYE, TURNED, SMALL])[list(order)]), *[EYE] * after])
    right = np.ones((len(systems), 2, 3))
    np.testing.assert_array_equal(blocks.solve(systems, right), np.linalg.solve(systems, right))
    with pytest.raises(np.linalg.LinAlgError):
        blocks.solve(np.stack([np.zeros((2, 2)), *systems]), np.ones((len(systems) + 1, 2, 3)))


@needed
def test_numbers_that_are_no_doubles_are_left_to_lapack():
    systems = np.stack([EYE, TURNED]) * 1j
    np.testing.assert_array_equal(
        blocks.solve(systems, np.ones((2, 2, 1))), np.linalg.solve(systems, np.ones((2, 2, 1)))
    )
    single = blocks.solve(np.stack([EYE]).astype(np.float32), np.ones((1, 2, 1), np.float32))
    assert single.dtype == np.float32


@needed
def test_shapes_that_do_not_fit_are_refused_before_memory_is_read():
    with pytest.raises(ValueError):
        blocks.solve_combined(
            np.ones((5, 2)), np.ones((3, 4, 4)), np.ones((2, 4, 1)), np.ones((5, 4, 1))
        )
    with pytest.raises(ValueError, match="on top of"):
        blocks.solve_combined(
            np.ones((5, 2)), np.ones((2, 4, 4)), np.ones((2, 4, 1)), np.ones((5, 4, 2))
        )
    states = np.zeros((3, 1, 8))[:, :, ::2]
    with pytest.raises(ValueError, match="contiguous"):
        moments.advance(np.ones((2, 4)), np.ones((4, 4)), 0.0, states, np.zeros(3), alone=True)


@needed
@pytest.mark.parametrize("kind", ["empty", "cut short", "of other sources"])
def test_only_a_whole_library_of_these_sources_is_loaded(kind, tmp_path, monkeypatch):
    whole = native.whole(library.PACKAGED, native.key(library.SOURCES, library.LEVEL))
    content = whole.read_bytes()
    name = whole.name.replace(whole.name[:8], "00000000") if "sources" in kind else whole.name
    (tmp_path / name).write_bytes({"empty": b"", "cut short": content[:99]}.get(kind, content))
    monkeypatch.setattr(library, "PACKAGED", tmp_path)
    assert library.library.__wrapped__() is None


def test_the_library_that_came_is_of_these_sources():
    """Else every test of it would be left out without a word."""
    if any(library.PACKAGED.glob("*.so")) and not native.unwanted():
        assert LIBRARY is not None, "the kernel was edited: pip install -e . builds it again"


@pytest.mark.parametrize(
    ("said", "off"), [("0", True), ("No", True), ("off ", True), ("false", True), ("1", False)]
)
def test_words_that_turn_the_library_off(said, off, monkeypatch):
    monkeypatch.setenv("HIDIM_KERNEL", said)
    assert native.unwanted() is off
    monkeypatch.delenv("HIDIM_KERNEL")
    assert not native.unwanted()


def test_the_environment_turns_the_library_off():
    script = "from hidim.compiled.library import lanes, library; print(library(), lanes())"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"HIDIM_KERNEL": "0"}, capture_output=True, text=True
    )
    assert done.stdout == "None 0\n", done.stderr
