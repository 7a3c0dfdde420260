"""Networks and their training as TOML files: the fields of the two configs, nothing else.

::

    [network]
    name = "mine"
    layers = "784-128-10"

    [training]
    data = "mnist"
    epochs = 20
"""

import difflib
import json
import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from qsnn_compile.system.files import read_bytes
from qsnn_models.errors import ModelsError
from qsnn_models.network.qsnn import NetworkConfig

from .recipes import Recipe
from .train_config import TrainConfig

LARGEST = 1 << 20               # bytes of a file
TABLES = {"network": NetworkConfig, "training": TrainConfig}
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
NAMES = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
T = TypeVar("T")


def read(path: Path) -> Recipe:
    """The recipe in file *path*. Raises ModelsError naming file, table and key."""
    return recipe_of(parse(path), str(path))


def parse(path: Path) -> dict[str, Any]:
    """The content of TOML file *path*."""
    try:
        return _toml(read_bytes(path, most=LARGEST).decode())
    except ValueError as error:             # TOMLDecodeError and UnicodeDecodeError are some
        raise ModelsError(f"{path} must be a TOML file: {error}") from None
    except OSError as error:
        raise ModelsError(f"{path} must be a file that can be read: {error.strerror}") from None


def _toml(text: str) -> dict[str, Any]:
    """What *text* holds. Raises ValueError where it is no TOML, or nests too deep to be read."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def recipe_of(content: Mapping[str, Any], where: str) -> Recipe:
    """The recipe of a file's *content*; *where* begins every message."""
    _known(content, TABLES, f"{where}: it", "table")
    for table in TABLES:
        if not isinstance(content.get(table), Mapping):
            raise ModelsError(f"{where}: it must have a table [{table}]")
    network = build(NetworkConfig, content["network"], f"{where}: [network]")
    if not FILE_NAME.fullmatch(network.name):
        raise ModelsError(f"{where}: [network] name must be letters, digits, '_', '-' and '.', "
                          f"as files are named after it, not {network.name!r}")
    return Recipe(network, build(TrainConfig, content["training"], f"{where}: [training]"))


def override(recipe: Recipe, settings: Sequence[str], where: str = "--set") -> Recipe:
    """*recipe* with each of *settings*, ``TABLE.KEY=VALUE``, put in; VALUE as in TOML, and text
    needs no quotes."""
    if not settings:
        return recipe
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ModelsError(f"{where} must be TABLE.KEY=VALUE, for example training.epochs=3, "
                              f"not {setting!r}")
        values[key.strip()] = _value(text.strip())
    return with_values(recipe, values, where)


def with_values(recipe: Recipe, values: Mapping[str, Any], where: str) -> Recipe:
    """*recipe* with dotted fields (``training.epochs``) set to *values*."""
    content = content_of(recipe)
    for dotted, value in values.items():
        table, _, key = dotted.partition(".")
        if table not in TABLES or not key:
            raise ModelsError(f"{where}: {dotted!r} must be network.KEY or training.KEY")
        content[table][key] = value
    return recipe_of(content, where)


def content_of(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What a file of *recipe* holds: its two tables, without what is None."""
    tables = {"network": asdict(recipe.network), "training": asdict(recipe.config)}
    return {name: {key: value for key, value in table.items() if value is not None}
            for name, table in tables.items()}


def text_of(recipe: Recipe) -> str:
    """*recipe* as the text of a configuration file."""
    tables = [f"[{table}]\n" + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
                                       for key, value in values.items())
              for table, values in content_of(recipe).items()]
    return "\n".join(tables)


def build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """The dataclass *kind* from *table*, each value of its field's type. *where* begins every
    message: an unknown key, a missing one, a wrong type, or what *kind* itself refuses."""
    hints = get_type_hints(kind)
    _known(table, hints, where, "key")
    for field in fields(kind):      # type: ignore[arg-type]
        if field.name not in table and field.default is MISSING:
            raise ModelsError(f"{where} must have the key {field.name!r}")
    try:
        return kind(**{key: _typed(value, hints[key], key) for key, value in table.items()})
    except ModelsError as error:
        raise ModelsError(f"{where} {error}") from None


def _known(given: Mapping[str, Any], known: Mapping[str, Any], where: str, what: str) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
            raise ModelsError(f"{where} has no {what} {key!r}; {hint}")


def _value(text: str) -> Any:
    try:
        return _toml(f"x = {text}")["x"]
    except ValueError:
        return text


def _typed(value: Any, hint: Any, key: str) -> Any:
    for choice in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        typed = _as(value, choice)
        if typed is not None:
            return typed
    raise ModelsError(f"{key} must be {_described(hint)}, not {value!r}")


def _as(value: Any, hint: Any) -> Any:
    """*value* as type *hint*: lists become tuples, integers numbers. None where it is another."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if not isinstance(value, list | tuple) or (inner[-1] is not ... and
                                                   len(inner) != len(value)):
            return None
        items = tuple(_as(item, inner[0]) for item in value)
        return None if None in items else items
    if get_origin(hint) is Literal:
        return value if type(value) is str else None    # which one, the config itself says
    if hint is float and type(value) is int:
        return float(value)
    return value if type(value) is hint else None


def _described(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_described(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        count = "a list" if inner[-1] is ... else f"a list of {len(inner)}"
        return f"{count} ({NAMES.get(inner[0], 'values')} each)"
    return "a string" if get_origin(hint) is Literal else NAMES.get(hint, str(hint))
