"""What the sequencer must do, as a nested loop: layers, groups, steps, planes, events."""

from dataclasses import dataclass


@dataclass
class Pass:
    """One event list through one group and plane; ``job`` if a transfer ends it."""

    layer: int
    group: int
    step: int
    plane: int
    count: int
    job: dict | None


def passes(m, sample):
    """The nested loop. ``sample.counts[l][t]``: events of list l at step t."""
    for number, layer in enumerate(m.layers):
        for group in range(m.groups(number)):
            total = 0
            for step in range(m.list_steps(number)):
                direct, last_step = m.is_direct(number), step == m.list_steps(number) - 1
                count = sample.counts[number][0 if direct else step]
                total += (sample.direct_sum if direct else sample.fired_sum
                          if m.counted and m.is_last(number) else count)
                for plane in range(layer.weight_bits):
                    ends = plane == layer.weight_bits - 1 and (layer.fires or last_step)
                    job = describe(m, number, group, step, total) if ends else None
                    yield Pass(number, group, step, plane, count, job)
                total = 0 if layer.fires else total


def describe(m, number, group, step, total):
    layer, last = m.layers[number], m.is_last(number)
    last_step = step == m.list_steps(number) - 1
    first_slot = m.slot_base(number) if layer.fires else 0
    return {"sum_x": total * 2 ** (layer.weight_bits - 1), "slot": first_slot + group * m.slots,
            "doubled": int(layer.weight_bits == 1), "start": int(step == 0),
            "replay": int(m.is_direct(number) and layer.fires), "last_layer": int(last),
            "counted": int(m.counted and number == len(m.layers) - 2),
            "opening": int(group == 0), "settled": int(last_step),
            "final": int(last and group == m.groups(number) - 1 and last_step)}


def events_of(m, p, clock):
    """What a pass that is fetched in *clock* shows."""
    layer, direct = m.layers[p.layer], m.is_direct(p.layer)
    base = 0 if direct else p.step * layer.fan_in
    row = m.row(p.layer) + (p.group * layer.weight_bits + p.plane) * layer.fan_in
    counts = int(m.counted and m.is_last(p.layer))
    return [(clock + 1 + i, p.layer % 2, int(direct), base + i, row, p.plane, counts)
            for i in range(p.count)]


def schedule(m, sample, begin, lists_done):
    """(clock, ...) of every event and (clock, job) of every transfer, given ``lists_done[clock]``:
    max(n, 1) + 2 clocks a pass, transfers at least a rotation (replayed: T) apart. The pixels went
    through their first pass as they came."""
    clock, free, events, transfers = begin + 1, 0, [], []
    for number, p in enumerate(passes(m, sample)):
        direct = m.is_direct(p.layer)
        needed = (p.layer - (m.coding == "direct")) * m.steps + p.step
        while not direct and lists_done.get(clock, needed + 1) <= needed:
            clock += 1
        if direct and number == 0:
            clock += 1
        else:
            events += events_of(m, p, clock)
            clock += max(p.count, 1) + 1
        if p.job:
            clock = max(clock, free)
            transfers.append((clock, p.job))
            free = clock + m.rotation * (m.steps if p.job["replay"] else 1)
        clock += 1
    return events, transfers
