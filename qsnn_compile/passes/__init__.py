"""The passes, in pipeline order. Each is one file and one class."""

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

__all__ = ["PASSES", "STREAM_PASSES", "Pass", "PassError", "run_passes"]
