"""A core's Verilog whose memories promise nothing: what nobody wrote is unknown, and so is what is
read in the clock that writes it."""

import re
from dataclasses import dataclass

RAM = re.compile(
    r"  initial begin\n(?:    \S+\[\d+\] = \S+;\n)+  end\n"
    r"(  always @\(posedge \w+\) begin\n    if \((?P<en>.+)\)\n"
    r"      (?P<name>\S+)\[(?P<to>.+)\] <= .+;\n  end\n"
    r"  reg \[(?P<top>\d+):0\] (?P<read>\S+);\n"
    r"  always @\(posedge \w+\) begin\n(?:    if .+\n)? +(?P=read) <= )(?P=name)\[(?P<of>.+)\];\n")
MODULE = re.compile(r"^module \\(\w+\.U\$(?P<core>\d+)\.(?P<path>\S+)) .*?^endmodule", re.M | re.S)
DECLARED = re.compile(r"^  reg \[(\d+):0\] (\S+) \[(\d+):0\];", re.M)
SINGLE_PORT = re.compile(r"^  qsnn_spram #\(\n    \.DEPTH\(32'd(\d+)\),\n.*?\n  \) (\w+) \(",
                         re.M | re.S)
WORD = 16                       # bits of a single-port RAM's word


@dataclass(frozen=True)
class Stored:
    """A memory that some Verilog declares. ``kind``: it is only read; written, and made unknown by
    `unknown`; of a single port, and unknown by itself; or "known" in spite of being written."""

    width: int
    depth: int
    kind: str


def unknown(verilog):
    """*verilog*, its written memories powering up as X, and read as X where they collide."""
    return RAM.sub(_pessimistic, verilog)


def _pessimistic(memory):
    width = int(memory["top"]) + 1
    return (f"{memory[1]}({memory['en']}) && ({memory['to']}) == ({memory['of']}) ? "
            f"{{{width}{{1'bx}}}} : {memory['name']}[{memory['of']}];\n")


def memories_of(verilog, core):
    """Every memory of core number *core* of `cores.joined`, by its path: what the inventory calls
    it."""
    return {name: memory for module in MODULE.finditer(verilog) if int(module["core"]) == core
            for name, memory in _declared(module[0], module["path"])}


def _declared(text, path):
    path = re.sub(r"\$\d+$", "", path).replace(".work.", ".")
    hidden = {memory["name"] for memory in RAM.finditer(text)}
    for top, name, last in DECLARED.findall(text):
        written = re.search(rf"^ +{re.escape(name)}\[.+\] <= ", text, re.M)
        kind = "unknown" if name in hidden else "known" if written else "read-only"
        own = "" if name in ("memory", "ram") else f".{name}"       # named by the block around it
        yield f"{path}{own}", Stored(int(top) + 1, int(last) + 1, kind)
    for depth, name in SINGLE_PORT.findall(text):
        yield f"{path}.{name}", Stored(WORD, int(depth), "single port")
