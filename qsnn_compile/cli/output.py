"""``--json FILE`` of every command: tried before the work, written after it."""

import json
import sys
from typing import Any

from qsnn_compile.system.outputs import check_file, whole


def check_json(file: str | None) -> None:
    """Raise OutputError unless ``--json`` *file* can be written: before the work, not after it."""
    if file != "-":
        check_file("--json", file)


def write_json(data: Any, file: str) -> None:
    """*data* as JSON into *file*, ``-`` for standard output. Raises OutputError."""
    text = json.dumps(data, indent=1) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    with whole("--json", file) as path:
        path.write_text(text, encoding="utf-8")
