"""The notation of a network in one string, as papers write it: ``1x28x28-16C3s2-32C3-P2-10``."""

import math
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NoReturn

from qsnn_models.errors import ModelsError

Shape = tuple[int, ...]
Pair = tuple[int, int]
FORMS = "N, NR, NCk (then sS, gG, pP, +), Pk or Ak, k a number or HxW"
INPUTS = "N, CxL or CxHxW"
_SIZE = r"\d{1,12}(?:x\d{1,12})?"
_CONV = re.compile(rf"(\d{{1,12}})C({_SIZE})((?:[sgp]{_SIZE})*)(\+?)")


@dataclass(frozen=True)
class Pool:
    """Max or average pooling of a convolution's current, windows of *kernel* side by side."""

    kind: Literal["max", "average"]
    kernel: Pair


@dataclass(frozen=True)
class DenseLayer:
    """``N`` or ``NR``: *outputs* neurons that read all *inputs*, and themselves if recurrent."""

    inputs: int
    outputs: int
    recurrent: bool = False

    @property
    def shape(self) -> Shape:
        """Of its spikes."""
        return (self.outputs,)


@dataclass(frozen=True)
class ConvLayer:
    """``NCk``: a convolution of images of shape *source* ``(C, H, W)``, then maybe a pool; kernel,
    stride and padding down and across."""

    source: Shape
    outputs: int
    kernel: Pair
    stride: Pair
    padding: Pair
    groups: int
    residual: bool
    pool: Pool | None = None

    @property
    def inputs(self) -> int:
        """Channels of its source."""
        return self.source[0]

    @property
    def current(self) -> Shape:
        """Shape of its current, before the pool."""
        return (self.outputs, *((size + 2 * p - k) // s + 1 for size, k, s, p in zip(
            self.source[1:], self.kernel, self.stride, self.padding, strict=True)))

    @property
    def shape(self) -> Shape:
        """Of its spikes."""
        kernel = self.pool.kernel if self.pool else (1, 1)
        return (self.outputs, *(size // k for size, k in zip(self.current[1:], kernel,
                                                             strict=True)))


Layer = DenseLayer | ConvLayer


@dataclass(frozen=True)
class Structure:
    """A parsed network: the input's *shape*, and the weight layers, the readout's last."""

    shape: Shape
    layers: tuple[Layer, ...]

    @property
    def classes(self) -> int:
        """What the last layer tells apart."""
        return self.layers[-1].outputs


@cache
def parse(text: str) -> Structure:
    """Read ``"784-256-256-10"``, ``"1x28x28-16C3s2-32C3-P2-10"``, ``"6x50-16C5s2-4"``.

    Dash-separated. First the input's shape, ``N``, ``CxHxW``, or ``CxL``, a line of L values, which
    is an image ``(C, 1, L)``; then layers:

    - ``N`` dense, N neurons; ``NR`` recurrent: its own spikes of the step before come in through a
      second weight matrix;
    - ``NCk`` a convolution of N channels, kernel k; then any of ``sS`` (stride, 1), ``gG``
      (groups, 1), ``pP`` (padding, k // 2), and ``+``: the layer's input spikes are added to its
      current;
    - ``Pk``, ``Ak`` after a convolution: max or average pooling k x k of its current;

    and last ``N``, the classes. Sizes are one number, of a line along it, or ``HxW``: ``16C3x1``.
    Raises ModelsError naming the token that is wrong.
    """
    if not isinstance(text, str):
        raise ModelsError(f"layers must be a string such as '784-128-10', not {text!r}")
    first, *tokens = text.split("-")
    shape = _input(text, first)
    line = first.count("x") == 1
    layers: list[Layer] = []
    for token in tokens:
        last = layers[-1] if layers else None
        if token[:1] in ("P", "A"):
            layers[-1:] = [_pooled(text, token, last, line)]
        else:
            layers.append(_layer(text, token, last.shape if last else shape, line))
    last = layers[-1] if layers else None
    if not isinstance(last, DenseLayer) or last.recurrent:
        raise ModelsError(f"layers {text!r}: the last must be N, the number of classes, "
                          f"not {tokens[-1] if tokens else first!r}")
    return Structure(shape, tuple(layers))


