"""Writing never destroys what a path points at."""

import os
import subprocess
import sys
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


def written(tmp_path, target, redirect):
    code = "print('before'); from hidim.support.files import write_text; import sys; "
    code += "write_text(sys.argv[1], 'written'); print('after')"
    command = f'"{sys.executable}" -c "{code}" {target} {redirect}'
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)


@pytest.mark.skipif(os.name == "nt", reason="descriptors as files are POSIX")
@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "link", "out", "./out"])
def test_standard_output_in_a_file_keeps_what_is_printed_around(tmp_path, target):
    (tmp_path / "link").symlink_to("/dev/stdout")
    written(tmp_path, target, "> out")
    assert (tmp_path / "out").read_text() == "before\nwrittenafter\n"


@pytest.mark.skipif(os.name == "nt", reason="descriptors as files are POSIX")
def test_any_open_descriptor_is_written_into(tmp_path):
    written(tmp_path, "/dev/fd/3", "3> three > out")
    assert (tmp_path / "three").read_text() == "written"
    assert (tmp_path / "out").read_text() == "before\nafter\n"


def test_a_writer_that_seeks_may_write_into_a_pipe_and_one_that_fails_leaves_nothing(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()

    def seeking(stream):
        stream.write(b"xxxx")
        stream.seek(0)
        stream.write(b"left")

    def failing(stream):
        stream.write(b"half")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        files.write_with(pipe, failing)
    files.write_with(pipe, seeking)
    reader.join(timeout=10)
    assert heard == [b"left"]


def test_the_null_device_stays_a_device():
    files.write_text(os.devnull, "gone")
    assert files.is_stream(os.devnull)


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match="cannot write"):
        files.check_writable(tmp_path / "loop")


def test_a_file_that_others_may_not_read_stays_so(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o600)
    files.write_text(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_named():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        files.write_text("/dev/full", "new")
