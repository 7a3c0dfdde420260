"""From spikes to event lists: spike words through a priority encoder, appended to a step's list."""

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arch import WORD
from .memory import table

__all__ = ["SpikeEncoder", "WordQueue"]


class WordQueue(wiring.Component):
    """Spike words waiting for the encoder. Deep enough for all there can be: it never refuses.

    A clock: 1. ``push`` stores ``data``; 2. ``head`` is the oldest word while ``have``; 3. ``take``
    drops it, and the next one is at the head two clocks later at the earliest.
    A read may meet a write only at an empty queue's head, whose word is not used.
    """

    def __init__(self, *, depth):
        self.depth = depth
        super().__init__({
            "data": In(WORD), "push": In(1),
            "head": Out(WORD), "have": Out(1), "take": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        bits = max((self.depth - 1).bit_length(), 1)
        m.submodules.words = words = table(WORD, 1 << bits)
        write, read = words.write_port(), words.read_port()
        oldest, newest = Signal(bits + 1), Signal(bits + 1)     # a bit more tells full from empty
        m.d.comb += [
            write.addr.eq(newest), write.data.eq(self.data), write.en.eq(self.push),
            read.addr.eq(oldest), self.head.eq(read.data),
        ]
        m.d.sync += [
            newest.eq(newest + self.push),
            oldest.eq(oldest + self.take),
            self.have.eq((oldest != newest) & ~self.take),
        ]
        return m


class SpikeEncoder(wiring.Component):
    """Turns the words of a layer into one event list a step.

    Words come group by group, in a group step by step, in a step lowest neurons first. A *block*
    is the ``words`` words of one group and step. A clock: 1. the lowest spike of the current word
    is appended to its step's list (``entry``); 2. behind a word's last spike the next word of the
    block is taken, if there; 3. behind a block's last spike its step's count is stored
    (``counted``), and in the last group ``done`` counts up: that list is complete.

    Steps' counts are kept in block RAM: the count of the next step is read while a block runs, two
    clocks or more after its own block stored it.

    ``words``, ``groups``, ``last`` (number of steps less one) and ``stride`` (entries between the
    lists of two steps) describe the layer whose words are at the head; they change in the clock
    after ``layer_done``. ``restart`` forgets everything.
    """

    def __init__(self, *, steps, index_bits, address_bits, max_words, max_groups, jobs):
        self.steps = steps
        super().__init__({
            "head": In(WORD), "have": In(1), "take": Out(1),
            "words": In(range(max_words + 1)), "groups": In(range(max_groups + 1)),
            "last": In(range(max(steps, 2))), "stride": In(address_bits), "restart": In(1),
            "entry_valid": Out(1), "entry_address": Out(address_bits), "entry": Out(index_bits),
            "counted": Out(1), "count_step": Out(range(max(steps, 2))),
            "count": Out(index_bits + 1),
            "layer_done": Out(1), "done": Out(range(jobs * steps + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        word, rest = Signal(WORD), Signal(WORD)
        left, group = Signal.like(self.words), Signal.like(self.groups)
        setup = Signal(init=1)
        spent, last_step, last_group = Signal(), Signal(), Signal()
        m.d.comb += [
            rest.eq(word & (word - 1)),
            spent.eq(~rest.any()),
            last_step.eq(self.count_step == self.last),
            last_group.eq(group == self.groups - 1),
            self.take.eq(self.have & spent & (left != 0) & ~setup),
            self.layer_done.eq(self.counted & last_step & last_group),
        ]
        m.d.sync += [
            self.counted.eq(spent & (left == 0) & ~self.counted & ~setup),
            word.eq(Mux(self.take, self.head, rest)),
            left.eq(Mux(self.counted | setup, self.words, left - self.take)),
            setup.eq(self.layer_done | self.restart),
        ]
        with m.If(self.counted):
            m.d.sync += [
                self.count_step.eq(Mux(last_step, 0, self.count_step + 1)),
                group.eq(group + last_step),
                self.done.eq(self.done + last_group),
            ]
        with m.If(setup):
            m.d.sync += [self.count_step.eq(0), group.eq(0), word.eq(0)]
        with m.If(self.restart):
            m.d.sync += [self.done.eq(0), self.counted.eq(0)]
        self._append(m, word, setup, last_step, group)
        return m

    def _append(self, m, word, setup, last_step, group):
        base, resumed = Signal.like(self.entry_address), self._saved_count(m)
        high, next_high, group_high = (Signal(max(len(self.entry) - 4, 1), name=name)
                                       for name in ("high", "next_high", "group_high"))
        m.d.sync += [
            self.entry_valid.eq(word.any()),
            self.entry.eq(Cat(lowest_set(word), high)),
            self.entry_address.eq(base + self.count),
            self.count.eq(self.count + word.any()),
        ]
        with m.If(self.take):
            m.d.sync += [high.eq(next_high), next_high.eq(next_high + 1)]
        with m.If(self.counted):
            m.d.sync += [
                base.eq(Mux(last_step, 0, base + self.stride)),
                next_high.eq(Mux(last_step, next_high, group_high)),
            ]
            with m.If(last_step):
                m.d.sync += group_high.eq(next_high)
            with m.If(self.last != 0):
                m.d.sync += self.count.eq(Mux((group == 0) & ~last_step, 0, resumed))
        with m.If(setup):
            m.d.sync += [base.eq(0), next_high.eq(0), group_high.eq(0), self.count.eq(0)]

    def _saved_count(self, m):
        """The count so far of the step after this one."""
        m.submodules.counts = counts = table(self.count.shape(), self.steps)
        write, read = counts.write_port(), counts.read_port()
        following = Mux(self.count_step == self.last, 0, self.count_step + 1)
        m.d.comb += [
            write.addr.eq(self.count_step), write.data.eq(self.count), write.en.eq(self.counted),
            read.addr.eq(following),
        ]
        return read.data


def lowest_set(word):
    """The position of the lowest 1 of a 16-bit *word* (any value if there is none)."""
    nibbles = [word[4 * i:4 * i + 4] for i in range(4)]
    inside = [Cat(~n[0] & (n[1] | ~n[2]), ~n[0] & ~n[1]) for n in nibbles]
    some = [n.any() for n in nibbles]
    which = Cat(~some[0] & (some[1] | ~some[2]), ~some[0] & ~some[1])
    return Cat(Array(inside)[which], which)
