"""Files that a user wants written: their place is tried before the work, and they appear whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import QsnnError
from .processes import held


class OutputError(QsnnError):
    """What is asked for can't be written where the user wants it."""


def check_file(option: str, file: str | None) -> None:
    """Raise OutputError unless *option*'s *file*, if there is one, can be written: a file that is
    there may be, and its folder takes a new one."""
    if file is None:
        return
    try:
        _try(Path(file))
    except IsADirectoryError:
        raise OutputError(f"{option} must name a file, not the folder {file!r}; "
                          "choose another") from None
    except (OSError, ValueError):
        raise OutputError(f"{option} must name a file in a folder that can be written, not "
                          f"{file!r}; choose another") from None


def check_outside(option: str, file: str | None, folder: str | None) -> None:
    """Raise OutputError where *file* lies in the build *folder*, which is replaced as a whole."""
    if file in (None, "-") or folder is None:
        return
    if Path(os.path.realpath(str(file))).is_relative_to(os.path.realpath(folder)):
        raise OutputError(f"{option} must name a file outside of the build folder {folder!r}, "
                          f"which is replaced, not {file!r}; choose another")


@contextmanager
def whole(option: str, file: str | Path) -> Iterator[Path]:
    """A path to write to, which becomes *option*'s *file* when the block ends.

    On an exception the earlier file stays, and nothing new. A device or a pipe is written itself.
    Raises OutputError where there is no room or no right to write.
    """
    part = None
    try:
        if _special(Path(file)):
            yield Path(file)
            return
        real = Path(os.path.realpath(file))
        with held():
            handle, name = tempfile.mkstemp(prefix=".qsnn-", dir=real.parent)
            part = Path(name)
            os.close(handle)
        yield part
        _published(part, real)
    except OSError as error:
        raise OutputError(f"{option} must name a file that can be written, not {str(file)!r}: "
                          f"{error.strerror or error}; choose another") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def mode_of_new(kind: int) -> int:
    """The mode *kind* (0o666 of a file, 0o777 of a folder) as far as the user's umask allows."""
    umask = os.umask(0)
    os.umask(umask)
    return kind & ~umask


def _published(part: Path, real: Path) -> None:
    if real.exists():
        shutil.copymode(real, part)
    else:
        part.chmod(mode_of_new(0o666))
    part.replace(real)


def _try(path: Path) -> None:
    """Raise OSError unless *path* can be written."""
    if _special(path):
        if not path.is_fifo():              # which waits for a reader
            path.open("ab").close()
        return
    real = Path(os.path.realpath(path))
    try:
        os.lstat(real)
    except FileNotFoundError:
        pass
    else:
        if real.is_dir():
            raise IsADirectoryError
        if not (os.access(real, os.W_OK) and real.is_file()):
            raise PermissionError
    tempfile.TemporaryFile(dir=real.parent).close()


def _special(path: Path) -> bool:
    """Whether it is a device, a pipe, or a file that the shell has opened: written, not replaced.
    """
    opened = path.parent in (Path("/dev"), Path("/dev/fd"))
    return opened or path.is_char_device() or path.is_fifo()
