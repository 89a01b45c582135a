"""Rows in files: every format holds the same data, and what is wrong is named."""

import sys

import numpy as np
import pytest

from hidim.problems import tables
from hidim.problems.tables import read_rows
from hidim.support.extras import MissingExtra

NAMES = ["size", "price", "age", "rooms, all", "rent"]
TABLE = np.random.default_rng(0).standard_normal((50, 5)).round(6)


def csv(path, *, delimiter=",", encoding="utf-8", quote='"', header=NAMES, cells=TABLE, end="\n"):
    names = delimiter.join(f"{quote}{name}{quote}" for name in header)
    lines = [names, *(delimiter.join(str(cell) for cell in row) for row in cells)]
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def parquet(path, columns=None):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    columns = dict(zip(NAMES, TABLE.T, strict=True)) if columns is None else columns
    write_table(pyarrow.table(columns), path)
    return path


def npy(path, table=TABLE):
    np.save(path, table)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delimiter": ";"},
        {"delimiter": "\t", "encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
        {"end": "\r\n"},
        {"cells": [[f'"{cell}"' for cell in row] for row in TABLE]},
        {"cells": [[f" {cell} " for cell in row] for row in TABLE]},
        {"cells": [*TABLE[:20].tolist(), [], *TABLE[20:].tolist(), [""]]},
    ],
)
@pytest.mark.parametrize("drop", [(), "age"])
def test_a_csv_holds_its_columns_however_it_was_saved(tmp_path, options, drop):
    X, y, columns, targets = read_rows(csv(tmp_path / "t.csv", **options), "price", drop=drop)
    left = [0, 2, 3, 4] if drop == () else [0, 3, 4]
    np.testing.assert_array_equal(X, TABLE[:, left])
    np.testing.assert_array_equal(y, TABLE[:, 1])
    assert (columns, targets) == ([NAMES[place] for place in left], ["price"])


def test_every_format_holds_the_same_rows(tmp_path):
    several = ["rent", "price"]
    truth = read_rows(csv(tmp_path / "t.csv"), several)
    np.testing.assert_array_equal(truth.y, TABLE[:, [4, 1]])
    np.savez(tmp_path / "t.npz", X=truth.X, y=truth.y)
    for found in (
        read_rows(csv(tmp_path / "t.tsv", delimiter="\t"), "rent,price"),
        read_rows(parquet(tmp_path / "t.parquet"), several),
        read_rows(npy(tmp_path / "t.npy"), "-1,1"),
        read_rows(npy(tmp_path / "t.npy", TABLE.astype(">f8")), [4, 1]),
        read_rows(tmp_path / "t.npz"),
    ):
        np.testing.assert_array_equal(found.X, truth.X)
        np.testing.assert_array_equal(found.y, truth.y)
    assert found.targets == ["y[0]", "y[1]"]
    assert read_rows(tmp_path / "t.csv", "rooms, all").targets == ["rooms, all"]
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), TABLE.astype(">f8"))  # only read


def test_columns_that_pandas_counted_are_called_by_their_numbers(tmp_path):
    path = csv(tmp_path / "t.csv", header=["0", "1", "2", "3", "4"])
    np.testing.assert_array_equal(read_rows(path, 3).y, TABLE[:, 3])
    mixed = csv(tmp_path / "m.csv", header=["2019", "2020", "a", "b", "c"])
    np.testing.assert_array_equal(read_rows(mixed, "2020").y, TABLE[:, 1])


def test_parquet_takes_whole_numbers_and_truths(tmp_path):
    columns = {"n": np.arange(4), "yes": np.arange(4) % 2 == 0, "y": np.arange(4.0)}
    found = read_rows(parquet(tmp_path / "t.parquet", columns), "y")
    np.testing.assert_array_equal(found.X, [[0, 1], [1, 0], [2, 1], [3, 0]])


def test_large_tables_are_taken_apart_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(tables.choice, "_BLOCK", 12)
    found = read_rows(csv(tmp_path / "t.csv"), ["size", "age"])
    np.testing.assert_array_equal(found.X, TABLE[:, [1, 3, 4]])
    np.testing.assert_array_equal(found.y, TABLE[:, [0, 2]])


