"""Loop and Scan, unrolled: a carried value is a value of the step before."""

from __future__ import annotations

import numpy as np

from qsnn_compile.loader.nodes import OnnxNode

from .blocks import Const, Sym, Value
from .runner import Env, Runner

MAX_STEPS = 1024


def loop(run: Runner, node: OnnxNode, args: list[Value | None], env: Env) -> list[Value]:
    """Loop with a trip count that is known, or found by its condition."""
    body = node.attributes["body"]
    steps = _number(node, args[0], "trip count") if args[0] is not None else \
        MAX_STEPS + 1
    condition: Value | None = args[1]
    carried = [value for value in args[2:] if value is not None]
    names = [value.name for value in body.input]
    collected: list[list[Value]] = [[] for _ in body.output[1 + len(carried):]]
    for step in range(min(steps, MAX_STEPS + 1)):
        if condition is not None and not _number(node, condition, "condition"):
            break
        if step == MAX_STEPS:
            node.fail(f"must end after at most {MAX_STEPS} steps; export fewer steps")
        inputs = [Const(np.array(step)), condition or Const(np.array(True)), *carried]
        outputs = run.run(body, _inside(env, names, inputs))
        condition, carried = outputs[0], outputs[1:1 + len(carried)]
        for values, value in zip(collected, outputs[1 + len(carried):], strict=True):
            values.append(value)
    return [*carried, *(stack(run, node, values, 0) for values in collected)]


def scan(run: Runner, node: OnnxNode, args: list[Value | None], env: Env) -> list[Value]:
    """Scan over the axes of its inputs."""
    body, count = node.attributes["body"], node.integer("num_scan_inputs")
    values = [value for value in args if value is not None]
    carried, sequences = values[:len(values) - count], values[len(values) - count:]
    for name in ("scan_input_directions", "scan_output_directions"):
        if any(node.attributes.get(name, [])):
            node.fail(f"attribute {name} must be 0 (forward), not 1; a network runs forward")
    axes = node.attributes.get("scan_input_axes", [0] * count)
    steps = {_shape(value)[axis] for value, axis in zip(sequences, axes, strict=True)}
    if len(steps) != 1 or max(steps) > MAX_STEPS:
        node.fail(f"inputs must have the same number of steps, at most {MAX_STEPS}, not {steps!r}; "
                  "export fewer steps")
    names = [value.name for value in body.input]
    collected: list[list[Value]] = [[] for _ in body.output[len(carried):]]
    for step in range(steps.pop()):
        now = [_take(value, step, axis) for value, axis in zip(sequences, axes, strict=True)]
        outputs = run.run(body, _inside(env, names, [*carried, *now]))
        carried = outputs[:len(carried)]
        for column, value in zip(collected, outputs[len(carried):], strict=True):
            column.append(value)
    places = node.attributes.get("scan_output_axes", [0] * len(collected))
    return [*carried, *(stack(run, node, column, axis)
                        for column, axis in zip(collected, places, strict=True))]


def stack(run: Runner, node: OnnxNode, values: list[Value], axis: int) -> Value:
    """One value of the values of all steps."""
    if not values:
        node.fail("must run at least one step, not none; export at least 3 steps")
    node.fit(len(values), *_shape(values[0]))
    kind = next((v.kind for v in values if isinstance(v, Sym)), None)
    if kind is None:
        return Const(np.stack([v.value for v in values if isinstance(v, Const)], axis))
    ids = [v.ids if isinstance(v, Sym) else run.trace.constant(v.value) for v in values]
    return Sym(np.stack(ids, axis), kind)


def _inside(env: Env, names: list[str], values: list[Value]) -> Env:
    return {**env, **dict(zip(names, values, strict=True))}


def _shape(value: Value) -> tuple[int, ...]:
    return value.ids.shape if isinstance(value, Sym) else value.value.shape


def _take(value: Value, step: int, axis: int) -> Value:
    if isinstance(value, Sym):
        return Sym(np.take(value.ids, step, axis), value.kind)
    return Const(np.take(value.value, step, axis))


def _number(node: OnnxNode, value: Value, what: str) -> int:
    if not isinstance(value, Const):
        node.fail(f"{what} must be a constant, not computed from the data; export a fixed "
                  "number of steps")
    return int(value.value.ravel()[0])
