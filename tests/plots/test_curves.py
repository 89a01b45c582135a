"""Claims about figures: what is a line, what has error bars, which colour, which slope."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hidim.curve import Curve

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from hidim.plots import colour_of, plot_agreement, plot_curves
from hidim.plots.curves import fitted_slope
from hidim.plots.style import COLOURS

STEPS = np.array([0, 1, 10, 100, 1000])


def curve(label="sgd", *, stderr=False, slope=-0.5, **more):
    risk = np.concatenate([[1.0], 0.5 * np.array([1.0, 10, 100, 1000]) ** slope])
    return Curve(STEPS, risk, stderr=0.01 * risk if stderr else None, label=label, **more)


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_the_given_ax_is_drawn_on_and_returned(ax):
    assert plot_curves([curve()], ax) is ax
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlabel() == "optimizer steps"


def test_a_new_ax_is_made_when_none_is_given():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    made = plot_curves([curve()])
    assert made.lines
    pyplot.close("all")


def test_theory_is_a_line_and_measurement_points_with_bars_in_the_same_colour(ax):
    plot_curves([curve(), curve(stderr=True)], ax)
    line, points = ax.lines[0], ax.containers[0]
    assert line.get_linestyle() == "-"
    assert points.lines[0].get_linestyle() == "None"
    assert line.get_color() == points.lines[0].get_color() == colour_of("sgd")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sgd"]


def test_two_variants_of_one_algorithm_are_told_apart(ax):
    variants = [curve(), replace(curve(), label="sgd:gamma_2=0.1"), replace(curve(), label="adam")]
    plot_curves(variants, ax)
    looks = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
    assert len(set(looks)) == 3
    assert [style for _, style in looks] == ["-", "--", "-"]


def test_every_algorithm_has_its_own_colour():
    names = [name for name in COLOURS if name != "adam"]  # adam and adamw share one on purpose
    assert len({colour_of(name) for name in names}) == len(names)
    assert colour_of("dana-decaying:kappa_3=0.5") == COLOURS["dana-decaying"]
    assert colour_of("sgd-momentum") != colour_of("sgd")


def test_step_zero_is_left_off_the_log_axis(ax):
    plot_curves([curve()], ax)
    assert 0 not in ax.lines[0].get_xdata()


def test_a_diverged_curve_is_crossed_and_does_not_squeeze_the_others(ax):
    risk = np.array([1.0, 1e3, 1e200, np.inf, np.inf])
    lost = Curve(STEPS, risk, status="diverged", diverged_at=1, label="dana-constant")
    plot_curves([curve(), lost], ax)
    assert ax.get_ylim()[1] == pytest.approx(10)
    assert any(line.get_marker() == "x" for line in ax.lines)


def test_the_fitted_slope_stands_beside_theory(ax):
    plot_curves([curve(slope=-0.7)], ax, window=(1, 1000), theory={"sgd": -0.706})
    text = ax.get_legend().get_texts()[0].get_text()
    assert text == "sgd   slope -0.700 (theory -0.706)"


def test_a_window_without_points_is_refused():
    with pytest.raises(ValueError, match="window"):
        fitted_slope(curve(), (2, 9))


def test_flops_are_drawn_when_asked(ax):
    plot_curves([curve(dimension=10.0, batch_size=4)], ax, against="flops")
    assert ax.lines[0].get_xdata()[-1] == 40_000
    assert ax.get_xlabel().startswith("flops")


def test_no_curve_is_refused(ax):
    with pytest.raises(ValueError, match="curves"):
        plot_curves([], ax)


def test_agreement_is_measured_over_predicted(ax):
    plot_agreement([curve(stderr=True)], [curve()], ax)
    assert np.allclose(ax.containers[0].lines[0].get_ydata(), 1.0)


def test_agreement_needs_the_same_steps(ax):
    other = Curve([0, 2], [1.0, 0.5], label="sgd")
    with pytest.raises(ValueError, match="lacks some of the steps"):
        plot_agreement([curve(stderr=True)], [other], ax)
