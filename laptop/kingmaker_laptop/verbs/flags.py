"""What the verbs share: how one is declared, and the flags they have in common."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kingmaker_laptop.home import Home, default_folder

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse gives it no public name
else:
    Subparsers = object


def add_verb(subparsers: Subparsers, name: str, *, summary: str, epilog: str = "") -> argparse.ArgumentParser:
    """Declare a verb; the epilog keeps its line breaks, so that it can show examples."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_home(parser: argparse.ArgumentParser) -> None:
    """Declare `--dir`."""
    parser.add_argument(
        "--dir",
        type=Path,
        default=default_folder(),
        metavar="DIR",
        help="where the cluster keeps everything (default: %(default)s)",
    )


def home_of(options: argparse.Namespace) -> Home:
    """Give the home that `--dir` names, as an absolute path: programs are started from other folders."""
    return Home(options.dir.expanduser().absolute())
