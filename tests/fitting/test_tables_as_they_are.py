"""Tables of finished runs as people have them are read right; what is no end of a run is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.fitting import fit_sizes
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.rows import matching
from hidim.fitting.sizes.tables import SizeTable, read_sizes

LAYERS = np.repeat([6, 12, 24], 3)
WIDTH = np.repeat([384, 768, 1536], 3)
N = 12.0 * LAYERS * WIDTH**2
STEPS = np.tile([2000, 8000, 30000], 3)
D = STEPS * 256 * 2048.0
LOSS = 1.8 + 480 * N**-0.34 + 2100 * D**-0.37
FIXED = {"batch_size": [256] * 9, "seq_len": [2048] * 9}


def read(path: Path, columns: dict[str, object], *, sep: str = ",", **options: object) -> SizeTable:
    """The table of these columns, quoted where need be."""
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    cells = [[f'"{c}"' if sep in str(c) else str(c) for c in row] for row in rows]
    names = [f'"{name}"' if sep in name else name for name in columns]
    lines = [sep.join(names), *(sep.join(row) for row in cells)]
    (path / "runs.csv").write_text("\n".join(lines))
    return read_sizes(path / "runs.csv", **options)  # type: ignore[arg-type]


def european(values: np.ndarray, form: str = "{:.10g}") -> list[str]:
    """Numbers with a decimal comma."""
    return [form.format(value).replace(".", ",") for value in values]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"train_tokens": D, "training_flops": 6 * N * D, "loss": LOSS}, "params = flops / (6 x"),
        ({"flops": 6 * N * D, "D/N": D / N, "loss": LOSS}, "params = square root of flops"),
        ({"params": N, "flops (EFLOP)": 6 * N * D / 1e18, "loss": LOSS}, "counts in 1e+18"),
        ({"params": N, "compute [PFLOPs]": 6 * N * D / 1e15, "loss": LOSS}, "counts in 1e+15"),
        ({"params": N, "zettaflops": 6 * N * D / 1e21, "loss": LOSS}, "counts in 1e+21"),
        ({"params": N, "total_flos": 6 * N * D, "eval_loss": LOSS}, "tokens = flops"),
        ({"params": N, "steps": STEPS, **FIXED, "loss": LOSS}, "'batch_size' (sequences) x 'seq_"),
        ({"N": N, "steps": STEPS, **FIXED, "loss": LOSS}, "read as --columns params=N"),
        (
            {"params": N, "steps (k)": STEPS / 1e3, "tokens_per_step": [524288] * 9, "loss": LOSS},
            "tokens = 'steps (k)' x 'tokens_per_step'",
        ),
        ({"Params, M": N / 1e6, "Tokens, B": D / 1e9, "Loss, nats": LOSS}, "'Params, M' counts in"),
        ({"n_layer": LAYERS, "d_model": WIDTH, "tokens": D, "loss": LOSS}, "12 x layers x width^2"),
        ({"params": [f"{int(n):,}" for n in N], "tokens": D, "loss": LOSS}, "marks of thousands"),
        (
            {"params": [f"{int(n):_}".replace("_", " ") for n in N], "tokens": D, "loss": LOSS},
            "mar",
        ),
    ],
)
def test_what_other_columns_say_is_worked_out_and_said(
    columns: dict[str, object], said: str, tmp_path: Path
) -> None:
    found = read(tmp_path, columns)
    np.testing.assert_allclose(found.inputs, [N, D], rtol=1e-9)
    np.testing.assert_allclose(found.loss, LOSS)
    assert any(said in note for note in found.notes)
    assert not found.warnings


def test_a_vocabulary_counts_where_parameters_follow_from_the_shape(tmp_path: Path) -> None:
    shape = {"layers": LAYERS, "hidden_size": WIDTH, "vocab": [50304] * 9}
    found = read(tmp_path, {**shape, "tokens": D, "loss": LOSS})
    np.testing.assert_allclose(found.inputs[0], N + 50304 * WIDTH)
    assert any("vocabulary x width" in note for note in found.notes)


def test_decimal_commas_are_read_where_they_can_be_nothing_else(tmp_path: Path) -> None:
    columns = {"Parameter (M)": european(N / 1e6), "Tokens (B)": european(D / 1e9)}
    found = read(tmp_path, {**columns, "Loss": european(LOSS)}, sep=";")
    np.testing.assert_allclose([*found.inputs, found.loss], [N, D, LOSS], rtol=1e-8)
    assert "decimal commas read" in found.notes
    dotted = [f"{int(n):,}".replace(",", ".") for n in N]
    found = read(
        tmp_path, {"params": dotted, "tokens": D.astype(int), "loss": european(LOSS)}, sep=";"
    )
    np.testing.assert_allclose(found.inputs[0], N)
    doubt = {"params": N, "tokens (B)": ["1,500"] * 9, "loss": LOSS}
    with pytest.raises(ValueError, match=r"1\.500 for a decimal"):
        read(tmp_path, doubt, sep=";")


def test_a_batch_that_may_count_tokens_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rename it tokens_per_step"):
        read(tmp_path, {"params": N, "steps": STEPS, "batch_size": [256] * 9, "loss": LOSS})
    both = {"params": N, "steps": STEPS, "batch_size": [524288] * 9, "seq_len": [2048] * 9}
    with pytest.raises(ValueError, match="rename it tokens_per_step"):
        read(tmp_path, {**both, "loss": LOSS})


def test_rows_before_the_end_of_a_run_are_told_with_the_condition_that_drops_them(
    tmp_path: Path,
) -> None:
    rows = np.repeat(np.arange(9), 2)
    share = np.tile([0.5, 1.0], 9)
    columns = {
        "params": N[rows],
        "tokens": D[rows] * share,
        "loss": LOSS[rows],
        "step": (STEPS[rows] * share).astype(int),
        "max_steps": STEPS[rows],
    }
    (warning,) = read(tmp_path, columns).warnings
    assert warning.startswith("9 of 18 rows lie before")
    assert "--where 'step=max_steps'" in warning
    ends = read_sizes(tmp_path / "runs.csv", where="step=max_steps")
    np.testing.assert_allclose(ends.inputs, [N, D])
    assert not ends.warnings


def test_runs_that_did_not_end_are_told(tmp_path: Path) -> None:
    state = ["finished"] * 7 + ["crashed", "running"]
    (warning,) = read(tmp_path, {"params": N, "tokens": D, "loss": LOSS, "State": state}).warnings
    assert warning.startswith("2 of 9 runs did not end")
    assert "--where 'State=finished'" in warning
    assert not read_sizes(tmp_path / "runs.csv", where="State=finished").warnings


def test_repeated_data_are_told_with_a_condition_of_columns_that_are_there(tmp_path: Path) -> None:
    seen = {"params": N, "tokens": D, "loss": LOSS}
    (warning,) = read(tmp_path, {**seen, "num_epochs": np.tile([1, 1, 8], 3)}).warnings
    assert "--where 'num_epochs<=1'" in warning
    (warning,) = read(tmp_path, {**seen, "unique_tokens": np.minimum(D, 5e9)}).warnings
    assert "--where 'tokens<=unique_tokens'" in warning
    kept = read_sizes(tmp_path / "runs.csv", where="tokens<=unique_tokens")
    assert len(kept.loss) == 6
    assert not kept.warnings


def test_a_law_of_best_values_repeats_what_is_odd_and_parts_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, lr, kind = (
        x.ravel() for x in np.meshgrid([1e7, 1e8, 1e9], np.geomspace(1e-4, 1, 9), [0, 1])
    )
    loss = 3 * np.exp(0.02 * np.log(lr / (1e-2 * 2.0**kind * (n / 1e8) ** -0.3)) ** 2)
    told = {"params": n, "tokens": n * 20, "lr": lr, "loss": loss, "epochs": 1 + 7 * (n > 5e8)}
    read(tmp_path, {**told, "set": np.where(kind == 1, "b", "a")})
    command = ["fit", "--law", "best:lr", str(tmp_path / "runs.csv"), "--by", "set"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "a: 9 of 27 runs repeat their data" in said.err
    assert "sweep" not in said.err
    assert said.out.count("best lr ~ params^-0.300") == 2
    assert "0.02 at 1e+08 params" in said.out


def test_isoflop_takes_parts_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n, c, kind = (
        x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 9), [1e18, 1e19, 1e20], [0, 1])
    )
    best = 0.03 * c**0.5 * np.where(kind, (c / 1e19) ** 0.05, 1.0)
    loss = np.exp(1 + 0.05 * np.log(n / best) ** 2)
    data = np.where(kind == 1, "b", "a")
    read(tmp_path, {"params": n, "tokens": c / 6 / n, "loss": loss, "data": data}, where="data=a")
    command = ["fit", "--law", "isoflop", str(tmp_path / "runs.csv"), "--bootstrap", "0"]
    assert main([*command, "--by", "data"]) == 0
    said = capsys.readouterr().out
    assert "grow as flops^0.500" in said
    assert "grow as flops^0.550" in said


def test_best_sizes_plan_a_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n, c = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 7), [1e18, 1e19, 1e20]))
    loss = np.exp(1 + 0.05 * np.log(n / (0.03 * c**0.5)) ** 2)
    law = str(tmp_path / "best.json")
    read(tmp_path, {"params": n, "flops": c, "loss": loss})
    command = ["fit", "--law", "isoflop", str(tmp_path / "runs.csv"), "--bootstrap", "9"]
    assert main([*command, "--out", law]) == 0
    capsys.readouterr()
    assert main(["plan", law, "--flops", "1e22", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params"] == [pytest.approx(3e9, rel=1e-3)]
    assert found["tokens"] == [pytest.approx(1e22 / 18e9, rel=1e-3)]
    assert found["beyond"] == pytest.approx(100)
    assert main(["forecast", law, "--params", "7B", "--tokens", "8B"]) == 2
    assert "hidim plan" in capsys.readouterr().err


def test_names_of_columns_may_hold_commas() -> None:
    found = parse_columns("step=Steps, k,loss=Loss, nats")
    assert found == {"step": "Steps, k", "loss": "Loss, nats"}


def test_a_break_that_the_hold_out_lacks_does_not_blow_up_a_band() -> None:
    x = np.geomspace(1e7, 1e10, 16)
    loss = 1.5 + 1.5 * (x / 1e9) ** np.where(x > 1e9, -0.08, -0.3)
    loss = loss * np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    low, high = fit_sizes([x], loss, "broken", bootstrap=0).band(3e10)
    assert low < 1.5 + 1.5 * 30**-0.08 < high
    assert high / low < 1.2


def test_bare_millions_beside_bare_billions_are_no_exchange(tmp_path: Path) -> None:
    units = {"params": N / 1e6, "tokens": D / 1e9, "loss": LOSS}
    law = fit_sizes(read(tmp_path, units), bootstrap=0)
    assert [w for w in law.warnings if "counted in millions or billions?" in w]
    assert not [w for w in law.warnings if "exchanged" in w]
    swapped = read(tmp_path, {"params": D, "tokens": N, "loss": LOSS})
    assert any("exchanged" in warning for warning in swapped.warnings)


def test_two_counts_of_parameters_say_which_counts(tmp_path: Path) -> None:
    both = {"total_params": 4 * N, "active_params": N, "tokens": D, "loss": LOSS}
    found = read(tmp_path, {**both, "tokens_per_param": D / N})
    said = "the parameters are 'total_params'; also 'active_params': --columns params=NAME"
    assert said in found.notes
    chosen = read_sizes(tmp_path / "runs.csv", columns={"params": "active_params"})
    np.testing.assert_allclose(chosen.inputs[0], N)
    assert not any("the parameters are" in note for note in chosen.notes)


def test_a_row_without_parameters_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 4 .* is 0, .* --where 'params>0'"):
        read(tmp_path, {"params": np.where(np.arange(9) == 2, 0, N), "tokens": D, "loss": LOSS})
    assert len(read_sizes(tmp_path / "runs.csv", where="params>0").loss) == 8


def test_a_loss_against_compute_alone_is_sent_to_a_law_of_one_quantity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    c = np.geomspace(1e18, 1e22, 9)
    with pytest.raises(ValueError, match="--law saturating --columns x=C"):
        read(tmp_path, {"C": c, "L": 1.7 + 30 * (c / 1e15) ** -0.16})
    command = ["fit", "--law", "saturating", str(tmp_path / "runs.csv"), "--bootstrap", "0"]
    assert main([*command, "--columns", "x=C", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["exponent"] == pytest.approx(0.16)


def test_conditions_take_counts_with_letters() -> None:
    table = {"params": ["70M", "5e6", "1.4B"], "set": ["a", "b", "a"]}
    assert matching(table, "params>=50M", "t").tolist() == [True, False, True]
    assert matching(table, "params=7e7", "t").tolist() == [True, False, False]
    with pytest.raises(ValueError, match="such as 5e7 or 50M"):
        matching(table, "params>=large", "t")


def test_rows_far_off_are_named_under_least_squares_too() -> None:
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(2e7, 1e9, 6), np.geomspace(4e8, 4e10, 6)))
    loss = 1.8 + 480 * n**-0.34 + 2100 * d**-0.37
    loss = loss * np.exp(0.002 * np.random.default_rng(0).standard_normal(36))
    loss[[3, 16, 31]] *= [1.15, 1.2, 1.12]
    law = fit_sizes([n, d], loss, bootstrap=0, delta=1.0)
    assert any(warning.startswith("3 of 36 runs lie far") for warning in law.warnings)


def test_a_table_of_one_column_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.geomspace(1e6, 1e10, 12)
    law, asked = str(tmp_path / "law.json"), tmp_path / "asked.csv"
    lines = ["x,loss", *(f"{a},{5 * (a / 1e6) ** -0.2}" for a in x)]
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    command = ["fit", "--law", "power", str(tmp_path / "runs.csv"), "--bootstrap", "5"]
    assert main([*command, "--out", law]) == 0
    asked.write_text("x\n1e12\n")
    capsys.readouterr()
    assert main(["forecast", law, str(asked), "--csv", "-"]) == 0
    told = float(capsys.readouterr().out.splitlines()[1].split(",")[1])
    assert told == pytest.approx(5 * 1e6**-0.2, rel=1e-3)


def test_one_number_of_tokens_says_what_can_be_fitted() -> None:
    n = np.geomspace(1e7, 1e9, 6)
    with pytest.raises(ValueError, match="--law saturating --columns x=params"):
        fit_sizes([n, np.full(6, 1e10)], 2 + 480 * n**-0.34, bootstrap=0)
