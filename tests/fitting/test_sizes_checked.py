"""Tables that cannot give a law are refused with the run or the flag that mends it; what merely
looks odd is named in warnings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hidim.cli.fit_sizes import penalty
from hidim.cli.main import main
from hidim.fitting import Prior, SizeLaw, envelope, fit_joint, fit_sizes, isoflop, read_sizes
from hidim.fitting.sizes.approaches import isoflop_bias, widest_tolerance
from hidim.fitting.sizes.budgets import Cost
from hidim.fitting.sizes.choose import choose_form
from hidim.fitting.sizes.doubts import doubted_units
from hidim.fitting.sizes.forms import FORMS
from hidim.fitting.sizes.identified import _factor, _profiled, check_identified
from hidim.fitting.sizes.tables import SizeTable
from hidim.fitting.sizes.transformer import body_of, flops_per_token

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def grid(noise: float = 0.002, *, k: float = 1.0, seed: int = 0) -> Rows:
    """Parameters, tokens and loss of 6 x 6 runs of a law with interaction k."""
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e8, 1e11, 6)))
    loss = 1.8 + ((480 * n**-0.35) ** (1 / k) + (2000 * d**-0.37) ** (1 / k)) ** k
    return n, d, loss * np.exp(noise * np.random.default_rng(seed).standard_normal(36))


def write(path: Path, **columns: object) -> str:
    """A CSV file with these columns."""
    rows = zip(*columns.values(), strict=True)  # type: ignore[call-overload]
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]))
    return str(path)


@pytest.mark.parametrize(
    ("ratios", "law"),
    [([20.0], "chinchilla"), ([19.0, 20.0, 21.0], "tied"), ([20.0], "interaction")],
)
def test_equal_tokens_per_parameter_are_refused_with_a_run_to_add(
    ratios: list[float], law: str
) -> None:
    n = np.geomspace(1e7, 1e9, 12)
    d = n * np.resize(ratios, 12)
    loss = 1.8 + 480 * n**-0.35 + 2000 * d**-0.37
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(12))
    with pytest.raises(ValueError, match=r"apart.*parameters on .* tokens") as refused:
        fit_sizes([n, d], loss * noise, law, bootstrap=0)
    assert "\n" not in str(refused.value)
    if law == "tied":
        forced = fit_sizes([n, d], loss * noise, law, bootstrap=0, force=True)
        assert "apart" in forced.warnings[0]


@pytest.mark.parametrize("seed", range(2))
def test_nearly_equal_tokens_per_parameter_are_not_taken_for_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = np.geomspace(1e7, 2e9, 9)
    d = 22 * n * np.exp(0.03 * rng.standard_normal(9))
    loss = (1.69 + 406 * n**-0.34 + 410 * d**-0.28) * np.exp(2e-3 * rng.standard_normal(9))
    with pytest.raises(ValueError, match="apart"):
        fit_sizes([n, d], loss, bootstrap=0)


def test_rows_of_one_run_are_recognised_and_units_doubted(tmp_path: Path) -> None:
    n, d, loss = grid()
    names = [f"run{i}" for i in np.unique(n, return_inverse=True)[1]]
    found = read_sizes(write(tmp_path / "a.csv", model=names, params=n, tokens=d, loss=loss))
    assert any("--group model" in note for note in found.notes)
    found = read_sizes(
        write(tmp_path / "c.csv", **{"run name": names}, params=n, tokens=d, loss=loss)
    )
    assert any("--group 'run name'" in note for note in found.notes)
    assert not found.traits
    assert not found.warnings
    found = read_sizes(write(tmp_path / "b.csv", params=n / 1e6, tokens=d, loss=loss))
    assert "millions" in found.warnings[0]
    found = read_sizes(write(tmp_path / "c.csv", params=n, tokens=d, loss=loss, flops=2 * n * d))
    assert "0.333 times" in found.warnings[0]


def test_runs_that_tell_size_and_data_apart_are_fitted_without_a_word() -> None:
    n, d, loss = grid()
    assert fit_sizes([n, d], loss, bootstrap=0).warnings == ()
    n, d = np.repeat(np.geomspace(1e7, 1e9, 5), 4), 0.0
    d = n * np.tile([5.0, 10, 20, 80], 5)
    loss = 1.8 + 480 * n**-0.35 + 2000 * d**-0.37
    assert fit_sizes([n, d], loss, bootstrap=0).warnings == ()


def test_shuffled_losses_and_accuracies_are_refused() -> None:
    n, d, loss = grid()
    rng = np.random.default_rng(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="shuffled"):
            fit_sizes([n, d], rng.permutation(loss), bootstrap=0)
    with pytest.raises(ValueError, match="accuracy"):
        fit_sizes([n, d], 0.9 - 0.1 * loss / loss.max(), bootstrap=0)


def test_a_bad_law_plans_nothing_and_divides_by_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, d, loss = grid()
    table = write(tmp_path / "a.csv", params=n, tokens=d, loss=1 - 0.2 * loss / loss.max())
    out = str(tmp_path / "law.json")
    command = ["fit", "--law", "chinchilla", table, "--bootstrap", "5", "--out", out]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    capsys.readouterr()
    assert main(["plan", out, "--flops", "1e21"]) == 2
    assert "exponents" in capsys.readouterr().err


def test_a_loss_that_does_not_fall_has_no_best_size() -> None:
    n, d, loss = grid()
    law = fit_sizes([n, d], loss, bootstrap=0)
    names = list(law.form.names)
    vector = law.vector.copy()
    for name in ("scale_params", "scale_tokens"):
        vector[names.index(name)] = -60.0
    with pytest.raises(ValueError, match="falls with neither"):
        replace(law, vector=vector).optimal(1e21)


def test_rows_that_lie_far_are_named_with_what_they_move() -> None:
    n, d, loss = grid()
    loss[[0, 7]] *= [1.3, 1.12]
    law = fit_sizes([n, d], loss, bootstrap=0)
    (far,) = (w for w in law.warnings if "far from the law" in w)
    assert far.startswith("2 of 36")
    assert f"{n[0]:.3g} params, {d[0]:.3g} tokens" in far
    assert "one-sided" in far


def test_a_badly_tuned_size_is_named() -> None:
    n, d, loss = grid(5e-4)
    loss[n == n.max()] *= 1.02
    law = fit_sizes([n, d], loss, bootstrap=0)
    assert any("1e+09 parameters lie" in w and "tuned" in w for w in law.warnings)


def test_repeated_rows_are_named_and_dropped_on_reading() -> None:
    n, d, loss = (np.append(x, x[:2]) for x in grid())
    law = fit_sizes([n, d], loss, bootstrap=0)
    assert any("2 row(s) repeat" in w for w in law.warnings)
    table = SizeTable((n, d), loss, group=np.arange(38)).without_repeats()
    assert len(table.loss) == 36
    assert table.group is not None
    assert len(table.group) == 36


def test_one_sided_fits_what_well_tuned_runs_reach() -> None:
    n, d, loss = grid(1e-3)
    rng = np.random.default_rng(2)
    spoiled = loss * (1 + rng.exponential(0.04, 36) * (rng.random(36) < 0.6))
    plain = fit_sizes([n, d], spoiled, bootstrap=0, force=True)
    one = fit_sizes([n, d], spoiled, bootstrap=0, one_sided=True, force=True)
    off = [np.mean(np.abs(law.predict(n, d) / loss - 1)) for law in (plain, one)]
    assert off[1] < 0.5 * off[0]


def test_a_wrong_form_is_told() -> None:
    x = np.geomspace(1e3, 1e8, 30)
    noise = np.exp(2e-3 * np.random.default_rng(3).standard_normal(30))
    law = fit_sizes([x], (1.2 + 30 * x**-0.4) * noise, "power", bootstrap=0)
    assert any("saturating" in w for w in law.warnings)
    assert not fit_sizes([x], 3 * x**-0.3 * noise, "power", bootstrap=0).warnings
    n, d, loss = grid(1e-3, k=0.3)
    assert any("interaction" in w for w in fit_sizes([n, d], loss, bootstrap=0).warnings)


def test_the_form_is_chosen_by_what_it_predicts() -> None:
    n, d, loss = grid(1e-3, k=0.4)
    chosen = choose_form(SizeTable((n, d), loss))
    assert chosen.name == "interaction"
    assert "hold-outs" in chosen.reason


def test_interaction_recovers_its_law_and_its_best_size() -> None:
    n, d, loss = grid(0.0, k=0.5)
    law = fit_sizes([n, d], loss, "interaction", bootstrap=0)
    assert law.parameters["interaction"] == pytest.approx(0.5, rel=0.02)
    best = law.optimal(1e20)
    sizes = best["params"] * np.geomspace(0.5, 2, 201)
    losses = law.predict(sizes, 1e20 / 6 / sizes)
    assert sizes[np.argmin(losses)] == pytest.approx(best["params"], rel=0.02)


def test_whole_runs_are_resampled() -> None:
    n, d, loss = grid()
    run = np.unique(n, return_inverse=True)[1]
    alone = fit_sizes([n, d], loss, bootstrap=10)
    grouped = fit_sizes([n, d], loss, bootstrap=10, group=run)
    assert grouped.provenance["runs"] == 6
    assert not np.array_equal(alone.replicas, grouped.replicas)
    with pytest.raises(ValueError, match="at least three"):
        fit_sizes([n, d], loss, bootstrap=0, group=np.zeros(36))


def test_rows_are_picked_and_parted_by_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, d, loss = grid()
    kinds = np.tile(["web", "books"], 36)
    n, d = np.repeat(n, 2), np.repeat(d, 2)
    both = np.repeat(loss, 2) * np.where(kinds == "web", 1.0, 1.1)
    lr = np.where(n < 1e8, 1e-3, 3e-4)
    table = write(tmp_path / "t.csv", params=n, tokens=d, loss=both, data=kinds, lr=lr)
    assert len(read_sizes(table, where=["data=web", "lr<=3e-4"]).loss) == 18
    with pytest.raises(ValueError, match="data holds web, books"):
        read_sizes(table, where="data=wiki")
    # The condition that nothing is left of, and what was left before it.
    with pytest.raises(ValueError, match=r"no row of .* has data=wiki; data holds web, books"):
        read_sizes(table, where=["data=wiki", "lr<1"])
    with pytest.raises(ValueError, match="has lr<1e-3 and params<1e8; params holds"):
        read_sizes(table, where=["lr<1e-3", "params<1e8"])
    with pytest.raises(ValueError, match="no column 'set'"):
        read_sizes(table, where=["set=web"])
    law = fit_sizes(read_sizes(table), bootstrap=0)
    assert any("--by data" in warning for warning in law.warnings)
    command = ["fit", "--law", "chinchilla", table, "--bootstrap", "2", "--by", "data", "--json"]
    assert main([*command, "--out", str(tmp_path / "law.json")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["data"] for one in answer["laws"]] == ["web", "books"]
    floors = [
        SizeLaw.load(tmp_path / f"law-{kind}.json").predict(1e8, 1e10)[0]
        for kind in ("web", "books")
    ]
    assert floors[1] / floors[0] == pytest.approx(1.1, rel=0.01)


def test_repeated_data_are_told(tmp_path: Path) -> None:
    n, d, loss = grid()
    table = write(
        tmp_path / "t.csv", params=n, tokens=d, loss=loss, epochs=np.where(d > 5e10, 8, 1)
    )
    (warning,) = read_sizes(table).warnings
    assert warning.startswith("6 of 36 runs repeat")
    assert not read_sizes(table, where=["epochs<=1"]).warnings


def test_exact_flops_of_transformers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 12 L w^2 and two embeddings; Chinchilla's appendix counts attention and logits as here
    layers, width = np.array([6, 8, 10, 12, 16, 20]), np.array([384, 512, 640, 768, 1024, 1280])
    body = 12 * layers * width**2
    cost = 6 * body + 6 * 50304 * width + 12 * layers * width * 2048
    for params in (body, body + 50304 * width):
        assert np.array_equal(
            flops_per_token(layers, width, 2048, 50304, body=body_of(params, layers, width, 50304)),
            cost,
        )
    rows = np.arange(6).repeat(5)
    n, d = body[rows].astype(float), body[rows] * np.tile([5.0, 10, 20, 40, 80], 6)
    loss = 1.8 + 480 * n**-0.34 + 2000 * d**-0.37
    fixed = {"context": [2048] * 30, "vocab_size": [50304] * 30}
    columns = {"params": n, "flops": cost[rows] * d, "loss": loss, "n_layer": layers[rows]}
    table = write(tmp_path / "t.csv", **columns, d_model=width[rows], **fixed)
    out = str(tmp_path / "law.json")
    command = ["fit", "--law", "chinchilla", table, "--bootstrap", "3", "--out", out]
    assert main([*command, "--count", "exact"]) == 0
    assert "x 6 x parameters x tokens; they count here" in capsys.readouterr().out
    law = SizeLaw.load(out)
    assert law.parameters["exponent_tokens"] == pytest.approx(0.37, abs=1e-3)
    best = law.optimal(1e19)
    assert law.cost(best["params"]) * best["tokens"] == pytest.approx(1e19)
    # Beyond the fitted sizes, too: a power of the size would fall below 6 N there.
    assert law.cost(12 * 40 * 2560.0**2) == pytest.approx(
        flops_per_token(40, 2560, 2048, 50304), rel=0.03
    )
    sizes = best["params"] * np.geomspace(0.5, 2, 201)
    losses = law.predict(sizes, 1e19 / law.cost(sizes))
    assert sizes[np.argmin(losses)] == pytest.approx(best["params"], rel=0.01)
    assert main(["fit", "--law", "chinchilla", table, "--bootstrap", "0"]) == 0
    assert "--count exact plans by them" in capsys.readouterr().out


@pytest.mark.parametrize("tables", [0, 1, 2])
@pytest.mark.parametrize("context", [1024, 4096])
def test_exact_flops_are_told_at_and_beyond_the_sizes_of_a_ladder(
    tables: int, context: int
) -> None:
    # N counts no table of embeddings, a tied one, or two of which one multiplies nothing. At three
    # to eighteen times the largest size a power of N was 46 % low.
    def ladder(layers: Any, width: Any) -> tuple[np.ndarray, np.ndarray]:
        params = 12 * layers * width**2 + tables * 50304 * width
        return params.astype(float), flops_per_token(layers, width, context, 50304)

    params, cost = ladder(np.array([6, 8, 12, 16, 24]), np.array([384, 512, 768, 1024, 2048]))
    found = Cost.of(params, cost)
    assert found(params) == pytest.approx(cost, rel=0.03)
    large, dear = ladder(np.array([32, 48]), np.array([2560, 6144]))
    assert found(large) == pytest.approx(dear, rel=0.04)
    near = params * 1.0001
    slope = np.log(found(near) / found(params)) / np.log(1.0001)
    assert [found.power(n) for n in params] == pytest.approx(slope, abs=1e-3)
    assert Cost.from_list(found.to_list()) == found
    assert Cost.of(params, 2 * params).said() == "2 x parameters x tokens"


def test_forecast_takes_a_law_of_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n, d, loss = grid()
    out = str(tmp_path / "law.json")
    table = write(tmp_path / "t.csv", params=n, tokens=d, loss=loss)
    assert main(["fit", "--law", "chinchilla", table, "--bootstrap", "10", "--out", out]) == 0
    assert "rollout over params" in capsys.readouterr().out
    asked = write(tmp_path / "ask.csv", params=[1e9, 4e9], tokens=[2e10, 8e11])
    assert main(["forecast", out, asked, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    truth = 1.8 + 480 * np.array([1e9, 4e9]) ** -0.35 + 2000 * np.array([2e10, 8e11]) ** -0.37
    assert np.allclose(answer["prediction"], truth, rtol=0.02)
    assert answer["beyond"] == pytest.approx([1, 32])
    assert main(["forecast", out, asked]) == 0
    assert "were missed by" in capsys.readouterr().out
    assert main(["forecast", out, table, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_relative_error"] < 0.005
    one = ["forecast", out, "--params", "1B", "--tokens", "20B"]
    for command, told in (
        ([*one, "--step-scale", "2"], "no use for --step-scale"),
        ([*one, "--drop-nan"], "no use for --drop-nan"),
        ([*one, "--resumed", "keep-last"], "no use for --resumed"),
        ([*one, "--columns", "loss=y"], "no use for --columns"),
        (["forecast", out, asked, "--averaged", "no"], "no use for --averaged"),
        (one[:4], "give --tokens 8B too."),
        (["plan", out, "--flops", "1e20", "--tokens-per-step", "1"], "use for --tokens-per-step"),
    ):
        assert main(command) == 2
        assert told in capsys.readouterr().err
    law = SizeLaw.load(out)
    least, fewest = n.min(), d.min()
    assert law.beyond(n, d) == pytest.approx(1)
    assert law.beyond(least / 5, fewest * 5) == pytest.approx(5)
    assert law.below(least * 5, fewest / 7) == pytest.approx(7)
    assert law.below(n.max() * 5, d.max()) == 1
    for said, told in (
        (("1", "1"), f"below the fitted runs: {least * fewest:.3g} x"),
        (("1e30", "1e30"), "beyond the fitted runs: "),
    ):
        assert main(["forecast", out, "--params", said[0], "--tokens", said[1]]) == 0
        text = capsys.readouterr().out
        assert told in text
        assert max(map(len, text.split())) < 20


def test_budgets_that_chain_are_refused_the_right_way() -> None:
    n, c = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 7), 1e18 * 1.06 ** np.arange(40)))
    loss = 1.8 + 480 * n**-0.35 + 2000 * (c / 6 / n) ** -0.37
    with pytest.raises(ValueError, match=r"[Ll]ower `tolerance`"):
        isoflop(n, c, loss, bootstrap=0)
    assert widest_tolerance(c) == 0.05
    bias = isoflop_bias(n, c, loss, tolerance=0.05)
    assert bias.joint == pytest.approx(0.37 / 0.72, abs=1e-3)
    found = isoflop(n, c, loss, tolerance=0.05, bootstrap=0)
    assert found.exponent - bias.bias == pytest.approx(bias.joint, abs=1e-3)


def test_isoflop_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n, c = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e10, 9), [1e18, 1e19, 1e20]))
    loss = 1.8 + 480 * n**-0.35 + 2000 * (c / 6 / n) ** -0.37
    table = write(tmp_path / "t.csv", params=n, flops=c, loss=loss)
    assert main(["fit", "--law", "isoflop", table, "--bootstrap", "5", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["exponent_less_bias"] == pytest.approx(0.37 / 0.72, abs=0.002)
    assert not answer["warnings"]
    kinds = np.arange(27) % 2
    mixed = write(tmp_path / "m.csv", params=n, flops=c, loss=loss * (1 + 0.08 * kinds), kind=kinds)
    main(["fit", "--law", "isoflop", mixed, "--bootstrap", "5", "--tolerance", "0.2"])
    assert "column 'kind' sorts the runs" in capsys.readouterr().err
    two = write(tmp_path / "u.csv", params=n[9:], flops=c[9:], loss=loss[9:])
    assert main(["fit", "--law", "isoflop", two]) == 2


def test_penalties_are_read() -> None:
    assert penalty(None) == (1e-3, False)
    assert penalty("one-sided:0.01") == (0.01, True)
    for wrong in ("l1", "huber:x", "huber:-1", "l2:3"):
        with pytest.raises(ValueError, match="--loss"):
            penalty(wrong)


def test_every_sized_form_says_its_exponents() -> None:
    for form in FORMS.values():
        if form.sized:
            assert form.exponents(np.array([1.0, 2.0, 3.0, 0.4, 0.5, 0.1])) is not None


def test_columns_that_may_be_exchanged_are_named() -> None:
    n, d, _ = grid()
    (said,) = doubted_units(d, n, None, None)
    assert "exchanged?" in said
    assert not doubted_units(n, d, None, None)


def test_parameters_in_millions_and_tokens_in_billions_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, d, loss = grid()
    for counts in ((n / 1e6, d / 1e9), (n, np.round(d / 1e8)), (n / 1e6, d)):
        (said,) = fit_sizes(list(counts), loss, bootstrap=0).warnings
        assert "counted in millions or billions?" in said
    law = fit_sizes([n, d], loss, bootstrap=0)
    assert not law.warnings
    law.save(tmp_path / "law.json")
    command = ["plan", str(tmp_path / "law.json"), "--flops", "1e20", "--steps", "300"]
    assert main(command) == 2  # nor is a flag that means nothing here passed over
    assert "no use for --steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (np.exp, "perplexities"),
        (lambda nats: 1024 * nats, "summed"),
        (lambda nats: 10 * nats, "summed"),
        (lambda nats: nats, ""),
    ],
)
def test_losses_that_text_of_these_sizes_does_not_have_are_named(
    of: Callable[[np.ndarray], np.ndarray], told: str, tmp_path: Path
) -> None:
    n, d = (x.ravel() for x in np.meshgrid([2e7, 1e8, 5e8], [1e9, 4e9, 2e10]))
    loss = of(1.8 + 480 * n**-0.35 + 2100 * d**-0.37)
    path = tmp_path / "runs.csv"
    rows = np.column_stack([n, d, loss])
    np.savetxt(path, rows, delimiter=",", comments="", header="params,tokens,loss")
    said = [w for w in read_sizes(path).warnings if "cross-entropy" in w]
    assert bool(said) == bool(told)
    assert all(told in one for one in said)


def test_a_table_drawn_with_bars_is_read(tmp_path: Path) -> None:
    rows = [(1e7 * 2**i, 2e8 * 3**j, 3.0 - 0.1 * i - 0.05 * j) for i in range(3) for j in range(3)]
    body = [[f"{x:.6g}" for x in row] for row in rows]
    names = ["params", "tokens", "loss"]
    markdown = [
        "# Runs",
        "",
        *(f"| {' | '.join(r)} |" for r in [names, ["---:"] * 3, *body]),
        "end",
    ]
    grid = "+------+------+------+"
    framed = [grid, f"| {' | '.join(names)} |", grid, *(f"| {' | '.join(r)} |" for r in body), grid]
    database = [" | ".join(names), "-----+-----+----", *(" | ".join(r) for r in body), "(9 rows)"]
    for lines in (markdown, framed, database):
        path = tmp_path / "runs.md"
        path.write_text("\n".join(lines))
        found = read_sizes(path)
        assert np.allclose(np.column_stack([*found.inputs, found.loss]), rows)
    other = ["| optimizer | note |", "|---|---|", "| adamw | a |"]
    for more in (["", *markdown[2:]], ["", *other], markdown[2:], ["and", *framed[:5]]):
        path.write_text("\n".join([*markdown[:-1], *more]))
        with pytest.raises(ValueError, match=r"two tables, the second from line 1[3-6] on: leave"):
            read_sizes(path)
    path.write_text("\n".join([*other, "", *markdown, "a | b"]))
    assert len(read_sizes(path).loss) == len(rows)
    united = ["| Params (M) | Tokens [B] | val ppl |", "|--:|--:|--:|"]
    path.write_text("\n".join([*united, "| 1,176 | 2 | 20.0 |", "| 2,176.5 | 1,004 | 18 |"]))
    found = read_sizes(path)
    assert np.allclose(found.inputs, [[1.176e9, 2.1765e9], [2e9, 1.004e12]])
    assert np.allclose(found.loss, np.log([20, 18]))
    path.write_text("\n".join([*markdown[:4], "| 1e7 | 1e9 | 3,012 |"]))
    with pytest.raises(ValueError, match=r"3\.012 for a decimal"):
        read_sizes(path)
    path.write_text("\n".join([*markdown[:5], "| 1e7 | 3.0 |"]))
    with pytest.raises(ValueError, match="2 cells for 3 columns"):
        read_sizes(path)


def test_a_sweep_among_the_sizes_is_told_and_seeds_are_none(tmp_path: Path) -> None:
    n, d, loss = (np.repeat(x, 3) for x in grid(0.0))
    lr = np.tile([3e-4, 1e-3, 3e-3], 36)
    seed = np.tile([0, 1, 2], 36)
    tuned = loss * (1 + 0.02 * np.log(lr / 1e-3) ** 2)
    swept = read_sizes(write(tmp_path / "a.csv", params=n, tokens=d, loss=tuned, lr=lr, seed=seed))
    assert any(
        "36 of 36 sizes have several losses, 2.9% apart, as 'lr'" in w for w in swept.warnings
    )
    jitter = loss * np.exp(0.005 * np.random.default_rng(0).standard_normal(108))
    seeds = read_sizes(write(tmp_path / "b.csv", params=n, tokens=d, loss=jitter, seed=seed))
    assert not seeds.warnings


@pytest.mark.parametrize("near", [True, False])
@pytest.mark.parametrize("kinds", [("web", "code"), (0, 1), (32000, 128000)])
def test_families_in_one_table_are_named_by_their_column(
    kinds: tuple[object, object], near: bool, tmp_path: Path
) -> None:
    n, d, loss = (np.tile(x, 2) for x in grid())
    apart = np.where(np.arange(72) < 36, 1.0, 1.05 if near else 1.5)
    told = {"seq_len": np.repeat(kinds, 36), "ratio": np.round(d / n, 1), "seed": np.arange(72) % 2}
    path = write(tmp_path / "t.csv", params=n, tokens=d, loss=loss * apart, **told)
    if near:  # the law is fitted all the same
        law = fit_sizes(read_sizes(path), bootstrap=20)
        assert [w for w in law.warnings if "--by seq_len" in w]
        assert not [w for w in law.warnings if "--by ratio" in w or "--by seed" in w]
        return
    with pytest.raises(ValueError, match="--by seq_len"):
        fit_sizes(read_sizes(path), bootstrap=20)


@pytest.mark.parametrize(("name", "rows"), [("run", 2), ("run_id", 4), ("job", 1)])
def test_several_rows_of_one_run_are_told(name: str, rows: int, tmp_path: Path) -> None:
    n, d, loss = (np.repeat(x, rows) for x in grid(0.0))
    d = d * np.tile(np.linspace(0.5, 1, rows), 36)
    ids = {name: np.repeat(np.arange(36), rows)}
    found = read_sizes(write(tmp_path / "t.csv", params=n, tokens=d, loss=loss, **ids))
    told = any(f"--last {name} keeps" in warning for warning in found.warnings)
    assert told == (rows > 1)
    if told:
        ends = read_sizes(tmp_path / "t.csv", last=name)
        np.testing.assert_allclose(ends.inputs[1], d[rows - 1 :: rows])
        assert not ends.warnings


def test_arguments_of_another_kind_are_refused_by_name() -> None:
    n, d, loss = grid()
    law = fit_sizes([n, d], loss, bootstrap=0)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("`inputs`", lambda: fit_sizes(None)),  # type: ignore[arg-type]
        ("`inputs`", lambda: fit_sizes(3, loss)),  # type: ignore[arg-type]
        ("`curves`", lambda: fit_joint(None)),
        ("`curves`", lambda: envelope(None)),  # type: ignore[arg-type]
        ("`floor_exponent`", lambda: Prior(0.4)),  # type: ignore[arg-type]
        ("2 params, 3 tokens", lambda: law.predict([1e7, 2e7], [1e9, 2e9, 3e9])),
    ]
    for said, call in calls:
        with pytest.raises(ValueError, match=said):
            call()


def test_too_few_whole_budgets_ask_for_a_budget_and_not_for_sizes() -> None:
    n = np.tile(np.geomspace(1e8, 3e9, 7), 2)
    flops = np.repeat([1e19, 1e20], 7)
    loss = 1.8 + 480 * n**-0.35 + 2000 * (flops / (6 * n)) ** -0.37
    with pytest.raises(ValueError, match="Run 1 more budget"):
        isoflop(n, flops, loss, bootstrap=0)


def test_a_run_beside_a_line_settles_what_it_was_asked_for() -> None:
    # Along the line both terms are one power here, and no gradient tells their difference.
    params = np.append(np.geomspace(1e7, 2e9, 9), 3.8e7)
    tokens = np.append(60 * params[:9] ** 0.93, 9.7e9)
    form, logs = FORMS["chinchilla"], np.log(np.stack([params, tokens], axis=1))
    units = np.exp(logs.mean(axis=0))
    logs -= np.log(units)
    vector = np.array([1.724, -0.314, -0.294, 0.318, 0.342])  # of one drawing
    local = _factor(form, vector, logs, logs, 0.0024)
    assert local > 10
    # Own least squares of 200 drawings: 1.1, either way.
    assert _profiled(form, vector, logs, 0.0024, local) < 2
    assert check_identified(form, vector, logs, units, 0.0024) == ("", "")


def test_the_name_of_a_law_in_the_place_of_losses_is_told() -> None:
    with pytest.raises(ValueError, match="law='chinchilla'"):
        fit_sizes({"params": [1e7], "tokens": [1e9], "loss": [3.0]}, "chinchilla")
