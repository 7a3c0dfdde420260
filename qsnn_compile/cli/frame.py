"""What every command is made of: a command, a group that imports a sub-command when it is asked
for, an option, and how a wrong command line is told."""

import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem, shell_complete

from qsnn_compile.system.errors import QsnnError

from . import errors

WIDTH = 100                     # columns of a help text at most
NEAR = 3                        # proposals at most
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH,
            "show_default": True, "allow_extra_args": True}
OTHERS = "Options"              # the section of an option that names none


class Option(click.Option):
    """An option, in a *section* of the help. What begins with a dash is no value of an option: two
    options, of which the first lacks its value, are an error, not a file of an odd name."""

    def __init__(self, *given: Any, section: str = OTHERS, **more: Any) -> None:
        super().__init__(*given, **more)
        self.section = section

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value, made what the option's type says. Raises BadParameter."""
        for text in value if isinstance(value, tuple | list) else [value]:
            if isinstance(text, str) and (text[:1] == "=" or _dashed(text)):
                raise click.BadParameter(
                    f"must be followed by {self.make_metavar(ctx)}, not {text!r}", ctx, self)
        return super().type_cast_value(ctx, value)


def _dashed(text: str) -> bool:
    return text.startswith("-") and text[1:2] not in ("", *"0123456789.")


class Command(click.Command):
    """A command whose function takes all values as one namespace and returns the exit code."""

    def __init__(self, name: str | None, **more: Any) -> None:
        super().__init__(name, context_settings=SETTINGS, **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read *args* into *ctx*. Raises UsageError, which knows *ctx*."""
        try:
            super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if ctx.args and not ctx.resilient_parsing:
            names = [_name(param) for param in self.params if isinstance(param, click.Argument)]
            raise click.UsageError(f"arguments must be {' '.join([*names, 'and options'])}, not "
                                   f"{ctx.args[0]!r} besides", ctx)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """The exit code of the command's function."""
        assert self.callback is not None
        return self.callback(SimpleNamespace(**ctx.params))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", OTHERS), []).append(record)
        for title in sorted(sections, key=lambda title: title != OTHERS):
            with formatter.section(title):
                formatter.write_dl(sections[title])


class Row(NamedTuple):
    """A sub-command: where it is, ``module:attribute``, and what it is for."""

    place: str
    text: str


class Group(click.Group):
    """Sub-commands by name. Its help and its completion read the table and import none of them."""

    def __init__(self, name: str, table: Mapping[str, Row], **more: Any) -> None:
        super().__init__(name, context_settings=SETTINGS, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The sub-command, imported now; None where there is none of that name."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.text) for name, row in self.table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, and the group's own options."""
        return [*(CompletionItem(name, help=row.text) for name, row in self.table.items()
                  if name.startswith(incomplete)),
                *click.Command.shell_complete(self, ctx, incomplete)]


command = partial(click.command, cls=Command)
option = partial(click.option, cls=Option)
Decorator = Callable[[Any], Any]


def start(command: click.Command, argv: Sequence[str]) -> int:
    """Run *command* with *argv*; its exit code, 2 with one line where the command line is wrong.
    In a shell's completion, print what may follow."""
    name = str(command.name)
    variable = f"_{name}_COMPLETE".upper()
    if variable in os.environ:
        return shell_complete(command, {}, name, variable, os.environ[variable])
    inner = isinstance(command, Group) and argv and argv[0] in command.table
    return errors.run(f"{name} {argv[0]}" if inner else name, partial(_work, command, argv))


def _work(command: click.Command, argv: Sequence[str]) -> int:
    try:
        with command.make_context(str(command.name), list(argv)) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as ended:          # --help, --version
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return QsnnError.exit_code
    except click.UsageError as error:
        raise QsnnError(told(error)) from None


def told(error: click.UsageError) -> str:
    """What is wrong with a command line, what was meant perhaps, and where more is said."""
    path = error.ctx.command_path if error.ctx else "qsnn"
    more = f"{path} --help lists the arguments"
    match error:
        case click.exceptions.NoSuchCommand(ctx=click.Context(command=Group() as group)):
            return (f"command must be one of {', '.join(group.table)}, not {error.command_name!r}; "
                    f"{meant(error.command_name, group.table)}{path} --help describes them")
        case click.NoSuchOption():
            known = [] if error.ctx is None else [
                name for param in error.ctx.command.get_params(error.ctx)
                if isinstance(param, click.Option) for name in param.opts]
            return (f"option must be one that {path} has, not {error.option_name!r}; "
                    f"{meant(error.option_name, known)}{more}")
        case click.MissingParameter(param=click.Parameter() as param, ctx=click.Context() as ctx):
            return f"{_named(param, ctx)} must be given; {more}"
        case click.BadOptionUsage(ctx=click.Context(command=made) as ctx):
            return f"{_usage(error, made, ctx)}; {more}"
        case click.BadParameter(param=click.Parameter() as param):
            end = " " if error.message.endswith("?") else "; "
            return f"{_name(param)} {error.message}{end}{more}"
    return f"{error.format_message().rstrip('.')}; {more}"


def _usage(error: click.BadOptionUsage, command: click.Command, ctx: click.Context) -> str:
    for param in command.get_params(ctx):
        if error.option_name in param.opts and isinstance(param, click.Option):
            return (f"{error.option_name} must be given without a value" if param.is_flag else
                    f"{error.option_name} must be followed by {param.make_metavar(ctx)}")
    return error.format_message().rstrip(".")


def meant(given: str, known: Iterable[str]) -> str:
    """``did you mean …? ``, or nothing where nothing is near."""
    names = list(known)
    near = ([name for name in names if name.startswith(given)] if given.strip("-") else []
            ) or get_close_matches(given, names, NEAR)
    return f"did you mean {' or '.join(near[:NEAR])}? " if near else ""


def _name(param: click.Parameter) -> str:
    """``-o/--output`` or ``BUILD``"""
    if isinstance(param, click.Option):
        return "/".join(param.opts)
    return str(param.name).upper()


def _named(param: click.Parameter, ctx: click.Context) -> str:
    """The same with what must follow it, ``--data NPZ``."""
    if isinstance(param, click.Option):
        return f"{_name(param)} {param.make_metavar(ctx)}"
    return _name(param)


def together(*options: Decorator) -> Decorator:
    """Several options as one, in this order."""
    def decorate(function: Any) -> Any:
        for one in reversed(options):
            function = one(function)
        return function
    return decorate
