import random

import benches
import pytest
from amaranth.sim import Simulator

from qsnn_hw.link import frames
from qsnn_hw.link.uart_link import Framer, UartRx, UartTx, uart_divisor
from qsnn_hw.machine.parameters import Arithmetic

END = frames.END


def machine(**changes):
    return benches.machine(**{"input_bits": 8, "digest": "0123456789abcdef",
                              "arithmetic": Arithmetic(score_bits=3)} | changes)


def simulate(dut, *benches, limit=200_000):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for bench in benches:
        sim.add_testbench(bench)
    sim.run_until(limit * 1e-6)


def line_levels(byte, bit_clocks):
    """The naive transmitter: every clock's level of a byte, at any bit time."""
    bits = [0, *(byte >> i & 1 for i in range(8)), 1]
    return [bits[int(clock / bit_clocks)] for clock in range(round(10 * bit_clocks))]


def read_line(levels, divisor):
    """The naive receiver: bytes in a recorded line."""
    out, at = [], 0
    while 0 in levels[at:]:
        at = levels.index(0, at) + divisor // 2
        bits = [levels[at + divisor * i] for i in range(10)]
        assert bits[0] == 0 and bits[9] == 1
        out.append(sum(bit << i for i, bit in enumerate(bits[1:9])))
        at += 9 * divisor
    return out


async def stream_get(ctx, stream):
    ctx.set(stream.ready, 1)
    payload, = await ctx.tick().sample(stream.payload).until(stream.valid)
    ctx.set(stream.ready, 0)
    return payload


async def stream_put(ctx, stream, payload):
    ctx.set(stream.valid, 1)
    ctx.set(stream.payload, payload)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


# -- uart -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("divisor", [4, 5, 8, 33])
@pytest.mark.parametrize("skew", [0.975, 1.0, 1.025])
def test_rx_receives_every_byte(divisor, skew):
    dut = UartRx(divisor=divisor)
    text = [0, 255, 0x55, 0xaa, *random.Random(1).randbytes(20 if divisor < 33 else 4)]
    levels = [level for byte in text for level in line_levels(byte, divisor * skew)]
    got = []

    async def send(ctx):
        for level in levels:
            ctx.set(dut.rx, level)
            await ctx.tick()

    async def receive(ctx):
        while len(got) < len(text):
            got.append(await stream_get(ctx, dut.bytes))

    simulate(dut, send, receive, limit=len(levels) + 2 * divisor)
    assert got == text


def test_rx_ignores_a_glitch_and_reports_a_break():
    dut = UartRx(divisor=8)
    seen = []
    levels = [1] * 9 + [0] * 2 + [1] * 100 + [0] * 81 + [1] * 100

    async def send(ctx):
        for level in levels:
            ctx.set(dut.rx, level)
            await ctx.tick()
            seen.append((ctx.get(dut.bytes.valid), ctx.get(dut.broken)))

    simulate(dut, send, limit=len(levels))
    assert not any(valid for valid, _ in seen[:200])
    assert sum(broken for _, broken in seen) == 1


@pytest.mark.parametrize("length", range(77, 330, 11))
def test_a_break_of_any_length_is_no_byte(length):
    dut, seen = UartRx(divisor=8), []
    levels = [1] * 9 + [0] * length + [1] * 100 + line_levels(0x5a, 8) + [1] * 9

    async def send(ctx):
        for level in levels:
            ctx.set(dut.rx, level)
            await ctx.tick()
            seen.append((ctx.get(dut.bytes.valid), ctx.get(dut.broken)))

    simulate(dut, send, limit=len(levels))
    assert sum(broken for _, broken in seen) == 1
    assert not any(valid for valid, _ in seen[:109 + length]) and seen[-1][0]


def test_rx_keeps_the_byte_that_was_not_taken():
    dut = UartRx(divisor=4)

    async def bench(ctx):
        for level in [lv for byte in (1, 2, 3) for lv in line_levels(byte, 4)] + [1] * 8:
            ctx.set(dut.rx, level)
            await ctx.tick()
        assert await stream_get(ctx, dut.bytes) == 1
        await ctx.tick()
        assert not ctx.get(dut.bytes.valid)

    simulate(dut, bench, limit=500)


@pytest.mark.parametrize("divisor", [1, 2, 3, 8])
def test_tx_sends_what_the_naive_receiver_reads(divisor):
    dut = UartTx(divisor=divisor)
    text = [0, 255, 0x55, *random.Random(2).randbytes(10)]
    levels = []

    async def send(ctx):
        for byte in text:
            await stream_put(ctx, dut.bytes, byte)

    async def listen(ctx):
        while True:
            await ctx.tick()
            levels.append(ctx.get(dut.tx))

    simulate(dut, send, listen, limit=len(text) * (10 * divisor + 2) + 20)
    assert read_line(levels, divisor) == text


