"""What `files` opens: regular files of a bounded size, and nothing else."""

import os
import socket
from pathlib import Path

import pytest

from qsnn_compile.system.files import opened, read_bytes


def test_a_regular_file_and_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_bytes(tmp_path / "a") == read_bytes(tmp_path / "link", most=3) == b"abc"


def test_devices_fifos_and_sockets_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")                    # opening it would wait for a writer
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(tmp_path / "socket"))
        for name in ("fifo", "zero", "socket"):
            with pytest.raises(OSError, match="not a regular file but a device, a FIFO"):
                opened(tmp_path / name)


def test_folders_and_names_of_nothing(tmp_path: Path) -> None:
    for path, match in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file"),
                        ("a\0b", "no name of a file"), ("a" * 5000, "name too long")):
        with pytest.raises(OSError, match=match):
            opened(path)


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than 536,870,912 bytes"):
        opened(tmp_path / "sparse")
    (tmp_path / "a").write_bytes(b"abcd")
    with pytest.raises(OSError, match="larger than 3 bytes"):
        read_bytes(tmp_path / "a", most=3)


def test_a_file_that_says_no_size_is_bounded_as_well() -> None:
    with pytest.raises(OSError, match="larger than 3 bytes"):
        read_bytes("/proc/self/status", most=3)
