"""What becomes of the folder that a build is written into, and of what is in it already."""

import errno
import json
import os
from pathlib import Path

import pytest

from qsnn_compile.builds import folder as emit
from qsnn_compile.builds import manifest
from qsnn_compile.builds.folder import build_folder
from qsnn_compile.builds.report import ReportError, read_report
from qsnn_compile.system.outputs import OutputError

MUST = "output must be a new or empty folder or an earlier build, not"


@pytest.fixture
def place(tmp_path):
    """An earlier build."""
    build(tmp_path / "build", "earlier")
    return tmp_path / "build"


def build(place, text):
    with build_folder(place) as folder:
        (folder / "memory").mkdir()
        (folder / "memory" / "a.hex").write_text(text)
        (folder / "core.v").write_text(text)


def text_of(place):
    return (place / "core.v").read_text()


def refused(place):
    before = sorted(place.rglob("*"))
    with pytest.raises(OutputError) as error:
        build(place, "new")
    assert sorted(place.rglob("*")) == before
    assert os.listdir(place.parent) == [place.name]
    return str(error.value).replace(str(place), "PLACE")


def test_the_manifest_lists_what_is_there(place):
    listed = json.loads((place / "manifest.json").read_text())
    assert listed["format"] == 1
    assert list(listed["files"]) == ["core.v", "memory/a.hex"]


@pytest.mark.parametrize("output", ("build", "new", "deep/in/new", "empty"))
def test_a_build_is_made_or_replaced(place, output, tmp_path):
    (tmp_path / "empty").mkdir()
    (place / "core.v").unlink()                 # a listed file may be gone, or be another
    (place / "memory" / "a.hex").write_text("of the user")
    build(tmp_path / output, "new")
    assert text_of(tmp_path / output) == "new"
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("name", ("thesis.tex", "memory/thesis.tex", "photos/cat.jpg", ".hidden"))
def test_a_file_that_nobody_listed_is_named_and_kept(place, name):
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("years of work")
    assert refused(place) == (f"{MUST} 'PLACE', which holds '{name}', which 'manifest.json' does "
                              "not list; move it away, or choose another -o")


def into_folder(path):
    path.mkdir()


def into_link(path):
    path.symlink_to("/etc/hostname")


def into_pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize("name", ("core.v", "notes"))
@pytest.mark.parametrize("make", (into_folder, into_link, into_pipe))
def test_what_is_no_file_is_nobodys(place, name, make):
    (place / name).unlink(missing_ok=True)
    make(place / name)
    assert f"which holds '{name}', which 'manifest.json' does not" in refused(place)


@pytest.mark.parametrize("text", (
    "", "[]", '{"format": 2, "files": {}}', '{"format": 1}', '{"format": 1, "files": 7}',
    '{"format": 1, "files": {"../build/core.v": ""}}', '{"format": 1, "files": {"/core.v": ""}}',
    '{"format": 1, "files": {"memory/../core.v": ""}}', '{"format": 1, "files": {"": ""}}',
    "[" * 100_000))
def test_a_manifest_that_none_of_ours_wrote(place, text):
    (place / "manifest.json").write_text(text)
    with pytest.raises(manifest.ManifestError, match=r"manifest.json: must be the list of files "
                       r"that qsnn wrote, and it is damaged \("):
        build(place, "new")
    assert text_of(place) == "earlier"


def test_a_manifest_that_is_a_link(place, tmp_path):
    (place / "manifest.json").rename(tmp_path / "elsewhere")
    (place / "manifest.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(manifest.ManifestError, match="no regular file of its size"):
        build(place, "new")


def test_a_build_older_than_manifests(place):
    (place / "manifest.json").unlink()
    for name in ("report.json", "program.json", "thesis.tex"):
        (place / name).write_text("{}")
    assert refused(place) == (
        f"{MUST} 'PLACE', which holds 'core.v', 'memory', 'program.json', 'report.json', "
        "'thesis.tex' and no 'manifest.json' that lists what is ours; delete it if an older qsnnc "
        "made it all, or choose another -o")


def test_what_comes_while_we_work_is_kept(place):
    with pytest.raises(OutputError, match="which holds 'thesis.tex'"), build_folder(place):
        (place / "thesis.tex").write_text("years of work")
    assert (place / "thesis.tex").exists() and text_of(place) == "earlier"


def test_no_folder_above_the_current_one(place, monkeypatch):
    (place / "inner").mkdir()
    monkeypatch.chdir(place / "inner")
    with pytest.raises(OutputError, match="the current folder or a mount; choose another -o"):
        build("..", "new")


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("writer", ("pathlib.Path.write_text", "pathlib.Path.mkdir",
                                    "qsnn_compile.builds.manifest._digest", "os.rename"))
def test_a_full_disk_leaves_the_earlier_build(place, writer, monkeypatch):
    monkeypatch.setattr("qsnn_compile.builds.folder._exchanged", lambda one, other: False)
    with monkeypatch.context() as patched:
        patched.setattr(writer, full)
        said = refused(place)
    assert said == ("output must be a folder that can be written, not 'PLACE': No space left on "
                    "device; choose another -o")
    assert text_of(place) == "earlier"


class Killed(BaseException):
    """SIGKILL: nothing more is done by anybody."""


@pytest.fixture
def killed(place, monkeypatch):
    """An earlier build of which a kill between two renames has left only the hidden folders."""
    real, done = Path.rename, []

    def rename(path, target):
        done.append(path)
        if len(done) == 2:
            raise Killed
        return real(path, target)
    with monkeypatch.context() as patched:
        patched.setattr(emit, "_exchanged", lambda one, other: False)
        patched.setattr(Path, "rename", rename)
        patched.setattr(emit.shutil, "rmtree", lambda *arguments, **options: None)
        with pytest.raises(Killed):
            build(place, "new")
    assert not place.exists() and len(os.listdir(place.parent)) == 2
    return place


def test_the_next_reader_finds_the_earlier_build(killed):
    with pytest.raises(ReportError):                # the build of this test has no report
        read_report(killed)
    assert text_of(killed) == "earlier"


def test_the_next_writer_replaces_the_earlier_build(killed):
    with build_folder(killed):
        assert text_of(killed) == "earlier"
    build(killed, "newest")
    assert text_of(killed) == "newest"


def test_folders_are_exchanged_in_one_step(place, monkeypatch):
    """There is no moment without a build, where the system can do it."""
    one, other = place.with_name("one"), place.with_name("other")
    one.mkdir(), other.mkdir()
    if not emit._exchanged(one, other):
        pytest.skip("no renameat2 on this file system: the earlier tests are its case")
    monkeypatch.setattr(Path, "rename", full)
    build(place, "new")
    assert text_of(place) == "new"
