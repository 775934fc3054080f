"""`kingmaker down`: end the laptop cluster."""

import argparse
import sys

from kingmaker_laptop.down import down
from kingmaker_laptop.verbs.flags import Subparsers, add_home, add_verb, home_of

_EPILOG = """\
It ends the operator, the node with its pods, and the control plane: exactly the processes that `kingmaker up` started,
and it returns when they are gone. Objects stay in DIR; `kingmaker up` goes on with them. To be rid of them, delete DIR.

exit codes: 0 nothing of it is running; 1 it failed; 2 wrong usage
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "down", summary="end the cluster, keep its objects", epilog=_EPILOG)
    add_home(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """End the cluster; see the verb's help."""
    home = home_of(options)
    sys.stderr.write(f"kingmaker: {'ended' if down(home) else 'nothing is running in'} {home.folder}\n")
    return 0
