"""`kingmaker demo`: watch a model being served, challenged, promoted, harmed, rolled back and retrained."""

import argparse
from pathlib import Path

from kingmaker_laptop.verbs.flags import Subparsers, add_verb

_EPILOG = """\
It starts a cluster of its own in a new folder, shows six things that happen to a model while a load generator never
stops, and ends everything it started. It takes less than 5 minutes after the one-time build of the control plane.

exit codes: 0 every step was reached and no request failed, with --keep after Ctrl-C; 1 not so, and stdout says what was
seen; 2 wrong usage; 130 interrupted, and no process is left
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "demo", summary="show the whole loop on this machine", epilog=_EPILOG)
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where its cluster lives (default: a new folder)")
    parser.add_argument("--keep", action="store_true", help="go on serving after the last step, until Ctrl-C")
    return parser


def run(options: argparse.Namespace) -> int:
    """Run the demo; see the verb's help."""
    # Imported here: the load generator is a module of this package too, and needs nothing of the scenario.
    from kingmaker_laptop.demo.scenario import main  # noqa: PLC0415

    return main(folder=options.dir.expanduser().absolute() if options.dir else None, keep=options.keep)
