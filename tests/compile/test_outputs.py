"""Files that a user wants written: tried before the work, whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from qsnn_compile.system.outputs import OutputError, check_file, check_outside, whole


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ("new.json", "old.json", "dangling", "link", "/dev/null",
                                  "x" * 255))
def test_places(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("{}")
    Path("link").symlink_to("old.json")
    Path("dangling").symlink_to("not_yet.json")
    check_file("--json", name)
    assert sorted(os.listdir()) == ["dangling", "link", "old.json"]
    assert Path("old.json").read_text() == "{}"


@pytest.mark.parametrize("name", ("nowhere/new.json", "old.json/new.json", "x" * 256, "lost",
                                  "nul\0", "/proc/new.json", "socket"))
def test_places_that_are_none(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("{}")
    Path("lost").symlink_to("nowhere/new.json")
    os.mknod("socket", stat.S_IFSOCK | 0o600)
    with pytest.raises(OutputError) as error:
        check_file("--json", name)
    assert str(error.value) == (f"--json must name a file in a folder that can be written, not "
                                f"{name!r}; choose another")


@pytest.mark.parametrize("name", (".", "", "folder", "link"))
def test_a_folder_is_no_file(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("link").symlink_to("folder")
    with pytest.raises(OutputError, match=f"^--plot must name a file, not the folder '{name}'; "):
        check_file("--plot", name)


def test_a_full_disk_is_seen_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(OutputError):
        check_file("--json", str(tmp_path / "new.json"))


@pytest.mark.parametrize("file, refused", (("build/a.json", True), ("build/../a.json", False),
                                           ("link/a.json", True), ("-", False), (None, False)))
def test_no_file_in_the_folder_that_is_replaced(tmp_path, file, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("build").mkdir()
    Path("link").symlink_to("build")
    if not refused:
        return check_outside("--json", file, "build")
    with pytest.raises(OutputError, match=r"^--json must name a file outside of the build folder "
                       r"'build', which is replaced, not '.*'; choose another$"):
        check_outside("--json", file, "build")


@pytest.mark.parametrize("error", (OSError(errno.ENOSPC, "No space left on device"),
                                   KeyboardInterrupt(), RuntimeError()))
def test_the_earlier_file_stays_where_the_new_one_fails(tmp_path, error):
    old = tmp_path / "old.json"
    old.write_text("old")
    told = OutputError if isinstance(error, OSError) else type(error)

    def write():
        with whole("--json", old) as path:
            path.write_text("half of the ne")
            raise error
    with pytest.raises(told) as raised:
        write()
    assert old.read_text() == "old" and os.listdir(tmp_path) == ["old.json"]
    if told is OutputError:
        assert str(raised.value) == (f"--json must name a file that can be written, not "
                                     f"{str(old)!r}: No space left on device; choose another")


def test_links_lead_to_the_file_and_modes_stay(tmp_path):
    old, link = tmp_path / "old.json", tmp_path / "link"
    old.write_text("old")
    old.chmod(0o640)
    link.symlink_to(old)
    with whole("--json", link) as path:
        path.write_text("new")
    assert link.is_symlink() and old.read_text() == "new"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_a_device_is_written_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole("--json", pipe) as path:
        path.write_text("new")
    assert os.read(reader, 9) == b"new" and pipe.is_fifo()
    os.close(reader)
