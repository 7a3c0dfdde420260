"""``qsnn train``: train a network, freeze it, write its ONNX file and its ledger."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import click

from . import options
from .frame import command, option, together
from .kinds import Whole

PATH = click.Path(readable=False, path_type=Path)
_sweep = partial(option, section="Sweeps")


@command("train")
@click.argument("name", required=False, metavar="[NAME]",
                help="A recipe of --list, or a file FILE.toml.")
@option("--list", is_flag=True, help="Print the recipes and end.")
@option("--set", multiple=True, metavar="TABLE.KEY=VALUE",
        help="Another value of a field, as network.membrane_bits=2; may be repeated.")
@together(*(option(f"--{name}", type=Whole(), metavar="N",
                   help=f"{text[:1].upper()}{text[1:]}; as --set training.{name}=N.")
            for name, text in options.TRAINING.items()))
@option("--data", type=PATH, metavar="PATH", help="Data of your own, a file or a folder; or the "
        "folder where the data set is.")
@option("--init", type=PATH, metavar="FILE.toml", help="Write a file to begin from, made for the "
        "data of --data (mnist), with what each field means, and end.")
@option("--out", type=PATH, default=Path("runs"), metavar="DIR",
        help="Where NAME.onnx, NAME.ledger.json and the checkpoint go.")
@option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@option("--folds", is_flag=True, help="Train once for every fold of the data (speaker, of "
        "spoken-digits), which is then for testing.")
@option("--details", is_flag=True, help="Print the confusion matrix and the worst classes too.")
@options.json
@option("--log", type=PATH, metavar="DIR", help="Write a log for TensorBoard there.")
@_sweep("--sweep", type=PATH, metavar="FILE.toml",
        help="Train variants: FILE has the fields that vary and their ranges.")
@_sweep("--trials", type=Whole(), metavar="N", help="How many. [default: 20]")
@_sweep("--storage", metavar="URL", help="Database that several machines share, as "
        "sqlite:///sweep.db or postgresql://…")
@_sweep("--study", metavar="NAME", help="Its name there. [default: the network's]")
def train(given: SimpleNamespace) -> int:
    """Train a network, freeze it, write its ONNX file and its ledger. NAME is a recipe (--list) or
    a TOML file with the tables [network] and [training]."""
    from .training import train_network
    return train_network(given)
