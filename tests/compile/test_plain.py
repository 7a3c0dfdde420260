"""What a terminal is shown of names from a file: no control characters, no markup, no end."""

import io

from rich.console import Console
from rich.table import Table

from qsnn_compile.system.text import LINE, LONGEST, line, marked, plain


def test_what_is_not_printable_is_escaped() -> None:
    assert plain("a\nb\x1b[31m\x00\u202e\udc80") == r"a\nb\x1b[31m\x00\u202e\udc80"
    assert plain("Größe 名 [x]") == "Größe 名 [x]"


def test_the_middle_of_a_long_name_is_left_out() -> None:
    name = "start" + "a" * 100_000 + "end"
    assert len(plain(name)) <= LONGEST and plain(name).startswith("start")
    assert plain(name).endswith("end")
    message = line(f"node {name!r}: must be one, not {name!r}; export it again")
    assert message.startswith("node 'start") and message.endswith("; export it again")
    assert len(message) < 400 and len(line("two words " * 10_000)) <= LINE


def test_a_name_is_no_markup() -> None:
    for name in ("[/]", "[bold]x", "[/bold", "a\\", "[link=x]y[/link]"):
        out = io.StringIO()
        console = Console(file=out, width=80)
        table = Table(marked(name), title=marked(name))
        table.add_row(marked(name))
        console.print(table)
        console.print(marked(name))
        assert out.getvalue().count(name) == 4