def changed(cell, row=17, column=2):
    cells = TABLE.astype(object)
    cells[row, column] = cell
    return cells


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "has no number in row 17 (line 19), column 'age'. Fill it in"),
        ("NA", "has no number in row 17 (line 19), column 'age': NA. Fill it in"),
        ("nan", "has no number in row 17 (line 19), column 'age': nan."),
        ("-inf", "is infinite in row 17 (line 19), column 'age': -inf."),
        ("red", "column 'age' of 't.csv' holds text, 'red' in row 17 (line 19)"),
        ("red", "leave it out, drop=age."),
        ('"1,5"', "holds '1,5' in row 17 (line 19), column 'age': write decimals with a point"),
        ("1,5", "row 19 of 't.csv' has 6 cells, the header has 5"),
        ("1\n2", "row 19 of 't.csv' has 3 cells"),
    ],
)
def test_a_cell_of_a_csv_that_is_no_number_is_refused_by_its_place(
    tmp_path, monkeypatch, cell, said
):
    monkeypatch.chdir(tmp_path)
    csv(tmp_path / "t.csv", cells=changed(cell))
    with pytest.raises(ValueError) as caught:
        read_rows("t.csv", "price")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_text_columns_are_named_at_once_and_a_target_is_not_left_out(tmp_path):
    cells = TABLE.astype(object)
    cells[:, [0, 1, 2]] = "x"
    path = csv(tmp_path / "t.csv", cells=cells)
    with pytest.raises(ValueError, match=r"leave it out, drop=size,price,age\.$"):
        read_rows(path, "rent")
    assert read_rows(path, "rent", drop="size,price,age").columns == ["rooms, all"]
    with pytest.raises(ValueError, match=r"column 'price' .*write it as numbers, such as 0 and 1"):
        read_rows(path, "price", drop=["size", "age"])


@pytest.mark.parametrize(
    ("target", "drop", "said"),
    [
        (None, (), r"has the columns 'size', 'price', .*: say which is learned, target=rent\."),
        ("prize", (), "`target`: .* has no column 'prize'. Did you mean 'price'?"),
        ("zzz", (), "has no column 'zzz'. It has 'size'"),
        ("price,price", (), "`target` names the column 'price' twice"),
        ("price", "agee", "`drop`: .* Did you mean 'age'?"),
        ("price", "price", "`drop` leaves out 'price', which is the target"),
        ("price", ["size", "age", "rooms, all", "rent"], "no features are left"),
        (",", (), "no target is named"),
    ],
)
def test_a_choice_of_columns_that_there_is_not_is_refused(tmp_path, target, drop, said):
    with pytest.raises(ValueError, match=said):
        read_rows(csv(tmp_path / "t.csv"), target, drop=drop)


def test_parquet_names_columns_and_cells(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    rows = {"a": [1.0, 2.0, None], "b": ["x", "y", "z"], "y": [1, 2, 3], "gone": [None] * 3}
    parquet(path, rows)
    with pytest.raises(ValueError, match=r"'b' of .* holds string, no numbers: .*, drop=b\."):
        read_rows(path, "y")
    with pytest.raises(ValueError, match=r"has no number in row 2, column 'a': nan\."):
        read_rows(path, "y", drop="b")
    with pytest.raises(ValueError, match="row 0, column 'gone'"):
        read_rows(path, "y", drop="a,b")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        read_rows(tmp_path / "bad.parquet", "y")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hidim\[fit\]'"):
        read_rows(path, "y")


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "a,y\n", "has a header and no rows"),
        ("t.csv", "1,2\n3,4\n", "no header row"),
        ("t.csv", "a,a\n3,4\n", "'a' appears twice"),
        ("t.csv", "a|y\n3|4\n", "parted by commas"),
        ("t.csv", b"a,y\n\xff\xfe,2\n", "not a text file"),
        ("t.csv", "a,y\n1,2\n".encode("utf-16-le"), "not a text file"),
        ("t.npy", "no", "no table of numbers"),
        ("t.npz", "no", "no .npz archive: an .npz with X"),
        ("t.xlsx", "no", "must end in .csv"),
    ],
)
def test_a_file_without_rows_is_refused_in_one_line(tmp_path, name, content, said):
    write(tmp_path / name, content)
    with pytest.raises(ValueError) as caught:
        read_rows(tmp_path / name, None if name.endswith("z") else "y")
    assert said in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_name_their_cells_and_archives_take_no_target(tmp_path):
    wrong = TABLE.copy()
    wrong[17, 3] = np.inf
    with pytest.raises(ValueError, match="is infinite in row 17, column '3'"):
        read_rows(npy(tmp_path / "t.npy", wrong), 0)
    with pytest.raises(ValueError, match="has no column '5'"):
        read_rows(npy(tmp_path / "t.npy"), 5)
    with pytest.raises(ValueError, match="one table of real numbers"):
        read_rows(npy(tmp_path / "t.npy", TABLE[0]), 0)
    np.savez(tmp_path / "t.npz", X=wrong, y=TABLE[:, 0])
    with pytest.raises(ValueError, match=r"t\.npz.*`X` is infinite in row 17, column 3"):
        read_rows(tmp_path / "t.npz")
    with pytest.raises(ValueError, match="leave out `target`"):
        read_rows(tmp_path / "t.npz", "y")
    with pytest.raises(ValueError, match=r"there is no file"):
        read_rows(tmp_path / "none.csv", "y")


def test_the_numbers_of_rows_are_no_feature(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE, columns=NAMES)
    frame.to_csv(tmp_path / "numbered.csv")
    with pytest.raises(ValueError, match=r"column 0 of .* has no name.*index=False"):
        read_rows(tmp_path / "numbered.csv", "price")
    pytest.importorskip("pyarrow")
    frame.iloc[::2].to_parquet(tmp_path / "some.parquet")  # which keeps where they came from
    assert read_rows(tmp_path / "some.parquet", "price").columns == [
        name for name in NAMES if name != "price"
    ]
