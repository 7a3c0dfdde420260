"""The passes, in pipeline order. Each is one file and one class.

It may import `qsnn_compile.ir`, `qsnn_compile.lower` and `qsnn_compile.system`.
"""

from .base import Pass, PassError, run_passes
from .clip_thresholds import ClipThresholds
from .legalise import Legalise
from .reduce_decay import ReduceDecay

PASSES: tuple[Pass, ...] = (
    ReduceDecay(),
    ClipThresholds(),
    Legalise(),
)

STREAM_PASSES: tuple[Pass, ...] = (ReduceDecay(), ClipThresholds(endless=True), Legalise())


def pipeline(stream: bool) -> tuple[Pass, ...]:
    """The passes before a machine that answers once a window, or, *stream*, after every step."""
    return STREAM_PASSES if stream else PASSES


__all__ = ["PASSES", "STREAM_PASSES", "pipeline", "Pass", "PassError", "run_passes"]
