"""The parser of the IR's text form, which ``text`` writes and describes."""

import json
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from .errors import IrError
from .graph import Graph, Node, Readout, ReadoutKind
from .input import Input
from .ops import Ints, Synapse, ints
from .text import HEADER, OPERATORS

DEEPEST = 8                     # lists in lists: arrays have at most four axes
SHOWN = 200                     # characters of a wrong value
_TOKEN = re.compile(r"""
    (?P<space>[ \t\r]+|\#[^\n]*) | (?P<line>\n) | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<packed><[^<>]*>)
  | (?P<number>[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w./$:-]))
  | (?P<key>[A-Za-z_]\w*:(?=\s)) | (?P<name>[\w./$:-]+) | (?P<mark>[(){}\[\],=])
""", re.VERBOSE)


def parse(text: str) -> Graph:
    """The graph that *text* describes; not yet verified.

    Raises IrError that begins with the line, on any departure from the form ``to_text`` writes.
    """
    return _Parser(text).graph()


class _Parser:
    """Recursive descent over a token list; one method a construct."""

    def __init__(self, text: str) -> None:
        first = text.split("\n", 1)[0].strip()
        self.line = 1
        self._check(first == HEADER, f"the first line must be {HEADER!r}", first)
        self.tokens = _tokens(text)
        self.place = 2                              # behind the header's two tokens
        self.line = self.tokens[2][2]

    def graph(self) -> Graph:
        self.expect("graph")
        name = self.take("string", "a name in quotes")
        try:
            label = json.loads(name)
        except ValueError:
            raise self._error("the graph's name must be a string of JSON", name) from None
        header = self.block("graph", {"steps": int}, ["steps"])
        self.expect("input")
        source = self.build(Input, name=self.take("name", "the input's name"))
        nodes: list[Node] = []
        while self.peek()[1] != "readout" or self.tokens[self.place + 1][1] == "=":
            nodes.append(self.node())
        self.expect("readout")
        readout = self.readout()
        self._check(self.peek()[0] == "end", "the readout must be the last statement",
                    self.peek()[1])
        return Graph(label, header["steps"], source, tuple(nodes), readout)

    def node(self) -> Node:
        name = self.take("name", "a node's name or 'readout'")
        self.expect("=")
        kind = self.take("name", "an operator")
        self._check(kind in OPERATORS, f"operator must be one of {', '.join(OPERATORS)}", kind)
        self.expect("(")
        inputs = [self.take("name", "the name of a value")]
        while self.accept(","):
            inputs.append(self.take("name", "the name of a value"))
        self.expect(")")
        return Node(name, self.build(OPERATORS[kind]), tuple(inputs))

    def readout(self) -> Readout:
        kind = self.take("name", "a kind of readout")
        self._check(kind in get_args(ReadoutKind),
                    f"readout must be one of {', '.join(get_args(ReadoutKind))}", kind)
        self.expect("(")
        source = self.take("name", "the name of a value")
        self.expect(")")
        readout: Readout = self.build(Readout, kind=kind, source=source)
        return readout

    def build(self, cls: type[Any], **given: Any) -> Any:
        """An object of *cls* from the block that follows, if one does."""
        hints = {name: hint for name, hint in get_type_hints(cls).items() if name not in given}
        needed = [field.name for field in fields(cls) if field.name not in given
                  and field.default is MISSING and field.default_factory is MISSING]
        if not needed and self.peek()[1] != "{":
            return cls(**given)
        return cls(**given, **self.block(cls.__name__.lower(), hints, needed))

    def block(self, what: str, hints: dict[str, Any], needed: list[str]) -> dict[str, Any]:
        """``{field: value, ...}``, the *needed* fields among them."""
        values: dict[str, Any] = {}
        self.expect("{")
        while self.peek()[1] != "}":
            key = self.take("key", "a field and ':', or '}'")[:-1]
            self._check(key in hints, f"field of {what} must be one of {', '.join(hints)}", key)
            self._check(key not in values, f"field of {what} must be given once", key)
            values[key] = self.value(key, hints[key])
            self._check(self.peek()[1] == "}" or self.accept(","),
                        f"field {key!r} must be followed by ',' or '}}'", self.peek()[1])
        self._check(values.keys() >= set(needed),
                    f"fields of {what} must include {' and '.join(needed)}", list(values))
        self.expect("}")
        return values

    def value(self, key: str, hint: Any) -> Any:
        """A field's value, as the type *hint* of its class says."""
        if hint == Ints or Ints in get_args(hint):
            return self.array(key)
        if Synapse in get_args(hint):
            return self.build(Synapse)
        choices = {get_origin(choice): choice for choice in (get_args(hint) or (hint,))}
        if get_origin(hint) is tuple:
            return self.items(hint)
        if tuple in choices and self.peek()[1] == "(":
            return self.items(choices[tuple])
        if get_origin(hint) is Literal:
            word = self.take("name", f"a word for {key!r}")
            self._check(word in get_args(hint),
                        f"{key} must be one of {', '.join(get_args(hint))}", word)
            return word
        return self.item(get_args(hint)[0] if get_args(hint) else hint)

    def items(self, hint: Any) -> tuple[Any, ...]:
        """``(1, 2)``, as many as *hint* (a tuple type) has, each of its first type."""
        kind = get_args(hint)[0]
        self.expect("(")
        items = [self.item(kind)] if self.peek()[1] != ")" else []
        while self.accept(","):
            items.append(self.item(kind))
        self.expect(")")
        length = len(get_args(hint))
        self._check(... in get_args(hint) or len(items) == length,
                    f"there must be {length} numbers", tuple(items))
        return tuple(items)

    def item(self, kind: Any) -> Any:
        """A number of *kind*, or a text in quotes."""
        if kind is not str:
            return self.number(kind)
        token = self.take("string", "a text in quotes")
        try:
            return json.loads(token)
        except ValueError:
            raise self._error("text must be a string of JSON", token) from None

    def number(self, kind: Callable[[str], Any]) -> Any:
        token = self.take("number", "a number")
        try:
            return kind(token)
        except ValueError:
            raise self._error("number must be an integer", token) from None

    def array(self, key: str) -> Ints:
        if self.peek()[0] == "packed":
            return self.packed(self.take("packed", "an array"))
        try:
            return ints(self.nested())
        except IrError:                             # it says more than that
            raise
        except (ValueError, OverflowError):
            raise self._error(f"rows of {key!r} must be equally long, 64 bits", "these") from None

    def nested(self, depth: int = 0) -> Any:
        """A number, or a list of numbers or lists."""
        if not self.accept("["):
            return self.number(int)
        self._check(depth < DEEPEST, f"lists must be at most {DEEPEST} deep", "[")
        items = [self.nested(depth + 1)]
        while self.accept(","):
            items.append(self.nested(depth + 1))
        self.expect("]")
        return items

    def packed(self, token: str) -> Ints:
        match = re.fullmatch(r"<(\d+(?:x\d+)*) (dec|bit|hex(?:2|4|8|16|32|64))\s*([^<>]*)>", token)
        self._check(match is not None, "array must be <SHAPE FORMAT BODY>", token[:32])
        shape_text, form, body = match.groups()     # type: ignore[union-attr]
        shape = tuple(map(int, shape_text.split("x")))
        try:
            flat = np.array(body.split(), dtype=np.int64) if form == "dec" else _unpack(
                bytes.fromhex(body), shape, 1 if form == "bit" else int(form[3:]))
            return ints(flat.reshape(shape))
        except (ValueError, OverflowError):
            raise self._error(f"body must hold {shape_text} numbers in {form}", body[:32]) from None

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.place]

    def accept(self, text: str) -> bool:
        matches = self.peek()[1] == text
        if matches:
            self.step()
        return matches

    def expect(self, text: str) -> None:
        self._check(self.peek()[1] == text, f"expected {text!r}", self.peek()[1])
        self.step()

    def take(self, kind: str, what: str) -> str:
        self._check(self.peek()[0] == kind, f"expected {what}", self.peek()[1])
        return self.step()

    def step(self) -> str:
        token = self.tokens[self.place][1]
        self.place += 1
        self.line = self.peek()[2]
        return token

    def _check(self, ok: bool, rule: str, value: object) -> None:
        if not ok:
            raise self._error(rule, value)

    def _error(self, rule: str, value: object) -> IrError:
        shown = repr(value)
        return IrError(f"line {self.line}: {rule}, not "
                       f"{shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}")


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """(kind, text, line) of each token, and one of kind ``end``."""
    tokens, place, line = [], 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise IrError(f"line {line}: expected a name, number or mark, not {text[place]!r}")
        kind = match.lastgroup or ""
        if kind not in ("space", "line"):
            tokens.append((kind, match.group(), line))
        line += match.group().count("\n")
        place = match.end()
    return [*tokens, ("end", "the end", line)]


def _unpack(data: bytes, shape: tuple[int, ...], bits: int) -> Ints:
    """The inverse of ``text._hex`` over all rows. Raises ValueError when the length is wrong."""
    length = int(np.prod(shape[1:]))
    rows = np.frombuffer(data, dtype=np.uint8).reshape(shape[0], -1 if shape[0] else 0)
    if rows.shape[1] != (length * bits + 7) // 8 and shape[0]:
        raise ValueError
    if bits >= 8:
        return rows.copy().view(f">i{bits // 8}").astype(np.int64)
    planes = np.unpackbits(rows, axis=1)[:, :length * bits].reshape(shape[0], length, bits)
    if bits == 1:
        return 2 * planes.astype(np.int64).reshape(shape[0], length) - 1
    scale = 1 << np.arange(bits - 1, -1, -1)
    scale[0] *= -1
    return planes.astype(np.int64) @ scale
