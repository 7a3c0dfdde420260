"""The machine's arithmetic, one lane at a time, from nothing but Machine and Image: the naive model
that mapping is checked against. Asserts that no number leaves its proven width."""

from dataclasses import dataclass, field

from qsnn_hw.arch import RESETS, Image, Machine


@dataclass
class Datapath:
    machine: Machine
    image: Image
    spikes: list[list[list[int]]] = field(default_factory=list)     # [layer][step][neuron]

    def run(self, x):
        """Scores for *x*: a list of pixels, or T lists of spikes."""
        machine = self.machine
        inputs = [x] * machine.steps if machine.coding == "direct" else x
        for index, layer in enumerate(machine.layers):
            lanes = [self._lane(index, neuron) for neuron in range(self._places(index))]
            if not layer.fires:
                return [self._score(index, neuron, inputs) for neuron in range(layer.neurons)]
            trains = [self._train(index, place, inputs) for place in lanes]
            assert not any(any(train) for train in trains[layer.neurons:]), "a pad fired"
            inputs = [list(step) for step in zip(*trains[:layer.neurons], strict=True)]
            self.spikes.append(inputs)
        return [sum(train) for train in trains[:machine.classes]]

    def _places(self, index):
        size = self.machine.slots if self.machine.is_last(index) else self.machine.lanes
        return self.machine.groups(index) * size

    def _lane(self, index, neuron):
        """(group, slot, unit) of a neuron or pad."""
        machine = self.machine
        if machine.is_last(index):
            return neuron // machine.slots, neuron % machine.slots, 0
        lane = neuron % machine.lanes
        return neuron // machine.lanes, lane // machine.units, lane % machine.units

    def _current(self, index, place, frames, flip):
        """y: acc over *frames*, the offset off, flipped."""
        machine, layer = self.machine, self.machine.layers[index]
        group, slot, unit = place
        lane, acc, total = slot * machine.units + unit, 0, 0
        for plane in range(layer.weight_bits):
            first = machine.row(index) + (group * layer.weight_bits + plane) * layer.fan_in
            for frame in frames:
                for i, x in enumerate(frame):
                    acc += (self.image.weights[first + i] >> lane & 1) * (x << plane)
        for frame in frames:
            total += sum(frame) << layer.weight_bits - 1
        assert acc < 1 << machine.acc_bits and total < 1 << machine.sum_bits
        y = (2 * acc if layer.weight_bits == 1 else acc) - total
        return self._fits(~y if flip else y, machine.current_bits)

    def _train(self, index, place, inputs):
        p = {f.name: self._value(f, index, place) for f in self.machine.neuron_fields}
        wide, shift = self.machine.potential_bits, self.machine.decay_shift
        u, train = p["initial"], []
        for frame in inputs:
            y = self._current(index, place, [frame], p["flip"])
            leak = self._fits((u * p["decay"] << p["leak_shift"]) >> shift, wide)
            v = self._fits(leak + (y << p["gain_shift"]) + p["bias"], wide)
            fired = self._fits(v - p["threshold"], wide) >= 0
            reduced = self._fits(v - p["reset_value"], wide)
            kind = RESETS[p["reset"]] if fired else "none"
            v = {"hard": p["reset_value"], "soft": reduced, "none": v}[kind]
            limit = 1 << p["bits"] - 1
            u = min(max((((v << 1) >> p["step_shift"]) + 1) >> 1, -limit), limit - 1)
            assert p["bits"] <= self.machine.membrane_bits
            train.append(int(fired))
        return train

    def _score(self, index, neuron, inputs):
        place = self._lane(index, neuron)
        group, slot, _ = place
        address = group * self.machine.slots + slot
        p = {f.name: f.constant if f.constant is not None
             else f.base + self._stored(f, self.image.readout[f.name][address])
             for f in self.machine.readout_fields}
        y = self._current(index, place, inputs, p["flip"])
        return self._fits(p["gain"] * y + p["bias"], self.machine.score_bits)

    def _value(self, f, index, place):
        group, slot, unit = place
        address = self.machine.slot_base(index) + group * self.machine.slots + slot
        if f.constant is not None:
            return f.constant
        return f.base + self._stored(f, self.image.neuron[f.name][unit][address])

    @staticmethod
    def _stored(f, number):
        low = -(1 << f.width - 1) if f.signed else 0
        assert low <= number < low + (1 << f.width), (f, number)
        return number

    @staticmethod
    def _fits(value, bits):
        assert -(1 << bits - 1) <= value < 1 << bits - 1, (value, bits)
        return value
