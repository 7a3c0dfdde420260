"""Verilog of a core: ``core_verilog(machine, image)``."""

from amaranth.back import verilog

from .core import SpikingCore
from .memory import SPRAM_VERILOG

__all__ = ["core_verilog"]


def core_verilog(machine, image, name="qsnn_core"):
    """The core as Verilog text, module *name*; the same bytes for the same arguments."""
    text = verilog.convert(SpikingCore(machine, image), name=name, emit_src=False,
                           strip_internal_attrs=True)
    return text + (SPRAM_VERILOG if machine.weight_memory == "spram" else "")
