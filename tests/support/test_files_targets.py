"""Writing never destroys what a path points at."""

import os
import threading

import pytest

from hidim.support import files


def test_a_link_keeps_pointing_and_its_target_is_written(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    files.write_text(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    files.write_text(pipe, "hello")
    reader.join(timeout=10)
    assert heard == ["hello"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("path", ["", "no/such/folder/x.csv", "/proc/x.csv"])
def test_places_that_take_no_files_are_refused_before_work(path):
    with pytest.raises(ValueError, match="cannot write") as caught:
        files.check_writable(path)
    assert "\n" not in str(caught.value)
