"""Boards in Python: the link's frames, byte by byte, and the golden model for the core."""

import numpy as np

from qsnn_hw.link import frames
from qsnn_runtime import protocol
from qsnn_runtime.devices.device import Device, DeviceError
from qsnn_sim.golden import golden


class FakeBoard(Device):
    """A board that holds *program*, whose golden model is *graph*. With other weights than the
    program's it answers readily, and wrong."""

    def __init__(self, program, graph):
        self.machine, self.image, self.graph = program.machine, program.image, graph
        self.received, self.replies, self.loaded = b"half a frame", b"left over", None

    def reset(self):
        self.received, self.replies, self.loaded = b"", b"", None

    def send(self, data):
        self.received += data
        while self.received and self._take():
            pass

    def receive(self, count):
        reply, self.replies = self.replies[:count], self.replies[count:]
        if len(reply) < count:
            raise DeviceError(f"{count} bytes must come, not {len(reply)}")
        return reply

    def pending(self):
        return len(self.replies)

    def close(self):
        self.machine = None

    def sizes(self):
        """Data bytes of each command."""
        return {frames.IDENTIFY: 0, frames.WEIGHTS: frames.weight_bytes(self.machine),
                frames.INPUT: frames.input_bytes(self.machine)}

    def _take(self):
        """Whether a whole frame was there; what is none is never taken."""
        size = self.sizes().get(self.received[0])
        if size is None or len(self.received) < 1 + size + 2:
            return False
        command, data, end = self.received[0], self.received[1:1 + size], self.received[1 + size:]
        if end[:2] != frames.END:
            return False
        self.received = end[2:]
        self.obey(command, data)
        return True

    def obey(self, command, data):
        """Answer a whole frame."""
        if command == frames.IDENTIFY:
            self.replies += protocol.identification(self.machine)
        elif command == frames.WEIGHTS:
            self.loaded = data == frames.bytes_of_weights(self.machine, self.image)
        elif command == frames.INPUT and self.loaded is not None:
            done = golden.run(self.graph, np.frombuffer(data, np.uint8)[None])
            index = (int(done.classes[0]) + (not self.loaded)) % self.machine.parameters.classes
            self.replies += protocol.result(self.machine, index, int(done.scores[0, index]))
