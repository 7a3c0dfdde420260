"""``manifest.json``: the files that a command wrote into its folder, and the digest of each.

It is made in one place, when the folder is finished, and says what may be replaced: a folder
without it, or with anything else in it, is somebody's own. Links are never followed.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from qsnn_compile.system.errors import QsnnError

NAME = "manifest.json"
FORMAT = 1
LARGEST = 1 << 24               # bytes of a manifest: some 100,000 files


class ManifestError(QsnnError):
    """A manifest is damaged, or a file is not as it says."""


def write(folder: Path) -> None:
    """List all files that are in *folder*, by name; earlier ones that are gone are left out."""
    files = {name: _digest(folder / name) for name, regular in sorted(_entries(folder))
             if regular and name != NAME}
    text = json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")


def read(folder: Path) -> dict[str, str]:
    """The digests by file name. Raises FileNotFoundError where there is no manifest, ManifestError
    for one that none of our commands wrote: names lead nowhere out of *folder*."""
    path = folder / NAME
    try:
        if not os.path.lexists(path):
            raise FileNotFoundError(path)
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            raise ValueError("no regular file of its size")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return {_name(name): str(digest) for name, digest in dict(content["files"]).items()}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: must be the list of files that qsnn wrote, and it is damaged "
                            f"({type(error).__name__}: {error!s:.80}); delete the folder, or "
                            "choose another") from None


def stranger(folder: Path) -> str | None:
    """The first entry of *folder*, by name, that no command of ours wrote; None where all are ours.
    Raises what `read` raises."""
    listed = read(folder).keys() | {NAME}
    return next((name for name, regular in sorted(_entries(folder))
                 if not regular or name not in listed), None)


def check(folder: Path, *names: str) -> None:
    """Raise ManifestError unless the files *names* of a build are as they were written; builds
    older than manifests have none, and pass."""
    try:
        listed = read(folder)
    except FileNotFoundError:
        return
    for name in names:
        if listed.get(name) != _digest(folder / name):
            raise ManifestError(f"{folder / name}: must be the file that qsnnc wrote there, and it "
                                f"was changed or is another build's (its digest is not that of "
                                f"{NAME}); compile the model again with qsnnc")


def _name(text: str) -> str:
    parts = PurePosixPath(text).parts
    if not parts or "/".join(parts) != text or ".." in parts or "\0" in text:
        raise ValueError(f"{text!r} is no name of a file in it")
    return text


def _entries(folder: Path, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """What is below *folder*: names, and whether each is a regular file. Others are links, devices
    and empty folders."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        name = prefix + entry.name
        inside = (list(_entries(Path(entry.path), f"{name}/"))
                  if entry.is_dir(follow_symlinks=False) else [])
        yield from inside or [(name, entry.is_file(follow_symlinks=False))]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "none"