@pytest.mark.parametrize("clock,baud,divisor", [
    (30e6, 1_000_000, 30), (32.25e6, 1_000_000, 32), (24e6, 3_000_000, 8), (30e6, 115_200, 260)])
def test_divisor(clock, baud, divisor):
    assert uart_divisor(clock, baud) == divisor


@pytest.mark.parametrize("baud", [12_000_000, 4_100_000])
def test_divisor_refuses_a_rate_it_cannot_make(baud):
    with pytest.raises(ValueError, match=r"Baud rate must be a divisor of 30000000 Hz by 4 or "
                                         rf"more, within 2.5 %, not {baud}"):
        uart_divisor(30e6, baud)


@pytest.mark.parametrize("block,divisor,message", [
    (UartRx, 3, "Divisor must be an integer of at least 4, not 3"),
    (UartTx, 0, "Divisor must be a positive integer, not 0")])
def test_uart_refuses_a_divisor(block, divisor, message):
    with pytest.raises(ValueError, match=message):
        block(divisor=divisor)


# -- framer ---------------------------------------------------------------------------------------

async def accept(ctx, beats, count, busy):
    got = []
    for _ in range(count):
        await ctx.tick().repeat(busy.randrange(4) + 1)
        got.append(await stream_get(ctx, beats))
    return got


async def say(ctx, dut, text):
    for byte in text:
        await stream_put(ctx, dut.received, byte)


async def hear(ctx, dut, count):
    return bytes([await stream_get(ctx, dut.replies) for _ in range(count)])


@pytest.mark.parametrize("coding,kind,input_bits,inputs,sent", [
    ("direct", "list", 8, [1, 2, 255], b"\x01\x02\xff"),
    ("direct", "values", 4, [1, 2, 15], b"\x01\x02\xff"),
    ("spikes", "values", 3, [1, 2, 7, 0, 4, 5], b"\x01\x02\x07\x08\x04\xfd"),
    ("spikes", "spikes", 1, [0x0105, 0x8002], b"\x05\x01\x02\x80")])
@pytest.mark.parametrize("banks", [1, 2])
def test_frames_become_beats(coding, kind, input_bits, inputs, sent, banks):
    shape = machine(layers=(benches.dense("hidden", 3, 16, kind=kind, banks=banks),
                            benches.dense("out", 16, 3, source=0, banks=banks)),
                    coding=coding, input_bits=input_bits, banks=banks)
    dut = Framer(shape)
    weights = random.Random(3).randbytes(frames.weight_bytes(shape))
    beats = [int.from_bytes(weights[i:i + 2], "little") for i in range(0, len(weights), 2)]
    seen = {}

    async def host(ctx):
        await say(ctx, dut, b"W" + weights + END + b"X" + sent + END + b"X" + sent + END)

    async def core(ctx):
        seen["weights"] = await accept(ctx, dut.weights, len(beats), random.Random(4))
        seen["inputs"] = await accept(ctx, dut.inputs, 2 * len(inputs), random.Random(5))

    simulate(dut, host, core, limit=2_000)
    assert seen == {"weights": beats, "inputs": inputs * 2}


@pytest.mark.parametrize("classes,index,score,reply", [
    (3, 2, 3, b"\x02\x03\0\0\0\xa5\x5a"), (3, 0, -4, b"\0\xfc\xff\xff\xff\xa5\x5a"),
    (300, 299, 1, b"\x2b\x01\x01\0\0\0\xa5\x5a")])
def test_result_becomes_a_reply(classes, index, score, reply):
    dut = Framer(machine(layers=(benches.dense("out", 3, classes, kind="list"),)))
    seen = {}

    async def inputs(ctx):
        ctx.set(dut.inputs.ready, 1)
        await say(ctx, dut, b"X\1\2\3" + END)

    async def core(ctx):
        await stream_put(ctx, dut.result, {"index": index, "score": score})
        seen["taken after"] = len(seen.get("bytes", b""))

    async def host(ctx):
        seen["bytes"] = await hear(ctx, dut, len(reply))
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.replies.valid)

    simulate(dut, core, inputs, host, limit=200)
    assert seen["bytes"] == reply


@pytest.mark.parametrize("settled", [0, 1])
def test_a_reply_says_whether_it_is_settled(settled):
    dut = Framer(machine(order="step", exit_margin=2))
    seen = {}

    async def core(ctx):
        await stream_put(ctx, dut.result, {"index": 1, "score": 3, "settled": settled})

    async def host(ctx):
        ctx.set(dut.inputs.ready, 1)
        await say(ctx, dut, b"X\1\2\3" + END)
        seen["bytes"] = await hear(ctx, dut, 8)

    simulate(dut, core, host, limit=200)
    assert seen["bytes"] == bytes([1, 3, 0, 0, 0, settled]) + END
    assert frames.result_bytes(dut.machine) == 6


