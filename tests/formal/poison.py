"""A memory as a chip may have it: a read that meets a write returns what nobody wrote."""

from types import SimpleNamespace

from amaranth.hdl import Const, Elaboratable, Module, Signal, Value
from amaranth.lib.memory import Memory


class Poisoned(Elaboratable):
    """A memory whose reads return the complement where they met a write to their address."""

    def __init__(self, *, shape, depth, init, attrs):
        self.plain = Memory(shape=shape, depth=depth, init=init, attrs=attrs)
        self.shape, self.reads, self.writes = shape, [], []

    def write_port(self):
        self.writes.append(self.plain.write_port())
        return self.writes[-1]

    def read_port(self):
        plain = self.plain.read_port()
        port = SimpleNamespace(addr=Signal.like(plain.addr), en=Signal(init=1),
                               data=Signal(self.shape))
        self.reads.append((port, plain))
        return port

    def elaborate(self, platform):
        m = Module()
        m.submodules.plain = self.plain
        for port, plain in self.reads:
            meets, met = Const(0), Signal()
            for write in self.writes:
                meets = meets | (write.en.any() & (write.addr == port.addr))
            with m.If(port.en):
                m.d.sync += met.eq(meets)
            data = Value.cast(plain.data)
            m.d.comb += [plain.addr.eq(port.addr), plain.en.eq(port.en),
                         Value.cast(port.data).eq(data ^ met.replicate(len(data)))]
        return m
