"""The lanes: P accumulators whose clock enable is the weight bit, and their rotating shadow."""

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Lanes"]


class Lanes(wiring.Component):
    """``acc[l] = Σ x`` over the rows whose bit l is 1, since the last transfer.

    Because a lane only ever adds where its weight bit is 1, the bit is the accumulator's clock
    enable and no lane has AND gates.

    A clock: 1. ``row`` is registered as the lanes' enables if ``valid``; 2. a clock later the
    enabled lanes add ``x``, which therefore comes one clock behind its row. A ``transfer`` comes
    in the place of a row: a clock later the shadow takes the sums and the lanes are cleared.
    ``rotate`` moves the shadow by ``units`` lanes, round its first ``rings[ring]``; ``heads`` are
    its first ones.

    Members
    -------
    ============ === ============ ================================================
    ``row``      In  a bit a lane a weight row
    ``valid``    In  1            there is one; none is refused
    ``transfer`` In  1            in the place of a row: the shadow takes the sums
    ``x``        In  ``x_bits``   of the row a clock before
    ``rotate``   In  1            the shadow moves on by its units
    ``ring``     In  a number     round which of ``rings``
    ``heads``    Out a sum a unit the shadow's first lanes
    ============ === ============ ================================================
    """

    def __init__(self, *, lanes, units, acc_bits, x_bits, rings=None):
        self.lanes, self.units, self.acc_bits = lanes, units, acc_bits
        self.rings = rings or (lanes,)
        super().__init__({
            "row": In(lanes),
            "valid": In(1),
            "transfer": In(1),
            "x": In(x_bits),
            "rotate": In(1),
            "ring": In(range(max(len(self.rings), 2))),
            "heads": Out(data.ArrayLayout(unsigned(acc_bits), units)),
        })

    def elaborate(self, platform):
        m = Module()
        # Reset and power-up clear the lanes in the next clock: no pass went before to do it.
        enable = Signal(self.lanes, init=-1)
        clear = Signal(init=1)
        acc = [Signal(self.acc_bits, name=f"acc{i}", reset_less=True) for i in range(self.lanes)]
        shadow = [Signal(self.acc_bits, name=f"shadow{i}", reset_less=True)
                  for i in range(self.lanes)]
        m.d.sync += [
            enable.eq((self.row & self.valid.replicate(self.lanes))
                      | self.transfer.replicate(self.lanes)),
            clear.eq(self.transfer),
        ]
        for lane in range(self.lanes):
            with m.If(enable[lane]):
                m.d.sync += acc[lane].eq(acc[lane] + self.x)
                with m.If(clear):
                    m.d.sync += acc[lane].eq(0)
            with m.If(clear | self.rotate):
                follower = self._follower(shadow, lane)
                m.d.sync += shadow[lane].eq(Mux(clear, acc[lane], follower))
        m.d.comb += [self.heads[i].eq(shadow[i]) for i in range(self.units)]
        return m

    def _follower(self, shadow, lane):
        """What moves into *lane*: the one behind, or round the ring."""
        behind = lane + self.units
        follower = shadow[behind % self.lanes]
        for index, ring in enumerate(self.rings):
            if lane < ring <= behind and ring < self.lanes:
                follower = Mux(self.ring == index, shadow[behind - ring], follower)
        return follower
