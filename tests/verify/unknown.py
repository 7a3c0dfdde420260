"""A core's Verilog whose memories promise nothing: what nobody wrote is unknown, and so is what is
read in the clock that writes it."""

import re

RAM = re.compile(
    r"  initial begin\n(?:    \S+\[\d+\] = \S+;\n)+  end\n"
    r"(  always @\(posedge \w+\) begin\n    if \((?P<en>.+)\)\n"
    r"      (?P<name>\S+)\[(?P<to>.+)\] <= .+;\n  end\n"
    r"  reg \[(?P<top>\d+):0\] (?P<read>\S+);\n"
    r"  always @\(posedge \w+\) begin\n(?:    if .+\n)? +(?P=read) <= )(?P=name)\[(?P<of>.+)\];\n")


def unknown(verilog):
    """*verilog*, its written memories powering up as X, and read as X where they collide."""
    return RAM.sub(_pessimistic, verilog)


def _pessimistic(found):
    width = int(found["top"]) + 1
    return (f"{found[1]}({found['en']}) && ({found['to']}) == ({found['of']}) ? "
            f"{{{width}{{1'bx}}}} : {found['name']}[{found['of']}];\n")
