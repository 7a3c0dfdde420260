"""What training writes is whole or not there, and its places are tried before it begins."""

import errno
import os
from pathlib import Path

import pytest
from blobs import CONFIG, NETWORK

from qsnn_compile.ir import Dense, Graph, Input, Node, Readout, ints
from qsnn_models.errors import ModelsError
from qsnn_models.export import ledger, onnx_export
from qsnn_models.files import check_file, whole
from qsnn_models.training import checkpoint

GRAPH = Graph("g", 1, Input((2,), 1, "direct"),
              (Node("fc", Dense(ints([[1, -1], [1, 1]]), 1), ("x",)),), Readout("potential", "fc"))
WRITERS = {
    "a.ledger.json": lambda path, text: ledger.write(path, {"version": text}),
    "a.checkpoint.pt": lambda path, text: checkpoint.save(path, NETWORK, CONFIG, 1, {"x": text}),
    "a.onnx": lambda path, text: onnx_export.save(GRAPH, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch, name):
    path = tmp_path / name
    WRITERS[name](path, "old")
    old = path.read_bytes()
    assert os.listdir(tmp_path) == [name]

    def full(part, target):
        assert part.stat().st_size
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ModelsError) as error:
        WRITERS[name](path, "new")
    assert str(error.value) == (f"{path}: must be a file that can be written: No space left on "
                                "device; free some space, or choose another folder")
    assert path.read_bytes() == old and os.listdir(tmp_path) == [name]


def test_a_stop_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.ledger.json"
    path.write_text("old")

    def write():
        with whole(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.ledger.json"]


@pytest.mark.parametrize("name", ("", ".", "nowhere/a", "file/a", "x" * 256, "loop", "/proc/a"))
def test_places_that_are_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("nowhere/else")
    with pytest.raises(ModelsError) as error:
        check_file("--json", name)
    assert str(error.value) == (f"--json must name a file in a folder that can be written, not "
                                f"{name!r}; choose another")


@pytest.mark.parametrize("name", ("new", "file", "link", "/dev/null"))
def test_places(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("kept")
    Path("link").symlink_to("file")
    check_file("--json", name)
    assert sorted(os.listdir()) == ["file", "link"] and Path("file").read_text() == "kept"
