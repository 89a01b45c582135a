"""Libraries are loaded only if this user built them, whole; CXX is read as by a shell."""

import os
import shutil
from pathlib import Path

import pytest

from hidim.support import native
from hidim.torch._machine import library

pytestmark = pytest.mark.skipif(
    os.name != "posix" or native.compiler() is None, reason="needs POSIX and a C++ compiler"
)


def forget():
    native.key.cache_clear()
    library.library.cache_clear()
    library._own_folder.cache_clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache for a kernel that is quickly built, in a package that came without it."""
    sources = tmp_path / "kernel"
    sources.mkdir()
    (sources / "one_pass.cpp").write_text(
        'extern "C" __attribute__((visibility("default"))) int answer() { return 42; }'
    )
    monkeypatch.setattr(library, "SOURCES", native.Sources(sources, "one_pass.cpp"))
    monkeypatch.setattr(library, "PACKAGED", tmp_path / "built")
    monkeypatch.setenv("HIDIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(library, "_reasons", [])
    forget()
    yield tmp_path / "hidim"
    forget()


def loaded():
    library.library.cache_clear()
    found = library.library()
    return found.answer(), found._name


def test_a_library_is_built_once_and_nothing_is_left_beside_it(cache, monkeypatch):
    assert loaded()[0] == 42
    monkeypatch.setattr(native, "build", None)
    monkeypatch.setenv("PATH", "")  # without the compiler that made it
    assert loaded()[0] == 42
    assert [path.suffix for path in cache.iterdir()] == [".so"]


def test_what_it_cost_to_build_is_logged_once(cache, caplog):
    with caplog.at_level("INFO", logger="hidim"):
        loaded()
        loaded()
    assert [record.message.split(" s:")[0][:-4] for record in caplog.records] == [
        "compiled the one-pass kernel once, in"
    ]


def test_the_packages_own_library_comes_first_if_it_is_whole_and_of_these_sources(
    cache, monkeypatch
):
    own = library.PACKAGED
    own.mkdir()
    native.build(native.compiler(), library.SOURCES, library._level(), own)
    assert Path(loaded()[1]).parent == own
    assert not cache.exists()
    (path,) = own.iterdir()
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole + b"x"):
        path.unlink()  # this process has it open
        path.write_bytes(content)
        assert Path(loaded()[1]).parent == cache
    path.unlink()
    path.write_bytes(whole)
    (library.SOURCES.folder / "one_pass.cpp").write_text('extern "C" int answer() { return 43; }')
    forget()  # sources have moved on since it was built
    assert Path(library.library()._name).parent == cache


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "folder", "link", "writable"])
def test_what_was_not_built_here_whole_is_never_loaded(cache, damage, tmp_path):
    _, name = loaded()
    path = cache / name.rsplit("/", 1)[1]
    whole = path.read_bytes()
    path.unlink()  # this process has the old file open
    if damage == "folder":
        path.mkdir()
    elif damage == "link":
        (tmp_path / "elsewhere.so").write_bytes(whole)
        path.symlink_to(tmp_path / "elsewhere.so")
    else:
        content = {"truncated": whole[: len(whole) // 2], "empty": b"", "writable": whole}
        path.write_bytes(content.get(damage, whole + b"planted"))
        path.chmod(0o777 if damage == "writable" else 0o700)
    answer, again = loaded()
    assert answer == 42
    assert native.checksum(Path(again)) in again


@pytest.mark.parametrize("kind", ["writable by others", "of another user", "a link"])
def test_a_cache_folder_that_others_can_change_is_not_used(cache, kind, monkeypatch, tmp_path):
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        cache.symlink_to(tmp_path / "elsewhere")
    else:
        cache.mkdir()
        cache.chmod(0o777 if kind == "writable by others" else 0o700)
    if kind == "of another user":
        users = iter([os.getuid() + 1])  # asked about the cache folder first
        own = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: next(users, own))
    answer, name = loaded()
    assert answer == 42
    assert not name.startswith(str(tmp_path / "hidim"))
    assert not list(cache.iterdir())


def test_a_system_without_user_numbers_builds_too(cache, monkeypatch):
    monkeypatch.delattr(os, "getuid")
    assert loaded()[0] == 42


@pytest.mark.parametrize("cxx", ["{} -std=c++17", "env {}", "'{}'", "/nonexistent/c++", "'", " "])
def test_cxx_is_read_as_a_shell_reads_it_and_may_be_wrong(cache, cxx, monkeypatch):
    monkeypatch.setenv("CXX", cxx.format(shutil.which("g++") or shutil.which("c++")))
    assert loaded()[0] == 42
