"""An ONNX graph run on ids instead of numbers: loops unrolled, constants folded, moves done."""

from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from qsnn_compile.loader.moves import DATA, MOVES, split
from qsnn_compile.loader.nodes import FAILURES, OnnxError, OnnxNode

from . import quantised as quant
from .blocks import Array, Const, Sym, Value, digest
from .calls import CALLS, FOLDED, QUANT
from .elementwise import compute, lower
from .linear import name_of
from .loops import loop, scan
from .runner import Env
from .trace import Trace

LAST = ("Softmax", "LogSoftmax", "TopK")
BUDGET = 400_000                # nodes
NUMBERS = 1 << 27               # in all values together


@dataclass(frozen=True, eq=False)
class Table:
    """The constant that a computed index looks numbers up in; as a key, by its contents."""

    table: Array

    def __hash__(self) -> int:
        return hash(digest(self.table))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and digest(self.table) == digest(other.table)


class Interpreter:
    """Runs graphs of one file into one trace."""

    def __init__(self, trace: Trace, file: str) -> None:
        self.trace = trace
        self.file = file
        self._left = BUDGET
        self._numbers = NUMBERS
        self._loaded: dict[int, tuple[onnx.GraphProto, dict[str, Value]]] = {}

    def run(self, graph: onnx.GraphProto, env: Env) -> list[Value]:
        """The outputs of *graph* with its inputs (and what it sees from outside) in *env*."""
        inner: Env = ChainMap({}, env)
        given = {value.name for value in graph.input if value.name in env}
        inner.update({name: value for name, value in self._constants(graph).items()
                      if name not in given})
        for proto in graph.node:
            self._left -= 1
            node = OnnxNode(self.file, proto)
            if self._left < 0:
                node.fail(f"the unrolled model must have at most {BUDGET} nodes; "
                          "export one step, or fewer steps")
            self._node(node, inner)
        return [self._find(inner, value.name, graph.name) for value in graph.output]

    def _constants(self, graph: onnx.GraphProto) -> dict[str, Value]:
        if id(graph) not in self._loaded:
            constants: dict[str, Value] = {tensor.name: _constant_of(tensor)
                                       for tensor in graph.initializer}
            self._loaded[id(graph)] = (graph, constants)
        return self._loaded[id(graph)][1]

    def _find(self, env: Env, name: str, user: str) -> Value:
        if name not in env:
            raise OnnxError(f"{user!r}: input {name!r} must be the output of an earlier node, an "
                            "initializer or an input, not undefined or part of a cycle; check "
                            "the file with onnx.checker")
        return env[name]

    def _node(self, node: OnnxNode, env: Env) -> None:
        args = [None if name == "" else self._find(env, name, node.name) for name in node.inputs]
        try:
            results = self._dispatch(node, args, env)
        except FAILURES as error:
            node.fail(f"must be well-formed, not one that fails with {error!s:.200}; check the "
                      "file with onnx.checker")
        for name, result in zip(node.outputs, results, strict=False):
            env[name] = self._kept(node, result)

    def _kept(self, node: OnnxNode, value: Value) -> Value:
        """*value*, as a constant where it is one. Raises OnnxError for values without end."""
        simple = self.trace.simplified(value, name_of(node))
        self._numbers -= (simple.ids if isinstance(simple, Sym) else simple.value).size
        if self._numbers < 0:
            node.fail(f"all values together must have at most {NUMBERS} numbers; export one step, "
                      "or a smaller model")
        return simple

    def _dispatch(self, node: OnnxNode, args: list[Value | None], env: Env) -> Sequence[Value]:
        op = node.proto.op_type
        if node.proto.domain not in ("", "ai.onnx") and op not in QUANT:
            node.fail("must be a standard operator, a function of this file or a QONNX "
                      "quantiser, not one of an unknown domain; export without custom operators")
        if op == "Loop":
            return loop(self, node, args, env)
        if op == "Scan":
            return scan(self, node, args, env)
        if op == "If":
            return self._if(node, args, env)
        if op in CALLS and op in FOLDED and all(isinstance(a, Const) for a in args if a):
            return [FOLDED[op](node, *(self.raw(a) for a in args))]
        if op in CALLS:
            return [CALLS[op](self, node, *args)]
        if op in MOVES or op == "Split":
            return self._move(node, args)
        return [self._arithmetic(node, args)]

    # -- movement --------------------------------------------------------------------------------

    def _move(self, node: OnnxNode, args: list[Value | None]) -> Sequence[Value]:
        op = node.proto.op_type
        positions = DATA.get(op, (0,)) or tuple(range(len(args)))
        data = [args[i] for i in positions]
        if op == "Gather" and isinstance(args[0], Const) and isinstance(args[1], Sym):
            return [self._lookup(node, args[0], args[1])]
        rest = [i for i in range(len(args)) if i not in positions]
        if any(isinstance(args[i], Sym) for i in rest):
            node.fail("sizes and indices must be constants, not computed from the data; "
                      "export with fixed sizes")
        if all(isinstance(value, Const) for value in data):
            return self._move_constants(node, args)
        kind = next(v.kind for v in data if isinstance(v, Sym))
        raw = [self._ids(v) if i in positions else self.raw(v) for i, v in enumerate(args)]
        if op == "Split":
            return [Sym(part, kind) for part in split(node, *raw)]
        return [Sym(MOVES[op](node, *raw), kind)]

    def _move_constants(self, node: OnnxNode, args: list[Value | None]) -> Sequence[Value]:
        raw = [self.raw(v) for v in args]
        if node.proto.op_type == "Split":
            return [Const(part) for part in split(node, *raw)]
        first, move = args[0], MOVES[node.proto.op_type]
        if isinstance(first, Const) and node.proto.op_type not in DATA:
            return [quant.moved(lambda array: move(node, array, *raw[1:]), first)]
        return [Const(move(node, *raw))]

    def _lookup(self, node: OnnxNode, table: Const, index: Sym) -> Value:
        if table.value.ndim != 1:
            node.fail("a computed index must look numbers up in a list, not in a table of shape "
                      f"{table.value.shape!r}; only state quantisers do")
        return self.trace.elementwise("Lookup", [index], params=Table(table.value),
                                      origin=name_of(node))

    def _ids(self, value: Value | None) -> Any:
        return self.trace.constant(value.value) if isinstance(value, Const) else \
            value.ids if isinstance(value, Sym) else None

    def raw(self, value: Value | None) -> Any:
        return value.value if isinstance(value, Const) else None

    # -- arithmetic ------------------------------------------------------------------------------

    def emit(self, node: OnnxNode) -> Callable[..., Value]:
        """Makes elementwise values for *node*; folds constants."""
        def make(op: str, *args: Any) -> Value:
            kinds = [a.value.dtype for a in args if isinstance(a, Const)] or [np.dtype(np.float32)]
            values = [a if isinstance(a, Const | Sym) else Const(np.asarray(a, kinds[0]))
                      for a in args]
            if all(isinstance(v, Const) for v in values):
                node.fit(*np.broadcast_shapes(*(
                    v.value.shape for v in values if isinstance(v, Const))))
                return Const(compute(op, None, [v.value for v in values if isinstance(v, Const)]))
            kind = "bool" if op in ("Greater", "GreaterOrEqual", "Equal") else "float"
            return self.trace.elementwise(op, values, kind, origin=name_of(node))
        return make

    def _arithmetic(self, node: OnnxNode, args: list[Value | None]) -> Value:
        op = node.proto.op_type
        first = args[0] if args else None
        if op == "Clip" and isinstance(first, Const) and first.value.dtype.kind in "iu":
            low, high = [*args[1:], None, None][:2]
            return quant.clip(first, *(v if isinstance(v, Const) else None for v in (low, high)))
        given = [a for a in args if a is not None] if op not in ("Clip",) else args
        result = lower(op, node.attributes, self.emit(node), given)
        if isinstance(result, Const | Sym):
            return result
        if op in LAST:
            return self._last(node, args[0])
        node.fail(f"must be an operator of a spiking network, not {node.op!r}; rewrite the "
                  "network without it")

    def _last(self, node: OnnxNode, x: Value | None) -> Value:
        """An operator that may only stand after the answer: it is left out of the network."""
        if not isinstance(x, Sym):
            node.fail("must have an input computed from the data; check the file")
        block = self.trace.apply("after", x.ids, x.ids.shape, node.op, node.op, name_of(node))
        return Sym(self.trace.ids(self.trace.blocks[int(self.trace.where(block.ravel())[0])]))

    def _if(self, node: OnnxNode, args: list[Value | None], env: Env) -> Sequence[Value]:
        if not isinstance(args[0], Const):
            node.fail("the condition must be a constant, not computed from the data; use "
                      "torch.where")
        branch = "then_branch" if bool(args[0].value.ravel()[0]) else "else_branch"
        return self.run(node.attributes[branch], env)


def _constant_of(tensor: onnx.TensorProto) -> Value:
    try:
        return quant.constant(numpy_helper.to_array(tensor))
    except FAILURES as error:
        raise OnnxError(f"tensor {tensor.name!r}: must be well-formed, not one that fails with "
                        f"{error!s:.200}; export the network again") from None