def test_restart_comes_before_the_beats_behind_it():
    streams = machine(streaming=True, order="step")
    dut, seen = Framer(streams), []

    async def host(ctx):
        await say(ctx, dut, b"".join(part + END for part in (b"R", b"X\1\2\3") * 2))

    async def core(ctx):
        ctx.set(dut.inputs.ready, 1)
        while len(seen) < 8:
            *_, restart, valid, payload = await ctx.tick().sample(
                dut.restart, dut.inputs.valid, dut.inputs.payload)
            seen.extend(["R"] * restart + [payload] * valid)

    simulate(dut, host, core, limit=200)
    assert seen == ["R", 1, 2, 3] * 2


def test_each_answer_comes_once_its_frame_is_whole():
    dut = Framer(machine())
    seen = {}

    async def core(ctx):
        await ctx.tick()
        await stream_put(ctx, dut.result, {"index": 1, "score": 1})

    async def host(ctx):
        ctx.set(dut.inputs.ready, 1)
        await say(ctx, dut, b"X\1\2\3" + END[:1])
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.replies.valid)       # the result waits for the frame's end
        await say(ctx, dut, END[1:] + b"I" + END)
        seen["bytes"] = await hear(ctx, dut, 14)

    simulate(dut, core, host, limit=200)
    answers = b"\x01\x01\0\0\0" + END, b"\x02\x01\x23\x45\x67" + END
    assert seen["bytes"] == b"".join(answers)


def naive_framer(shape, text):
    """Beats, restarts and how many results go to the core and back; identifications."""
    sizes = {b"I": 0, b"X": 3, b"W": frames.weight_bytes(shape),
             **({b"R": 0} if shape.parameters.streaming else {})}
    seen = {"weights": [], "inputs": [], "restarts": 0, "results": 0, "identified": 0}
    while text[:1] in sizes:
        size = 1 + sizes[text[:1]]
        command, data, end, text = text[:1], text[1:size], text[size:size + 2], text[size + 2:]
        if command == b"W":
            seen["weights"] += [int.from_bytes(data[i:i + 2], "little")
                                for i in range(0, len(data) - 1, 2)]
        elif command == b"X":
            seen["inputs"] += data
        if end != END:
            break
        seen["restarts"] += command == b"R"
        seen["results"] += command == b"X"
        seen["identified"] += command == b"I"
    return seen


def bent(rng, shape):
    """A session with up to two faults."""
    def data(size):
        return bytes(rng.choice(b"WXRI\xa5\x5a" + rng.randbytes(6)) for _ in range(size))
    parts = [b"W" + data(frames.weight_bytes(shape)), b"I", *[b"R"] * shape.parameters.streaming,
             b"X" + data(3), b"X" + data(3), b"I"]
    text = b"".join(part + END for part in parts)
    for _ in range(rng.randrange(3)):
        starts = [i for i in range(len(text)) if text[:i].endswith(END)]
        at = rng.choice([rng.randrange(len(text)), *starts[:-1]])
        changed = rng.choice([b"", text[at:at + 1] * 2, data(1), data(1) + text[at:at + 1],
                              END[1:] + text[at:at + 1]])
        text = text[:at] + changed + text[at + 1:]
    return text


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_a_frame_of_another_length_is_the_last(streaming, seed):
    """Whatever comes: what the naive framer says goes to the core, and back."""
    shape = machine(streaming=streaming, order="step" if streaming else "layer")
    text, dut = bent(random.Random(f"{streaming} {seed}"), shape), Framer(shape)
    got = {"weights": [], "inputs": [], "restarts": 0}
    replies = bytearray()

    async def host(ctx):
        await say(ctx, dut, text)

    async def core(ctx):
        for stream in (dut.weights, dut.inputs):
            ctx.set(stream.ready, 1)
        ctx.set(dut.result.valid, 1)                # one after the other, much too early
        ctx.set(dut.replies.ready, 1)
        while True:
            *_, weights, weight, inputs, pixel, restart, replied, reply = await ctx.tick().sample(
                dut.weights.valid, dut.weights.payload, dut.inputs.valid, dut.inputs.payload,
                dut.restart if streaming else dut.inputs.valid & 0, dut.replies.valid,
                dut.replies.payload)
            got["weights"] += [weight] * weights
            got["inputs"] += [pixel] * inputs
            got["restarts"] += restart
            replies.extend([reply] * replied)

    simulate(dut, host, core, limit=len(text) + 60)
    wanted = naive_framer(shape, text)
    identified = frames.identification(shape) + END
    assert replies.count(identified) == wanted.pop("identified")
    assert bytes(replies).replace(identified, b"") == wanted.pop("results") * (bytes(5) + END)
    assert got == wanted


def test_framer_refuses_a_wide_score():
    with pytest.raises(ValueError, match="Score must have at most 32 bits .* not 33"):
        Framer(machine(arithmetic=Arithmetic(score_bits=33)))
