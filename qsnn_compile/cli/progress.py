"""How far the work is, on standard error: bars on a terminal, elsewhere a line a stage."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar. What it yields is told ``(done)``, or ``(done, of)`` where *total* isn't known yet."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    with _shown(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn()) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done, of=total: progress.update(task, completed=done, total=of)


@contextmanager
def spinner(title: str) -> Iterator[None]:
    """What goes on, and for how long; off a terminal a line that names it."""
    from rich.console import Console
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{title} …", highlight=False)
    with _shown(SpinnerColumn(), TextColumn("{task.description}"),
                TimeElapsedColumn()) as progress:
        task = progress.add_task(title, total=1)
        yield
        progress.update(task, completed=1)


@contextmanager
def _shown(*columns: "ProgressColumn") -> "Iterator[Progress]":
    from rich.console import Console
    from rich.progress import Progress
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
