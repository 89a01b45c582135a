"""Tables of runs whose columns hold logarithms, ratios, or are called by letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.fitting import fit_sizes
from hidim.fitting.sizes.tables import SizeTable, read_sizes

N = np.array([2e7, 1e8, 1e9, 2e7, 1e8, 1e9])
D = N * np.array([20, 20, 20, 80, 160, 40])
LOSS = 1.8 + 400 * N**-0.34 + 410 * D**-0.28
LAYERS = np.array([6, 12, 24, 6, 12, 24])


def read(path: Path, columns: dict[str, object]) -> SizeTable:
    """The table of these columns."""
    return read_sizes(write(path / "runs.csv", columns), loss=len(columns) > 2)


def write(path: Path, columns: dict[str, object]) -> Path:
    """A CSV file of these columns."""
    cells = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in cells)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"log10_params": np.log10(N), "log10_tokens": np.log10(D), "loss": LOSS}, "10^value"),
        ({"log(N)": np.log10(N), "log(D)": np.log10(D), "val_loss": LOSS}, "10^value"),
        ({"log_params": np.log(N), "log_tokens": np.log(D), "loss": LOSS}, "e^value"),
        ({"ln_N": np.log(N), "ln_D": np.log(D), "L": LOSS}, "e^value"),
        ({"log2_params": np.log2(N), "tokens": D, "ln_loss": np.log(LOSS)}, "'ln_loss' is a log"),
        ({"params_log10": np.log10(N), "log10_C": np.log10(6 * N * D), "loss": LOSS}, "flops / "),
        ({"N": N, "D": D, "L": LOSS}, "read as --columns params=N,tokens=D,loss=L"),
        ({"N (M)": N / 1e6, "D (B)": D / 1e9, "L": LOSS}, "'N (M)' counts in 1e+06"),
        ({"C": 6 * N * D, "N": N, "loss": LOSS}, "read as --columns params=N,flops=C"),
        ({"N": N, "D": D, "L": LAYERS, "loss": LOSS}, "read as --columns params=N,tokens=D"),
        ({"N": N, "D": D, "c": 0.1 + 0 * N, "loss": LOSS}, "read as --columns params=N,tokens=D"),
        ({"params": N, "tokens/param": D / N, "loss": LOSS}, "'tokens/param' x parameters"),
        ({"params": N, "PF-days": 6 * N * D / 8.64e19, "bpb": LOSS}, "'PF-days' counts in 8.64e"),
        ({"config.params": N, "config.tokens": D, "Loss [nats]": LOSS, "lr": 1e-3 + 0 * N}, None),
        ({"#params": N, "tokens (x1e9)": D / 1e9, "loss": LOSS}, "'tokens (x1e9)' counts in 1e+09"),
        ({"N": N, "D/N": D / N, "L": LOSS}, "tokens = 'D/N' x parameters"),
        (
            {"params": N, "chinchilla_multiplier": [f"{x:g}x" for x in D / N / 20], "loss": LOSS},
            "tokens = 20 x 'chinchilla_multiplier' x parameters",
        ),
    ],
)
def test_what_a_name_or_values_leave_no_doubt_of_is_read_and_said(
    columns: dict[str, object], said: str | None, tmp_path: Path
) -> None:
    found = read(tmp_path, columns)
    for values, truth in zip((*found.inputs, found.loss), (N, D, LOSS), strict=True):
        np.testing.assert_allclose(values, truth, rtol=1e-5)
    assert said is None or any(said in note for note in found.notes)


@pytest.mark.parametrize(
    ("columns", "remedy"),
    [
        ({"log10_params": np.log(N), "tokens": D, "loss": LOSS}, "Rename it ln_params"),
        ({"log10_params": N, "tokens": D, "loss": LOSS}, "rename it params"),
        ({"log_params": np.log(N) - 6, "tokens": D, "loss": LOSS}, "log10_params or ln_params"),
        ({"N": N / 1e6, "D": D / 1e9, "L": LOSS}, "else rename them, as params_M, tokens_B"),
        ({"N": N, "D": D, "L": LAYERS}, "leave a doubt"),
        ({"D": N, "N": D, "L": LOSS}, "leave a doubt"),
        ({"params": N, "multiplier": D / N, "loss": LOSS}, "rename it tokens_per_param"),
        ({"params": N, "steps": D / 5e5, "loss": LOSS}, "from which they follow: steps, batch"),
    ],
)
def test_what_leaves_a_doubt_is_refused_with_what_to_call_it(
    columns: dict[str, object], remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=remedy.replace("(", r"\(")):
        read(tmp_path, columns)


def test_a_log_loss_is_a_loss_and_letters_need_no_loss_where_none_is_asked(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", {"params": N, "tokens": D, "log_loss": LOSS})
    found = read_sizes(table, columns={"loss": "log_loss"})
    np.testing.assert_array_equal(found.loss, LOSS)
    assert np.array_equal(read(tmp_path, {"N": N, "D": D}).inputs, (N, D))
    table = write(tmp_path / "a.csv", {"params": N, "tpp": D / N, "loss": LOSS})
    np.testing.assert_allclose(read_sizes(table, columns={"tokens": "tpp"}).inputs[1], D)


def test_the_best_value_takes_logarithms_and_units_as_laws_of_sizes_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = np.array([-1, -0.5, 0, 0.5, 1])
    n, d, place = (x.ravel() for x in np.meshgrid(N[:3], [2e9, 8e9, 3e10], share, indexing="ij"))
    best = 3e-3 * (n / 1e7) ** -0.3
    loss = (1.8 + 400 * n**-0.34 + 410 * d**-0.28) * (1 + 0.01 * place**2)
    cells = {"params": n, "tokens": d, "log2_lr": np.log2(best * 10**place), "loss": loss}
    out = str(tmp_path / "best.json")
    table = str(write(tmp_path / "sweep.csv", cells))
    assert main(["fit", "--law", "best:log2_lr", table, "--out", out]) == 0
    asked = write(tmp_path / "asked.csv", {"params_M": [100.0], "tpp": [80.0]})
    capsys.readouterr()
    assert main(["forecast", out, str(asked)]) == 0
    told = capsys.readouterr().out
    assert f"{3e-3 * 10**-0.3:.4g}" in told
    assert "'params_M' counts in 1e+06" in told


def table_of(sizes: int = 5) -> dict[str, np.ndarray]:
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(2e7, 5e8, sizes), [5.0, 20.0, 80.0]))
    loss = 1.7 + 400 * n**-0.34 + 2000 * (ratio * n) ** -0.37
    noise = np.random.default_rng(0).standard_normal(len(n))
    return {"n_params": n, "n_tokens": ratio * n, "val_loss": loss * np.exp(1e-3 * noise)}


def test_columns_in_memory_are_read_as_those_of_a_file() -> None:
    rows = table_of()
    law = fit_sizes(rows, bootstrap=5)
    plain = fit_sizes([rows["n_params"], rows["n_tokens"]], rows["val_loss"], bootstrap=5)
    assert law.parameters == plain.parameters
    with pytest.raises(ValueError, match="params, tokens and loss"):
        fit_sizes({"n_params": [1.0, 2.0], "val_loss": [1.0]})


def test_a_part_without_a_law_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table_of()
    file = tmp_path / "runs.csv"
    lines = [("web", *row) for row in zip(*rows.values(), strict=True)]
    lines += [("code", *row[1:]) for row in lines[:3]]
    file.write_text(
        "data,params,tokens,loss\n" + "".join(",".join(map(str, row)) + "\n" for row in lines)
    )
    asked = ["fit", "--law", "chinchilla", str(file), "--by", "data", "--bootstrap", "5"]
    assert main(asked) == 2
    assert "data=code: " in (said := capsys.readouterr().err)
    assert "--where 'data!=code'" in said
    assert main([*asked, "--where", "data!=code"]) == 0


def test_a_sweep_without_tokens_has_a_law_of_sizes_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n, lr = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e-4, 0.1, 9)))
    loss = 3 * np.exp(0.02 * np.log(lr / (3e-3 * (n / 1e8) ** -0.3)) ** 2)
    file = tmp_path / "sweep.csv"
    rows = zip(n, lr, loss, strict=True)
    file.write_text("params,lr,loss\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    assert main(["fit", "--law", "best:lr", str(file)]) == 0
    said = capsys.readouterr().out
    assert "best lr ~ params^-0.300" in said
    assert "no tokens are told" in said
    with pytest.raises(ValueError, match="neither tokens nor"):
        read_sizes(file)


def test_a_table_of_two_losses_says_which_counts(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("params,tokens,train_loss,eval_loss\n1e8,2e9,3.1,3.2\n2e8,4e9,2.9,3.0\n")
    table = read_sizes(file)
    assert "the loss is 'train_loss'; also 'eval_loss': --columns loss=NAME" in table.notes
    chosen = read_sizes(file, columns={"loss": "eval_loss"})
    assert list(chosen.loss) == [3.2, 3.0]
    assert not any("also" in note for note in chosen.notes)


def test_widths_are_no_parameters_and_told_how_to_become_so(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("d_model,tokens,loss\n256,2e9,3.1\n512,4e9,2.9\n")
    with pytest.raises(ValueError, match=r"has 'd_model' and no parameters.*layers x width\^2"):
        read_sizes(file)
