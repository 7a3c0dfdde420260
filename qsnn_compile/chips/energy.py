"""Energy of an inference on UP5K: a model with named constants, until a board says otherwise.

    E = P_static · t + clocks · (clock_pj + lc_pj · LC)

``docs/energy.md`` tells where the constants come from and what they can't tell.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Constants:
    """What a chip draws. ``lc_pj`` is per logic cell and clock, the memories' share included."""

    device: str
    static_mw: float
    clock_pj: float
    lc_pj: float
    lc_pj_range: tuple[float, float]
    factor: float               # the estimate may be this much too high or too low
    sources: tuple[str, ...]


UP5K = Constants(
    device="up5k", static_mw=0.10, clock_pj=53.0, lc_pj=0.095, lc_pj_range=(0.014, 0.198),
    factor=2.0,
    sources=(
        "static_mw, clock_pj, lc_pj_range: tinyVision.ai ice40_power, UP5K core rail at 1.219 V "
        "(halted 92 uA; clock network 43.5 uA/MHz; counters 14 fJ, 8x8 multiplier 198 fJ "
        "a cell and clock)",
        "lc_pj: SYNtzulu, 9.5 mW at 24 MHz for 3,473 logic cells with their memories",
    ))
DEVICES = {constants.device: constants for constants in (UP5K,)}


@dataclass(frozen=True)
class Energy:
    """Nanojoules, with the ends of the model's error."""

    total: float
    low: float
    high: float


def inference(constants: Constants, clocks: float, clock_mhz: float, lc: int) -> Energy:
    """The energy of *clocks* clocks at *clock_mhz* of a design of *lc* logic cells."""
    static = constants.static_mw * clocks / clock_mhz                   # mW · µs = nJ
    dynamic = clocks * (constants.clock_pj + constants.lc_pj * lc) / 1000
    total = static + dynamic
    return Energy(total, total / constants.factor, total * constants.factor)


def describe(constants: Constants, lc: int, placed: bool) -> dict[str, Any]:
    """The model's constants and sources, for a report; *placed*: nextpnr counted the *lc*."""
    return asdict(constants) | {
        "formula": "static_mw * t + clocks * (clock_pj + lc_pj * lc)",
        "lc": lc, "lc_from": "place and route" if placed else "resource model"}
