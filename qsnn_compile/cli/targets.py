"""qsnn targets: what --target takes."""

from dataclasses import asdict
from types import SimpleNamespace

from qsnn_compile.chips.targets import BOARDS, DEVICES, FAMILIES

from . import options
from .frame import command
from .output import check_json, write_json


@command("targets")
@options.json
def targets(given: SimpleNamespace) -> int:
    """List what --target takes: families, devices and boards."""
    check_json(given.json)
    if given.json:
        write_json({"families": {family.name: family.board for family in FAMILIES},
                    "devices": [asdict(device) for device in DEVICES],
                    "boards": [asdict(board) for board in BOARDS]}, given.json)
    if given.json != "-":
        _print()
    return 0


def _print() -> None:
    from rich.console import Console
    from rich.table import Table
    table = Table("target", "what it is", "logic cells", "block RAM", "SPRAM", "multipliers")
    for family in FAMILIES:
        table.add_row(family.name, f"family; stands for {family.board}")
    for device in DEVICES:
        table.add_row(device.name, device.description, f"{device.lc:,}", str(device.ebr),
                      str(device.spram), str(device.dsp))
    for entry in BOARDS:
        table.add_row(entry.name, f"{entry.description}: {entry.device}, core at "
                      f"{entry.clock_mhz:g} MHz until placed")
    Console().print(table)
