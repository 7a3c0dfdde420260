"""Where work is done: in this process, in several of this machine, on a Dask cluster."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.processes import GRACE, follow

PATIENCE = "5s"                 # for a Dask scheduler to answer


def executor(jobs: int, dask: str | None = None) -> AbstractContextManager[Executor]:
    """*jobs* processes, one of them a thread of this one; or the cluster whose scheduler has the
    address *dask*. Raises QsnnError where no scheduler answers."""
    if dask is not None:
        return _cluster(dask)
    return ThreadPoolExecutor(1) if jobs == 1 else processes(jobs)


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Processes of this machine; where something fails or stops us, what they do is dropped."""
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=follow) as made:
        try:
            yield made
        except BaseException:
            working = active_children()
            made.shutdown(wait=False, cancel_futures=True)
            _end(working)
            raise


def _end(children: Sequence[BaseProcess]) -> None:
    """Tell worker processes to end; again, for a signal may come just before a long wait."""
    for tell in (BaseProcess.terminate, BaseProcess.terminate, BaseProcess.kill):
        for child in children:
            tell(child)
        for child in children:
            wait([child.sentinel], GRACE)


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    from distributed import Client
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, TypeError, ValueError) as error:     # what Dask says of odd addresses
        raise QsnnError(f"--dask must be the address of a scheduler that answers, not {address!r} "
                        f"({error}); 'dask scheduler' starts one") from None
    with client, client.get_executor() as made:
        yield made
