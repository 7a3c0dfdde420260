"""Where a network is trained, and in which precision."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from qsnn_models.errors import ModelsError


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, else the CPU."""
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise ModelsError("device must be one that torch finds here, not 'cuda'; use cpu or auto")
    return torch.device("cuda" if present and name != "cpu" else "cpu")


class HalfProducts(TorchFunctionMode):
    """Inside it, matrix products and convolutions take bfloat16 and give float32.

    What lies between them (batch norm, thresholds, membranes) counts in integers and stays float32;
    currents lose all but 8 bits, so this is for training only.
    """

    PRODUCTS = (F.linear, F.conv2d)

    def __torch_function__(self, func: Any, kinds: Any, args: Sequence[Any] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:
        if func not in self.PRODUCTS:
            return func(*args, **(kwargs or {}))
        return func(*map(_half, args), **{k: _half(v) for k, v in (kwargs or {}).items()}).float()


def _half(value: Any) -> Any:
    return value.bfloat16() if isinstance(value, torch.Tensor) else value


@contextmanager
def precision(amp: str, device: torch.device) -> Iterator[None]:
    """``off``: float32 everywhere, exact up to 2^24. On CUDA, ``tf32``: products of TF32, exact for
    integers to 2^11, so forward as ``off``; ``bf16``: see HalfProducts. The CPU is always ``off``.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = amp == "tf32"
    try:
        with ExitStack() as stack:
            if amp == "bf16" and device.type == "cuda":
                stack.enter_context(HalfProducts())
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
