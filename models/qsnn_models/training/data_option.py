"""What ``--data`` means for a recipe, and the file that ``--init`` writes for it."""

from pathlib import Path

from qsnn_models import data
from qsnn_models.errors import DataError, ModelsError
from qsnn_models.files import whole

from .recipes import Recipe
from .starter import starter


def data_of(recipe: Recipe, given: Path | None) -> tuple[str, Path | None]:
    """The data of *recipe* with ``--data`` *given*, and the folder to look in, None for the usual
    ones. A file is the data; a folder is where the recipe's data are, or, if these are one's own
    and not in it, the data themselves. Options behind the recipe's own path stay, unless there are
    some behind *given*. Raises DataError where nothing is there."""
    name = recipe.config.data
    base, question, query = name.partition("?")
    if given is None or (given.is_dir() and (data.is_listed(name) or (given / base).exists())):
        return name, given
    path, told, _ = str(given).partition("?")
    if not Path(path).exists():
        raise DataError(f"--data must be a file or a folder that is there, not {path!r}")
    if told or data.is_listed(name):
        return str(given), None
    return f"{path}{question}{query}", None


def write_starter(file: Path, given: str) -> str:
    """Write a configuration file to begin from (`starter`) for the data *given*, a path or a name
    of the catalogue; what to say of it. Raises ModelsError where *file* is there already."""
    if file.suffix != ".toml":
        raise ModelsError(f"--init must name a file FILE.toml, not {str(file)!r}")
    if file.exists():
        raise ModelsError(f"--init must name a new file, not {str(file)!r}, which is there; choose "
                          "another name, or delete it")
    text = starter(file.stem, given, data.load(given))
    with whole(file) as part:
        part.write_text(text, encoding="utf-8")
    return f"wrote {file}; train it with: qsnn train {file}"
