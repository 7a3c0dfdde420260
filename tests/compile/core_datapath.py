"""What the machine computes, from nothing but Machine, Image and the banks' schedules: the naive
model that mapping is checked against. Items one by one, no pipeline, no queue. Asserts that no
number leaves its proven width, no row or line its memory, and that no pad fires."""

import numpy as np

from qsnn_hw.link.beats import input_beats
from qsnn_hw.machine import schedule
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.fields import RESETS
from qsnn_hw.machine.layers import WORD


def lane_bits(rows, lanes):
    return np.array([[row >> lane & 1 for lane in range(lanes)] for row in rows])


class Datapath:
    """One core; `run` takes a sample. ``sent`` [layer][step] [C, H, W]: the spikes last sent."""

    def __init__(self, machine: Machine, image: Image):
        self.machine, self.image = machine, image
        self.weights = [lane_bits(rows, machine.parameters.lanes) for rows in image.weights]
        banks = range(machine.parameters.banks)
        self.items = [schedule.items(machine.layout, bank) for bank in banks]
        self.offsets = [schedule.offsets(machine.parameters, bank) for bank in banks]

    def run(self, x):
        """The scores of sample *x*, as the network takes it."""
        machine = self.machine
        parameters, layout = machine.parameters, machine.layout
        beats = input_beats(machine, x[None])[0].tolist()
        self.memory = np.zeros((max(layout.lines, 1), parameters.columns), dtype=np.int64)
        self.values = beats if layout.value_words else []
        self.membranes = np.zeros((parameters.banks, parameters.units, layout.membrane_slots), int)
        self.synapses = np.zeros_like(self.membranes)
        self.totals = np.zeros(parameters.classes, dtype=np.int64)
        self.sent = [np.zeros((parameters.steps, layer.channels, layer.height, layer.width), int)
                     for layer in parameters.layers if layer.fires]
        if not layout.value_words:
            self._take_input(beats)
        for time in range(parameters.steps if parameters.order == "step" else 1):
            for index in range(len(parameters.layers)):
                for bank in range(parameters.banks):
                    for item in self.items[bank]:
                        if item.layer == index and not item.silent:
                            self._item(bank, item, time)
        return self.totals if parameters.readout == "count" else self._scores()

    def _take_input(self, beats):
        machine = self.machine
        for number, word in enumerate(beats):
            step, place = divmod(number, machine.layout.frame_words)
            line, column = divmod(step, machine.parameters.columns)
            self.memory[line * machine.layout.frame_words + place, column] = word

    # -- an item -----------------------------------------------------------------------------------

    def _item(self, bank, item, time):
        """Steps × passes, where spikes are pooled passes × steps."""
        machine, layer = self.machine, self.machine.parameters.layers[item.layer]
        passes, steps = self._passes(bank, item), machine.timing.window_steps[item.layer]
        self.acc, self.sum_x, self.largest = 0, 0, None
        if layer.pooling == "or":
            for number, part in enumerate(passes):
                for step in range(steps):
                    self._add(bank, item, part, step, time)
                    self._fire(bank, item, self._take_current(layer), step, time, number)
            return
        for step in range(steps):
            for part in passes:
                self._add(bank, item, part, step, time)
                if not layer.fires:
                    continue
                self._pool(bank, item, self._take_current(layer))
            if layer.fires:
                self._fire(bank, item, self.largest, step, time, 0)
                self.largest = None
        if not layer.fires:
            lanes = list(range(machine.layout.used_slots[item.layer]))
            classes = slice(item.group * machine.parameters.lanes, machine.parameters.classes)
            current = self._take_current(layer)[lanes]
            self.totals[classes][:len(lanes)] += current[:len(self.totals[classes])]

    def _passes(self, bank, item):
        """(entry of the bank's windows, word) of each pass."""
        passes = [[]]
        for number, word in enumerate(self.machine.parameters.layers[item.layer].windows[bank]):
            passes[-1].append((item.start + number, word))
            if word.ends:
                passes.append([])
        assert not passes[-1] and passes[-2][-1][1].final
        return passes[:-1]

    def _add(self, bank, item, part, step, time):
        for entry, word in part:
            total = self.machine.parameters.layers[item.layer].maps[word.source]
            for place, x in self._events(bank, item, entry, word, step, time):
                row = item.row + word.row + place * total.planes
                assert 0 <= row <= self.machine.layout.rows - total.planes
                assert x < 1 << self.machine.layout.value_bits
                for plane in range(total.planes):
                    amount = x << plane + total.shift
                    self.acc = self.acc + self.weights[bank][row + plane] * amount
                self.sum_x += x << total.planes - 1 + total.sum_shift

    def _events(self, bank, item, entry, word, step, time):
        """(input behind the word's first, x) of what the word holds."""
        machine, listed = self.machine, self.machine.parameters.layers[item.layer].maps[word.source]
        if listed.kind == "list":
            return [(i, x) for i, x in enumerate(self.values) if x]
        line, y, x = item.origins[word.source]
        now = step + time
        if listed.previous and now == 0:
            return []
        if not (0 <= y + word.dy < listed.height and 0 <= x + word.dx < listed.width):
            size = 1 if listed.kind == "values" else WORD
            return [(i, listed.pad) for i in range(size)] if listed.pad else []
        line += self.offsets[bank][entry]
        if listed.kind == "values":
            frame = 0 if machine.parameters.coding == "direct" else now
            value = self.values[line + frame * machine.layout.frame_words]
            return [(0, value)] if value else []
        return self._spikes(item, listed, line, step, time)

    def _spikes(self, item, fired, line, step, time):
        machine, index = self.machine, fired.layer
        columns = [step % machine.parameters.columns]
        if machine.parameters.order == "layer":
            line += step // machine.parameters.columns * machine.layout.line_words[index]
        elif index < 0:
            line += time * machine.layout.frame_words
        elif machine.parameters.kept(index):
            line += (time - fired.previous) % 2 * machine.layout.line_words[index]
        if machine.parameters.merged(item.layer):
            line += (step - step // machine.parameters.columns) * machine.layout.line_words[index]
            columns = range(machine.parameters.columns)
        amounts = [sum(int(self.memory[line, c]) >> i & 1 for c in columns) for i in range(WORD)]
        return [(i, x) for i, x in enumerate(amounts) if x]

    def _take_current(self, layer):
        """y of each lane, not flipped; the lanes are cleared."""
        machine = self.machine
        arithmetic = machine.arithmetic
        acc = self.acc + np.zeros(machine.parameters.lanes, dtype=np.int64)
        assert acc.max() < 1 << arithmetic.acc_bits and self.sum_x < 1 << arithmetic.sum_bits
        y = (2 * acc if layer.doubled else acc) - self.sum_x
        self.acc, self.sum_x = 0, 0
        return fits(y, arithmetic.current_bits)

    def _pool(self, bank, item, y):
        """The largest current of the passes so far, on some channels the least."""
        flip = self._field("flip", bank, self._addresses(item))
        y = np.where(flip, ~y, y)
        if self.largest is not None:
            least = self._field("minimum", bank, self._addresses(item))
            y = np.where(least, np.minimum(y, self.largest), np.maximum(y, self.largest))
        self.largest = y

    # -- neurons -----------------------------------------------------------------------------------

    def _addresses(self, item, number=0):
        """The parameter address of each lane; those that don't rotate get the last one's."""
        machine = self.machine
        parameters = machine.parameters
        used = machine.layout.used_slots[item.layer]
        own = parameters.layers[item.layer].neuron_parameters
        slots = np.minimum(np.arange(parameters.lanes) // parameters.units, used - 1)
        return item.slot + slots + (number * used if own else 0)

    def _field(self, name, bank, addresses):
        """The value of each lane."""
        (field,) = (f for f in self.machine.arithmetic.neuron_fields if f.name == name)
        if field.constant is not None:
            return np.full(self.machine.parameters.lanes, field.constant)
        stored = np.array(self.image.neuron[name][bank])
        return field.base + stores(field, stored[self._units, addresses])

    @property
    def _units(self):
        return np.arange(self.machine.parameters.lanes) % self.machine.parameters.units

    def _fire(self, bank, item, y, step, time, number):
        """The rotations that follow a pass: one, or a replay for each step."""
        layer, addresses = self.machine.parameters.layers[item.layer], self._addresses(item, number)
        if layer.pooling == "or":
            y = np.where(self._field("flip", bank, addresses), ~y, y)
        for replay in range(self.machine.timing.replays[item.layer]):
            now = step + time + replay
            spikes = self._update(bank, item, y, addresses, now, number)
            self._send(item, spikes, now, number)

    def _update(self, bank, item, y, addresses, now, number):
        machine, units = self.machine, self._units
        parameters, arithmetic = machine.parameters, machine.arithmetic
        p = {f.name: self._field(f.name, bank, addresses) for f in arithmetic.neuron_fields}
        used = machine.layout.used_slots[item.layer]
        slots = np.minimum(np.arange(parameters.lanes) // parameters.units, used - 1)
        places = slots + (item.membrane + number * used if parameters.order == "step" else 0)
        u = p["initial"] if now == 0 else self.membranes[bank, units, places]
        wide = arithmetic.potential_bits
        rotating = np.arange(parameters.lanes) < used * parameters.units
        if arithmetic.synapses:
            y = self._synapse(p, y, (bank, units, places), now, rotating)
        leak = (u * p["decay"] << p["leak_shift"]) >> arithmetic.decay_shift
        v = leak + (y << p["gain_shift"]) + p["bias"]
        fired = v >= p["threshold"]
        for part in (leak, v, v - p["threshold"], v - p["reduction"]):
            fits(part[rotating], wide)
        hard, soft = (fired & (p["reset"] == RESETS.index(kind)) for kind in ("hard", "soft"))
        scaled = (np.where(soft, v - p["reduction"], v) << 1) >> p["step_shift"]
        fits(np.where(rotating & ~hard, scaled, 0), arithmetic.scaled_bits)
        limit = 1 << p["bits"] - 1
        least = p["lowest"] if arithmetic.clamps else -limit
        u = np.where(hard, p["reset_to"], np.clip(scaled + 1 >> 1, least, limit - 1))
        assert p["bits"].max() <= arithmetic.membrane_bits
        self.membranes[bank, units[rotating], places[rotating]] = u[rotating]
        return fired & rotating

    def _synapse(self, p, y, where, now, rotating):
        """The new synaptic current of each lane."""
        arithmetic = self.machine.arithmetic
        i = 0 if now == 0 else self.synapses[where]
        limit = 1 << p["synapse_bits"] - 1
        i = np.clip((i * p["synapse_decay"] >> arithmetic.synapse_shift) + y + p["flip"],
                    -limit, limit - 1)
        assert p["synapse_bits"].max() <= arithmetic.synapse_bits
        self.synapses[tuple(part[rotating] if np.ndim(part) else part for part in where)] = \
            i[rotating]
        return i

    def _send(self, item, spikes, now, number):
        machine, index = self.machine, item.layer
        size = machine.layout.group_size[index]
        own = spikes[::machine.parameters.units] if machine.parameters.is_last(index) else spikes
        channels = min(size, machine.parameters.layers[index].channels - item.group * size)
        assert not own[channels:].any(), "a pad fired"
        first = item.group * size
        train = self.sent[index][now].reshape(machine.parameters.layers[index].channels, -1)
        train[first:first + channels, item.place] |= own[:channels]
        if machine.parameters.is_last(index):
            self.totals[first:first + channels] += own[:channels]
        if machine.parameters.stored(index):
            self._store(item, spikes, now, number)

    def _store(self, item, spikes, now, number):
        machine, index = self.machine, item.layer
        line, column = item.line, now % machine.parameters.columns
        if machine.parameters.order == "layer":
            line += now // machine.parameters.columns * machine.layout.line_words[index]
        elif machine.parameters.kept(index):
            line += now % 2 * machine.layout.line_words[index]
        for part in range(item.words + 1):
            word = sum(int(s) << i for i, s in enumerate(spikes[part * WORD:(part + 1) * WORD]))
            before = self.memory[line + part, column] if number else 0
            self.memory[line + part, column] = word | before

    # -- the readout -------------------------------------------------------------------------------

    def _scores(self):
        machine, arithmetic = self.machine, self.machine.arithmetic
        classes, none = machine.parameters.classes, np.zeros(machine.layout.readout_slots)
        p = {}
        for field in arithmetic.readout_fields:
            stored = np.array(self.image.readout.get(field.name, none))
            p[field.name] = (np.full(classes, field.constant) if field.constant is not None
                             else field.base + stores(field, stored[:classes]))
        total = fits(self.totals, machine.total_bits)
        score = p["gain"] * np.where(p["flip"], ~total, total) + p["bias"]
        return fits(score, arithmetic.score_bits)


def stores(field, numbers):
    low = -(1 << field.width - 1) if field.signed else 0
    assert low <= numbers.min() and numbers.max() < low + (1 << field.width), field
    return numbers


def fits(values, bits):
    assert -(1 << bits - 1) <= values.min() and values.max() < 1 << bits - 1, (values, bits)
    return values
