"""Files that training and export write: whole or not at all, tried before the work."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ModelsError


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write to, which becomes *path* when the block ends; on an exception the earlier
    file stays and nothing new. What is no regular file, as a pipe, is written itself. Raises
    ModelsError, naming *path*, where there is no room or no right to write."""
    real = Path(os.path.realpath(path))
    part = real.with_name(real.name + ".part")
    try:
        if _special(Path(path)):
            yield Path(path)
        else:
            yield part
            part.replace(real)
    except OSError as error:
        raise ModelsError(f"{path}: must be a file that can be written: {error.strerror or error}; "
                          "free some space, or choose another folder") from None
    finally:
        if part.is_file():
            part.unlink()


def check_file(option: str, file: str) -> None:
    """Raise ModelsError unless *option*'s *file* can be written: before the training."""
    real = Path(os.path.realpath(file))
    try:
        if _special(Path(file)):
            return
        if os.path.lexists(real) and not (real.is_file() and os.access(real, os.W_OK)):
            raise PermissionError
        real.with_name(real.name + ".part").lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        raise _no_place(option, file) from None
    try:
        tempfile.TemporaryFile(dir=real.parent).close()
    except OSError:
        raise _no_place(option, file) from None


def _special(path: Path) -> bool:
    """Whether it is a device, a pipe, or a file that the shell has opened."""
    return (path.parent in (Path("/dev"), Path("/dev/fd")) or path.is_char_device()
            or path.is_fifo())


def _no_place(option: str, file: str) -> ModelsError:
    return ModelsError(f"{option} must name a file in a folder that can be written, not {file!r}; "
                       "choose another")
