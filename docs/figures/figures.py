"""The figures of docs/machine.md and docs/architecture.md: ``python docs/figures/figures.py``.

Each is an SVG of boxes, arrows and bars beside this file, legible on light and on dark pages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="currentColor"'
SHADES = {"data": "#56B4E9", "work": "#E69F00", "memory": "#009E73", "wait": "#999999"}


@dataclass
class Drawing:
    """An SVG under way, ``width`` × ``height`` in pixels."""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, lines: str | Sequence[str],
            shade: str = "") -> None:
        """A rectangle with centred *lines* of text."""
        fill = f'fill="{SHADES[shade]}" fill-opacity="0.3"' if shade else 'fill="none"'
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4" '
                          f'{fill} stroke="currentColor"/>')
        rows = [lines] if isinstance(lines, str) else list(lines)
        top = y + height / 2 - 8 * (len(rows) - 1) + 4.5
        for number, row in enumerate(rows):
            self.text(x + width / 2, top + 16 * number, row, "middle")

    def text(self, x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> None:
        """A line of text."""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" '
                          f'font-size="{size}">{escape(text)}</text>')

    def arrow(self, *points: tuple[float, float], text: str = "") -> None:
        """A line through *points* with a head at its end, *text* above its first part."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="currentColor" '
                          'marker-end="url(#head)"/>')
        if text:
            (x0, y0), (x1, y1) = points[:2]
            self.text((x0 + x1) / 2, (y0 + y1) / 2 - 6, text, "middle", 11)

    def svg(self) -> str:
        """The file's text."""
        head = ('<style>svg{color:#222}@media(prefers-color-scheme:dark){svg{color:#ddd}}</style>'
                '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="3" '
                'orient="auto"><path d="M0,0 L7,3 L0,6 z" fill="currentColor"/></marker></defs>')
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" {FONT}>\n{head}\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def machine() -> Drawing:
    """The core's blocks, and what goes between them."""
    d = Drawing(860, 400)
    d.parts.append('<rect x="150" y="40" width="690" height="250" rx="8" fill="none" '
                   'stroke="currentColor" stroke-dasharray="5 4"/>')
    d.text(158, 32, "a bank: as many of them as the machine has, side by side")
    d.box(10, 70, 110, 56, ["inputs:", "list or values"], "memory")
    d.box(10, 330, 110, 50, ["spike memory", "a copy a bank"], "memory")
    d.box(180, 60, 110, 50, ["walker", "items, windows"], "work")
    d.box(350, 60, 110, 50, ["reader", "words → events"], "work")
    d.box(520, 60, 130, 50, ["weight memory", "a row of L bits"], "memory")
    d.box(350, 150, 300, 44, "L lanes: accumulators that a weight bit enables", "work")
    d.box(350, 224, 170, 44, "shadow: sums that rotate", "data")
    d.box(580, 224, 150, 44, ["NU neuron units"], "work")
    d.box(750, 150, 80, 62, ["state,", "parameters"], "memory")
    d.box(580, 330, 150, 50, ["readout", "scores, argmax"], "work")
    d.arrow((290, 85), (350, 85), text="request")
    d.arrow((460, 85), (520, 85), text="row")
    d.arrow((120, 98), (180, 98), text="ready")
    d.arrow((405, 110), (405, 150))
    d.text(400, 134, "x", "end", 11)
    d.arrow((585, 110), (585, 150))
    d.text(591, 134, "L bits", size=11)
    d.arrow((435, 194), (435, 224))
    d.text(441, 213, "transfer", size=11)
    d.arrow((520, 246), (580, 246), text="slots")
    d.arrow((750, 205), (725, 224))
    d.arrow((600, 268), (600, 300), (130, 300), (65, 300), (65, 330))
    d.text(330, 316, "words of 16 spikes", "middle", 11)
    d.arrow((655, 268), (655, 330))
    d.text(661, 304, "currents, spikes of classes", size=11)
    d.arrow((120, 355), (305, 355), (305, 126), (375, 126), (375, 110))
    d.text(130, 372, "a word a clock, where the walker points", size=11)
    return d


def spike() -> Drawing:
    """The way of one spike from a neuron of a layer to the membranes of the next one."""
    stages = (("neuron unit", "v ≥ θ"), ("word of 16", "gathered, written"),
              ("round", "all banks wrote"), ("walker", "asks for the word"),
              ("reader", "finds the spike"), ("weight row", "one for each plane"),
              ("lanes", "add x if bit is 1"), ("shadow", "after the last word"),
              ("neuron unit", "I, leak, v, u'"))
    d = Drawing(860, 190)
    for number, lines in enumerate(stages):
        row, column = divmod(number, 5)
        x, y = 10 + 170 * column, 20 + 90 * row
        shade = "memory" if number in (1, 2, 5) else "work" if number != 7 else "data"
        d.box(x, y, 140, 50, lines, shade)
        if column < 4 and number < len(stages) - 1:
            d.arrow((x + 140, y + 25), (x + 170, y + 25))
    d.arrow((760, 70), (760, 90), (80, 90), (80, 110))
    return d


