"""`kingmaker kubectl`: the cluster's own kubectl, as its administrator."""

import argparse
import os
import sys
from typing import NoReturn

from kingmaker_laptop.binary import ensure_binary
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.verbs.flags import Subparsers, add_home, add_verb, home_of

_EPILOG = """\
  kingmaker kubectl -- get models,modeldeployments -A
  kingmaker kubectl -- logs deployment/churn-1

exit code: kubectl's own; 1 when the cluster was never started
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "kubectl", summary="run kubectl against the cluster", epilog=_EPILOG)
    add_home(parser)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGS", help="kubectl's arguments")
    return parser


def run(options: argparse.Namespace) -> NoReturn:
    """Become kubectl."""
    home = home_of(options)
    if not home.kubeconfig.exists():
        raise LocalError(f"{home.folder} has no cluster; start one with: kingmaker up --dir {home.folder}")
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    sys.stdout.flush()
    environment = {**os.environ, "KUBECONFIG": str(home.kubeconfig)}
    os.execve(ensure_binary(), ["kubectl", *arguments], environment)  # noqa: S606  # a shell would need quoting
