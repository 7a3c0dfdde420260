"""Verilog of a core, and the core as a cell of another design's Verilog."""

import gc

from amaranth.back import verilog
from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from .core import SpikingCore, core_members
from .memory import SPRAM_VERILOG

__all__ = ["CORE", "CoreCell", "converted", "core_verilog"]

CORE = "qsnn_core"          # the module's name


def core_verilog(machine, image, name=CORE):
    """The core as Verilog text, module *name*; the same bytes for the same arguments."""
    text = converted(SpikingCore(machine, image), name)
    return text + (SPRAM_VERILOG if machine.parameters.weight_memory == "spram" else "")


def converted(component, name):
    """*component* as Verilog text, module *name*. The garbage collector pauses: it would search
    Amaranth's many small objects again and again, for half of the time, and free nothing."""
    paused = gc.isenabled()
    gc.disable()
    try:
        return verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    finally:
        if paused:
            gc.enable()


class CoreCell(wiring.Component):
    """The module CORE of a `core_verilog` text as a cell, with the members of `SpikingCore`.

    The clock is that of ``sync``; *restart* resets the cell beside the domain's reset.

    Members
    -------
    Those of `SpikingCore`.
    """

    def __init__(self, machine, restart):
        self.restart_all = restart
        super().__init__(core_members(machine))

    def elaborate(self, platform):
        m = Module()
        ports = {f"{'i' if member.flow is Flow.In else 'o'}_{'__'.join(path)}": Value.cast(value)
                 for path, member, value in self.signature.flatten(self)}
        m.submodules.cell = Instance(CORE, i_clk=ClockSignal(),
                                     i_rst=ResetSignal() | self.restart_all, **ports)
        return m