def bars(d: Drawing, y: float, name: str, spans: Iterable[tuple[float, float, str, str]]) -> None:
    """A row of a time line: *spans* are (from, to, text, shade), in units of 10 pixels."""
    d.text(8, y + 18, name)
    for start, end, text, shade in spans:
        d.box(130 + 10 * start, y, 10 * (end - start), 26, text, shade)


def passes() -> Drawing:
    """Two passes of a bank: accumulation beside the rotation of the pass before."""
    d = Drawing(860, 190)
    bars(d, 20, "reader, lanes", [(21 * n, 21 * n + 20, f"events of group {n}", "work")
                                  for n in range(3)])
    bars(d, 60, "transfer", [(20, 21, "", "data"), (41, 42, "", "data"), (62, 63, "", "data")])
    bars(d, 100, "shadow, units", [(25, 38, "slots of group 0", "data"),
                                   (46, 59, "slots of group 1", "data")])
    bars(d, 140, "spike words", [(34, 43, "words, 0", "memory"),
                                 (55, 64, "words, 1", "memory")])
    d.arrow((130, 178), (850, 178))
    d.text(850, 172, "clocks", "end", 11)
    return d


def batching() -> Drawing:
    """One step a pass above, two steps a pass below."""
    d = Drawing(860, 200)
    bars(d, 20, "one step a pass", [(0, 16, "rows of step t", "work"),
                                    (17, 33, "rows of step t + 1", "work")])
    bars(d, 52, "", [(21, 31, "units: t", "data"), (38, 48, "units: t + 1", "data")])
    bars(d, 112, "two steps a pass", [(0, 20, "rows of both steps, once", "work")])
    bars(d, 144, "", [(25, 35, "units: t", "data"), (35, 45, "units: t + 1", "data")])
    d.text(130, 104, "x = s(t) + 2^b · s(t + 1): one row is read for both steps", size=11)
    d.arrow((130, 188), (850, 188))
    d.text(850, 182, "clocks", "end", 11)
    return d


def rooms() -> Drawing:
    """The way of a network through the rooms."""
    d = Drawing(900, 420)

    def room(x: float, y: float, name: str, what: str, shade: str = "work") -> None:
        d.box(x, y, 150, 50, [name, what], shade)
    room(10, 20, "models", "train, freeze, export", "data")
    room(10, 110, "compile/dialect", "our ONNX")
    room(190, 20, "compile/foreign", "other libraries")
    room(370, 20, "compile/reals", "normal form, floats")
    room(550, 20, "compile/quantise", "reals → integers")
    room(190, 110, "compile/ir", "fixed-point graph", "memory")
    room(370, 110, "compile/passes", "same spikes, smaller")
    room(550, 110, "compile/lower", "stages → machine")
    room(730, 110, "compile/search", "which machine", "work")
    room(730, 20, "compile/chips", "what fits, what it costs")
    room(550, 200, "program", "machine + memories", "memory")
    room(190, 290, "sim/golden", "the judge", "data")
    room(370, 290, "sim/cycle", "clocks", "data")
    room(550, 290, "hw/core, boards", "Verilog, bitstream", "data")
    room(730, 290, "runtime", "the board", "data")
    d.arrow((85, 70), (85, 110))
    d.arrow((160, 135), (190, 135))
    d.arrow((340, 45), (370, 45))
    d.arrow((520, 45), (550, 45))
    d.arrow((625, 70), (625, 90), (265, 90), (265, 110))
    d.arrow((340, 135), (370, 135))
    d.arrow((520, 135), (550, 135))
    d.arrow((700, 128), (730, 128))
    d.arrow((730, 146), (700, 146))
    d.arrow((805, 70), (805, 110))
    d.arrow((625, 160), (625, 200))
    d.arrow((265, 160), (265, 290))
    d.arrow((550, 225), (445, 225), (445, 290))
    d.arrow((625, 250), (625, 290))
    d.arrow((700, 225), (805, 225), (805, 290))
    d.box(190, 370, 690, 36,
          "sim/rtl, sim/measure: the same spikes, the same results, the same clocks", "wait")
    for x in (265, 445, 625, 805):
        d.arrow((x, 340), (x, 370))
    return d


FIGURES = {"machine": machine, "spike": spike, "passes": passes, "batching": batching,
           "rooms": rooms}


def main() -> None:
    """Write every figure beside this file."""
    for name, draw in FIGURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
