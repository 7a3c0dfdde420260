"""docs/commands.md, from the commands themselves: ``python -m qsnn_compile.cli.pages``."""

from collections.abc import Iterator

import click

from .frame import WIDTH
from .qsnn import COMMANDS, qsnn
from .qsnnc import qsnnc

HEAD = """# Commands
`python -m qsnn_compile.cli.pages > docs/commands.md` writes this page from the commands' own help.

- Exit codes: 0 done, 1 a comparison failed, 2 bad input, 3 does not fit the target;
  128 + its number where a signal ends a command.
- An error is one line on standard error. Options are never abbreviated: a prefix is an error
  that says what was meant.
- `--json FILE` writes one JSON object; `-` is standard output, and the text for people is left out.
- Progress is shown on standard error: bars on a terminal, elsewhere a line a stage.
- Completion: `eval "$(_QSNN_COMPLETE=bash_source qsnn)"`, and `_QSNNC_COMPLETE` for `qsnnc`;
  `zsh_source` and `fish_source` are there too.
"""


def page() -> str:
    """The whole page, in Markdown."""
    return HEAD + "".join(f"\n## {name}\n```text\n{text}\n```\n" for name, text in _helps())


def _helps() -> Iterator[tuple[str, str]]:
    yield "qsnnc", _help(qsnnc, None)
    with qsnn.make_context("qsnn", [], resilient_parsing=True) as above:
        yield "qsnn", _help(qsnn, None)
        for name in COMMANDS:
            command = qsnn.get_command(above, name)
            assert command is not None
            yield f"qsnn {name}", _help(command, above)


def _help(command: click.Command, above: click.Context | None) -> str:
    with command.make_context(command.name, [], above, resilient_parsing=True,
                              terminal_width=WIDTH) as context:
        return command.get_help(context)


if __name__ == "__main__":
    print(page(), end="")