def _refuse(text: str, what: str, token: object) -> NoReturn:
    raise ModelsError(f"layers {text!r}: {what}, not {token!r}")


def _input(text: str, token: str) -> Shape:
    sizes = token.split("x")
    good = len(sizes) < 4 and all(re.fullmatch(r"0*[1-9]\d{0,11}", size) for size in sizes)
    if not good:
        _refuse(text, f"the first must be the input's shape, {INPUTS}", token)
    if len(sizes) == 2:
        sizes.insert(1, "1")
    return tuple(map(int, sizes))


def _layer(text: str, token: str, source: Shape, line: bool) -> Layer:
    match = _CONV.fullmatch(token)
    if match:
        return _conv(text, token, match, source, line)
    if not re.fullmatch(r"[1-9]\d{0,11}R?", token):
        _refuse(text, f"a layer must be {FORMS}", token)
    return DenseLayer(math.prod(source), int(token.rstrip("R")), token.endswith("R"))


def _pair(size: str, along: int | None = None) -> Pair:
    """*size*, ``k`` or ``HxW``; of a line ``k`` is (*along*, k)."""
    down, cross, across = size.partition("x")
    if cross:
        return int(down), int(across)
    return int(down) if along is None else along, int(down)


def _conv(text: str, token: str, match: re.Match[str], source: Shape, line: bool) -> ConvLayer:
    if len(source) != 3:
        _refuse(text, "a convolution must follow an image, CxHxW, or a line, CxL", token)
    one, none = (1, 0) if line else (None, None)
    given = re.findall(rf"([sgp])({_SIZE})", match[3])
    options = dict(given)
    outputs, kernel = int(match[1]), _pair(match[2], one)
    stride, groups = _pair(options.get("s", "1"), one), options.get("g", "1")
    padding = _pair(options["p"], none) if "p" in options else (kernel[0] // 2, kernel[1] // 2)
    if "x" in groups or len(options) < len(given) or min(outputs, *kernel, *stride,
                                                         int(groups)) < 1:
        _refuse(text, f"sizes must be at least 1, each option once; a layer is {FORMS}", token)
    layer = ConvLayer(source, outputs, kernel, stride, padding, int(groups), bool(match[4]))
    return _checked(text, token, layer)


def _checked(text: str, token: str, layer: ConvLayer) -> ConvLayer:
    if layer.outputs % layer.groups or layer.inputs % layer.groups:
        _refuse(text, f"groups must divide {layer.inputs} input and {layer.outputs} output "
                      "channels", token)
    if min(layer.current[1:]) < 1:
        _refuse(text, f"the kernel must fit in the image {layer.source}, padding included", token)
    if layer.residual and layer.current != layer.source:
        _refuse(text, f"with + the current must have the input's shape {layer.source}, but has "
                      f"{layer.current}: stride 1, padding k // 2, as many channels", token)
    return layer


def _pooled(text: str, token: str, last: Layer | None, line: bool) -> ConvLayer:
    if not re.fullmatch(r"[PA][1-9]\d{0,11}(x[1-9]\d{0,11})?", token):
        _refuse(text, "a pool must be Pk (max) or Ak (average)", token)
    if not isinstance(last, ConvLayer) or last.pool:
        _refuse(text, "a pool must follow a convolution", token)
    kernel = _pair(token[1:], 1 if line else None)
    if any(k > size for k, size in zip(kernel, last.current[1:], strict=True)):
        _refuse(text, f"the pool must fit in the current {last.current}", token)
    kind: Literal["max", "average"] = "max" if token[0] == "P" else "average"
    return replace(last, pool=Pool(kind, kernel))
