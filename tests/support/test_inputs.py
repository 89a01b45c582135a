"""Claims about files that people hand in: read whatever program saved them, or refused by name."""

from __future__ import annotations

import io
import os
import threading
import zipfile

import numpy as np
import pytest

from hidim.support.delimited import read_cells, read_numbers
from hidim.support.inputs import read_json, read_npz

ROWS = "step{0}factor\n0{0}1\n10{0}0.5\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_reads_the_same_whoever_saved_it(tmp_path, delimiter, encoding, end):
    path = tmp_path / "s.csv"
    path.write_bytes(ROWS.format(delimiter).replace("\n", end).encode(encoding))
    columns = read_numbers(path, required=("step", "factor"))
    assert columns["step"].tolist() == [0.0, 10.0]
    assert columns["factor"].tolist() == [1.0, 0.5]
    assert read_cells(path) == {"step": ["0", "10"], "factor": ["1", "0.5"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("0,1\n", "header"),
        ("step,factor\n", "no rows"),
        ("step,factor,step\n0,1,2\n", "'step' appears twice"),
        ("step,facter\n0,1\n", "Did you mean 'factor'"),
        ("time,rate\n0,1\n", "holds 'time', 'rate'"),
        ("step\n0\n", "no 'factor'"),
        ("step,factor\n0\n", "row 2"),
        ("step,factor\n0,\n", "a blank"),
        ("step;factor\n0;0,5\n", "decimals with a point"),
        ("step,factor\n0,nan\n", "nan"),
        ("step,factor\n0,é\n".encode("latin-1"), "UTF-8"),
        ("step,factor\n0,1\n".encode("utf-16-le"), "UTF-16 without its mark"),
        (b'step,factor\n"' + b"x" * 200_000, "field larger"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "s.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as caught:
        read_numbers(path, required=("step", "factor"))
    assert words in str(caught.value)
    assert "s.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "d.npz", **arrays)
    return tmp_path / "d.npz"


def test_an_archive_gives_its_arrays(tmp_path):
    path = saved(tmp_path, X=np.eye(2), y=np.ones(2), names=np.array(["a", "b"]))
    assert set(read_npz(path)) == {"X", "y", "names"}
    assert set(read_npz(path, ("X", "y"))) == {"X", "y"}


def test_an_archive_that_lacks_a_name_says_what_it_has(tmp_path):
    with pytest.raises(ValueError, match=r"no 'X'; it has 'x', 'y': give X"):
        read_npz(saved(tmp_path, x=np.eye(2), y=np.ones(2)), ("X", "y"), remedy="give X")


def not_archives():
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.ones(3))
    np.savez(archive, X=np.arange(1000.0))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as members:
        members.writestr("X", "no array")
    damaged = bytearray(archive.getvalue())
    damaged[200] ^= 1
    return {
        "text": b"a,b\n1,2\n",
        "empty": b"",
        "single array": array.getvalue(),
        "cut off": archive.getvalue()[:-40],
        "damaged": bytes(damaged),
        "other archive": other.getvalue(),
    }


@pytest.mark.parametrize("name", not_archives())
def test_what_is_no_archive_is_refused_without_advice_to_unpickle(tmp_path, name):
    path = tmp_path / "d.npz"
    path.write_bytes(not_archives()[name])
    with pytest.raises(ValueError) as caught:
        read_npz(path, ("X",))
    assert "pickle" not in str(caught.value)
    assert "d.npz" in str(caught.value)


def test_objects_are_refused_without_advice_to_unpickle(tmp_path):
    with pytest.raises(ValueError, match="Python objects") as caught:
        read_npz(saved(tmp_path, X=np.array([1, "a"], dtype=object)), ("X",))
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("read", [read_npz, read_json, read_cells])
def test_a_missing_file_and_a_folder_are_named(tmp_path, read):
    with pytest.raises(ValueError, match=r"no file 'none\.x'"):
        read("none.x")
    with pytest.raises(ValueError, match="cannot read"):
        read(tmp_path)


def test_json_with_a_name_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(ValueError, match="'b' twice"):
        read_json(tmp_path / "a.json")


def test_a_whole_number_of_thousands_of_digits_is_refused_naming_the_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"d": 1' + 5000 * "0" + "}")
    with pytest.raises(ValueError, match=r"a\.json.*5001 digits"):
        read_json(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_an_archive_is_read_from_a_pipe(tmp_path):
    path = tmp_path / "p.npz"
    stored = io.BytesIO()
    np.savez(stored, X=np.arange(3.0))
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(stored.getvalue(),))
    writer.start()
    assert read_npz(path)["X"].tolist() == [0.0, 1.0, 2.0]
    writer.join()
