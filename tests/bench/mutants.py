"""Mutants: a change in the code that no test of its own package notices is a gap in the tests::

    python tests/bench/mutants.py               # 322 mutants; goes on where the last run stopped
    python tests/bench/mutants.py --rooms ir golden --processes 1

cosmic-ray makes the mutants: another operator, number, comparison or constant at one place. Places
are drawn with a seed, as many of each room, then one change at each; annotations and decorators
are left out. In a copy of the working tree each mutant meets those tests of its room that run its
line, the quickest first, until one fails.

It writes docs/mutants.json, the state, and docs/mutants.md, the page; commit both. A mutant runs
again where its file has changed, a survivor where its room's tests have. What a survivor means is
told in ``REASONS`` of mutants_page.py.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import mutants_run
from mutants_page import PAGE, STATE, page, read, write
from mutants_rooms import ROOMS, Mutant, sample

ROOT = Path(__file__).parents[2]


def main() -> int:
    """The command line; 1 where fewer than 90 % are killed."""
    options = _parser().parse_args()
    wanted = [mutant for name in options.rooms
              for mutant in sample(ROOT, name, options.each, options.seed)]
    outcomes = {mutant.key: read(STATE).get(mutant.key) for mutant in wanted}
    missing = [mutant for mutant in wanted if not mutants_run.settled(ROOT, mutant,
                                                                     outcomes[mutant.key])]
    print(f"{len(wanted)} mutants, {len(missing)} of them to run", flush=True)
    for mutant, outcome in _run(missing, options.processes):
        write(STATE, read(STATE) | {mutant.key: outcome})
        print(f"{outcome['outcome']:8} {outcome['seconds']:6.1f} s  {mutant.key}", flush=True)
    state = {key: outcome for key, outcome in read(STATE).items()
             if key in outcomes or outcome["room"] not in options.rooms}
    write(STATE, state)
    PAGE.write_text(page(state, options.seed), encoding="utf-8")
    killed = sum(outcome["outcome"] == "killed" for outcome in state.values()) / len(state)
    print(f"{killed:.1%} of {len(state)} killed; wrote {PAGE} and {STATE}")
    return int(killed < 0.9)


def _run(mutants: list[Mutant], processes: int) -> Iterator[tuple[Mutant, dict[str, object]]]:
    """Each of *mutants* with its outcome, in any order."""
    with TemporaryDirectory() as folder, ProcessPoolExecutor(
            processes, initializer=mutants_run.start, initargs=(ROOT, folder)) as executor:
        futures = {executor.submit(mutants_run.run, mutant): mutant for mutant in mutants}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=[*ROOMS], metavar="ROOM",
                        help=f"of {', '.join(ROOMS)} (all)")
    parser.add_argument("--each", type=int, default=46, metavar="N", help="mutants a room "
                        "(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(%(default)s)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="(%(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
