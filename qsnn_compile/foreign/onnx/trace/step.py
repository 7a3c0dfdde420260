"""One time step of a model: what goes in, what is carried, what comes out; and the pairing of a
step file's state inputs with its state outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import permutations

import numpy as np

from qsnn_compile.loader.nodes import OnnxError

from .blocks import Block, Sym, Value
from .elementwise import COMPARISONS
from .evaluate import cone
from .trace import Trace, operand_blocks


@dataclass(frozen=True, eq=False)
class State:
    """A carried value: block ``before`` of the old step is what block ``after`` was."""

    before: int
    after: int
    name: str


@dataclass(frozen=True, eq=False)
class Step:
    """A step of the network in *trace*.

    ``inputs`` are the blocks of x at this step; ``late`` says which block of the step before is
    which block of this one; ``answers`` are the blocks that hold the answer, ``history`` what
    they were at every step of an unrolled file (the last is ``answers``), ``frames`` the blocks of
    x; ``still`` are blocks that are the same at every step. ``direct``: x is, too.
    """

    trace: Trace
    inputs: frozenset[int]
    states: tuple[State, ...]
    answers: tuple[int, ...]
    late: Mapping[int, int] = field(default_factory=dict)
    history: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    still: frozenset[int] = frozenset()
    direct: bool = False
    steps: int | None = None


MANY_INPUTS = ("linear", "conv", "pool", "argmin", "argmax", "after")


def elementwise(block: Block) -> bool:
    """Whether *block* is part of a region, not its edge."""
    return block.reads is None and block.op not in ("input", "const")


def region(trace: Trace, top: int, stop: frozenset[int] = frozenset()) -> set[int]:
    """*top* and what it is computed from elementwise: up to layers, inputs and *stop*."""
    seen: set[int] = set()
    todo = [top]
    while todo:
        index = todo.pop()
        if index not in seen:
            seen.add(index)
            if index not in stop and (elementwise(trace.blocks[index]) or
                                      trace.blocks[index].op == "argmin"):
                todo += operand_blocks(trace.blocks[index], trace)
    return seen


# -- pairing --------------------------------------------------------------------------------------

def pair_states(trace: Trace, inputs: Mapping[str, Block], outputs: Mapping[str, Value]
                ) -> dict[str, str]:
    """Which output carries which input on, by meaning first and by name where that leaves a
    choice. Inputs that no output carries on are left out."""
    spare = {name: value for name, value in outputs.items() if isinstance(value, Sym)}
    regions = {name: _behind(trace, value) for name, value in spare.items()}
    choices = {name: [out for out, value in spare.items()
                      if value.ids.size == block.size and block.index in regions[out]]
               for name, block in inputs.items()}
    fitness = {out: 0.0 if is_spike(trace, value) else 0.5 for out, value in spare.items()}
    chosen = _assign({name: possible for name, possible in choices.items() if possible}, fitness)
    for name, block in inputs.items():
        if name not in chosen:
            same = [out for out, value in spare.items() if value.ids.size == block.size
                    and out not in chosen.values() and _carries(trace, block, value, name, out)]
            if same:
                chosen[name] = max(same, key=lambda out: _alike(name, out))
    return chosen


def _behind(trace: Trace, value: Sym) -> set[int]:
    blocks: set[int] = set()
    for owner in np.unique(trace.where(value.ids.ravel())):
        blocks |= region(trace, int(owner))
    return blocks


def _carries(trace: Trace, block: Block, value: Sym, name: str, out: str) -> bool:
    """A state that only reaches other layers (a spike fed back by weights) goes by its name."""
    needed = cone(trace, [int(owner) for owner in np.unique(trace.where(value.ids.ravel()))])
    return block.index in needed and _alike(name, out) > 0.6


def _alike(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()


def is_spike(trace: Trace, value: Value) -> bool:
    """Whether *value* is the outcome of a comparison, scaled or not."""
    owner = trace.single(value.ids) if isinstance(value, Sym) else None
    while owner is not None and owner[0].op == "Mul":
        sources = [o.block for o in owner[0].operands if o.value is None]
        if len(sources) != 1:
            return False
        owner = trace.blocks[sources[0]], None
    return owner is not None and owner[0].op in COMPARISONS


def _assign(choices: Mapping[str, Sequence[str]], fitness: Mapping[str, float]) -> dict[str, str]:
    """One output each: where there are several ways, a state rather than its spike, and the one
    whose names are most alike."""
    left = {name: list(outputs) for name, outputs in choices.items()}
    chosen: dict[str, str] = {}
    while left:
        name = min(left, key=lambda n: len(left[n]))
        tied = [n for n in left if sorted(left[n]) == sorted(left[name])]
        if len(left[name]) > 1 and 1 < len(tied) <= 6 and len(left[name]) <= 6:
            chosen |= _best(tied, left[name])
        elif left[name]:
            chosen[name] = max(left[name], key=lambda out: _alike(name, out) + fitness[out])
        left = {n: [o for o in outputs if o not in chosen.values()]
                for n, outputs in left.items() if n not in chosen and n != name}
    return chosen


def _best(names: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    ways = permutations(outputs, min(len(names), len(outputs)))
    best = max(ways, key=lambda way: sum(_alike(n, o) for n, o in zip(names, way, strict=False)))
    return dict(zip(names, best, strict=False))


def step_of(trace: Trace, x: Block, states: Mapping[str, Block], outputs: Mapping[str, Value],
            pairs: Mapping[str, str], answer: str) -> Step:
    """The step of a file that has its states among inputs and outputs."""
    carried = []
    for name, out in pairs.items():
        value = outputs[out]
        owner = trace.single(value.ids) if isinstance(value, Sym) else None
        if owner is None or owner[1] is not None:
            raise OnnxError(f"output {out!r} must be the new value of state {name!r} in the same "
                            "order, not rearranged; return the state as the neuron made it")
        carried.append(State(states[name].index, owner[0].index, name))
    return Step(trace, frozenset({x.index}), tuple(carried), answer_blocks(trace, outputs[answer]))


def answer_blocks(trace: Trace, value: Value) -> tuple[int, ...]:
    """The blocks of an answer; what only follows the network (softmax, argmax) is taken off."""
    if not isinstance(value, Sym):
        raise OnnxError("the output must be computed from the input, not be a constant; export "
                        "the network again")
    owners = [int(owner) for owner in dict.fromkeys(trace.where(value.ids.ravel()).tolist())]
    blocks: list[int] = []
    for owner in owners:
        block = trace.blocks[owner]
        if block.op in ("after", "argmax") and block.reads is not None:
            blocks += answer_blocks(trace, Sym(block.reads))
        else:
            blocks.append(owner)
    return tuple(dict.fromkeys(blocks))
