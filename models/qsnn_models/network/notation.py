"""The notation of a network in one string, as papers write it: ``1x28x28-16C3s2-32C3-P2-10``."""

import math
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NoReturn

from qsnn_models.errors import ModelsError

Shape = tuple[int, ...]
FORMS = "N, NR, NCk (then sS, gG, pP, +), Pk or Ak"
_CONV = re.compile(r"(\d{1,12})C(\d{1,12})((?:[sgp]\d{1,12})*)(\+?)")


@dataclass(frozen=True)
class Pool:
    """Max or average pooling of a convolution's current, k x k, stride k."""

    kind: Literal["max", "average"]
    kernel: int


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
    """``NCk``: a convolution of images of shape *source* ``(C, H, W)``, then maybe a pool."""

    source: Shape
    outputs: int
    kernel: int
    stride: int
    padding: int
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
        sizes = (size + 2 * self.padding - self.kernel for size in self.source[1:])
        return (self.outputs, *(size // self.stride + 1 for size in sizes))

    @property
    def shape(self) -> Shape:
        """Of its spikes."""
        k = self.pool.kernel if self.pool else 1
        return (self.outputs, *(size // k for size in self.current[1:]))


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
    """Read ``"784-256-256-10"``, ``"1x28x28-16C3s2-32C3-P2-10"``, ``"28-128R-10"``.

    Dash-separated. First the input's shape, ``N`` or ``CxHxW``; then layers:

    - ``N`` dense, N neurons; ``NR`` recurrent: its own spikes of the step before come in through a
      second weight matrix;
    - ``NCk`` a convolution of N channels, kernel k; then any of ``sS`` (stride, 1), ``gG``
      (groups, 1), ``pP`` (padding, k // 2), and ``+``: the layer's input spikes are added to its
      current;
    - ``Pk``, ``Ak`` after a convolution: max or average pooling k x k of its current;

    and last ``N``, the classes. Raises ModelsError naming the token that is wrong.
    """
    if not isinstance(text, str):
        raise ModelsError(f"layers must be a string such as '784-128-10', not {text!r}")
    first, *tokens = text.split("-")
    shape = _input(text, first)
    layers: list[Layer] = []
    for token in tokens:
        last = layers[-1] if layers else None
        if token[:1] in ("P", "A"):
            layers[-1:] = [_pooled(text, token, last)]
        else:
            layers.append(_layer(text, token, last.shape if last else shape))
    last = layers[-1] if layers else None
    if not isinstance(last, DenseLayer) or last.recurrent:
        raise ModelsError(f"layers {text!r}: the last must be N, the number of classes, "
                          f"not {tokens[-1] if tokens else first!r}")
    return Structure(shape, tuple(layers))


def _refuse(text: str, what: str, token: object) -> NoReturn:
    raise ModelsError(f"layers {text!r}: {what}, not {token!r}")


def _input(text: str, token: str) -> Shape:
    sizes = token.split("x")
    good = len(sizes) in (1, 3) and all(re.fullmatch(r"0*[1-9]\d{0,11}", size) for size in sizes)
    if not good:
        _refuse(text, "the first must be the input's shape, N or CxHxW", token)
    return tuple(map(int, sizes))


def _layer(text: str, token: str, source: Shape) -> Layer:
    found = _CONV.fullmatch(token)
    if found:
        return _conv(text, token, found, source)
    if not re.fullmatch(r"[1-9]\d{0,11}R?", token):
        _refuse(text, f"a layer must be {FORMS}", token)
    return DenseLayer(math.prod(source), int(token.rstrip("R")), token.endswith("R"))


def _conv(text: str, token: str, found: re.Match[str], source: Shape) -> ConvLayer:
    if len(source) != 3:
        _refuse(text, "a convolution must follow an image, CxHxW", token)
    outputs, kernel = int(found[1]), int(found[2])
    given = re.findall(r"([sgp])(\d+)", found[3])
    options = dict(given)
    stride, groups = int(options.get("s", 1)), int(options.get("g", 1))
    padding = int(options.get("p", kernel // 2))
    if min(outputs, kernel, stride, groups) < 1 or len(options) < len(given):
        _refuse(text, f"sizes must be at least 1, each option once; a layer is {FORMS}", token)
    layer = ConvLayer(source, outputs, kernel, stride, padding, groups, bool(found[4]))
    return _checked(text, token, layer)


def _checked(text: str, token: str, layer: ConvLayer) -> ConvLayer:
    if layer.outputs % layer.groups or layer.inputs % layer.groups:
        _refuse(text, f"groups must divide {layer.inputs} input and {layer.outputs} output "
                      "channels", token)
    if min(layer.source[1:]) + 2 * layer.padding < layer.kernel:
        _refuse(text, f"the kernel must fit in the image {layer.source}, padding included", token)
    if layer.residual and layer.current != layer.source:
        _refuse(text, f"with + the current must have the input's shape {layer.source}, but has "
                      f"{layer.current}: stride 1, padding k // 2, as many channels", token)
    return layer


def _pooled(text: str, token: str, last: Layer | None) -> ConvLayer:
    if not re.fullmatch(r"[PA][1-9]\d{0,11}", token):
        _refuse(text, "a pool must be Pk (max) or Ak (average)", token)
    if not isinstance(last, ConvLayer) or last.pool:
        _refuse(text, "a pool must follow a convolution", token)
    kernel = int(token[1:])
    if kernel > min(last.current[1:]):
        _refuse(text, f"the pool must fit in the current {last.current}", token)
    kind: Literal["max", "average"] = "max" if token[0] == "P" else "average"
    return replace(last, pool=Pool(kind, kernel))
