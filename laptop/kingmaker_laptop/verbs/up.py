"""`kingmaker up`: start the laptop cluster."""

import argparse
import logging
import sys

from kingmaker_laptop.binary import ensure_binary
from kingmaker_laptop.bringup import PARTS
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.supervised import LONGEST_PAUSE
from kingmaker_laptop.supervisor import Options
from kingmaker_laptop.up import stay_up, up
from kingmaker_laptop.verbs.flags import Subparsers, add_home, add_verb, home_of

_EPILOG = """\
It starts a real Kubernetes control plane (etcd, API server, controllers, scheduler), a node that runs pods as
processes, and the operator with the rights that the chart gives it: no Docker, no root. It returns when all is ready;
the last line on stdout is the path of the kubeconfig. Said again, it goes on where it was, or says that it is running.

The first time, the control plane is built from source: about 5 minutes, 5 GB of free disk, kept in ~/.cache/kingmaker
(or XDG_CACHE_HOME). KINGMAKER_CONTROLPLANE=FILE takes a binary that was built elsewhere.

  kingmaker up
  export KUBECONFIG=$(kingmaker up | tail -1)
  kingmaker up --dir /tmp/second                    a second cluster beside the first

exit codes: 0 it is ready, or with --foreground it was ended; 1 it failed, nothing is left running; 2 wrong usage
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "up", summary="start a cluster on this machine", epilog=_EPILOG)
    add_home(parser)
    parser.add_argument("--foreground", action="store_true", help="stay, and end everything on Ctrl-C")
    parser.add_argument(
        "--operator-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="pass ARG to the operator, e.g. --operator-arg=--evaluation-interval=1; may be repeated",
    )
    parser.add_argument(
        "--without",
        type=_parts,
        default=frozenset(),
        metavar="PARTS",
        help=f"leave parts out, comma-separated: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--no-fsync", action="store_true", help="do not wait for the disk: faster, a power failure may lose objects"
    )
    parser.add_argument(
        "--deadline", type=float, default=120.0, metavar="SECONDS", help="for all to be ready (default: %(default)g)"
    )
    parser.add_argument(
        "--longest-pause",
        type=float,
        default=LONGEST_PAUSE,
        metavar="SECONDS",
        help="before a program that keeps ending is started again (default: %(default)g)",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Start the cluster; see the verb's help."""
    home = home_of(options)
    cluster = Options(
        home=home,
        binary=ensure_binary(),
        without=options.without,
        is_durable=not options.no_fsync,
        deadline_seconds=options.deadline,
        operator_arguments=tuple(options.operator_arg),
        longest_pause_seconds=options.longest_pause,
    )
    if options.foreground:
        logging.basicConfig(level=logging.WARNING, format="kingmaker: %(message)s")
        stay_up(cluster, report=_say, on_ready=lambda: _announce(str(home.kubeconfig)))
        return 0
    with Progress(sys.stderr, "kingmaker") as progress:
        started = up(cluster, report=lambda step: progress.show(f"waiting for {step}"))
        progress.finish(f"{'ready' if started else 'already running'} in {home.folder}")
    _announce(str(home.kubeconfig))
    return 0


def _parts(text: str) -> frozenset[str]:
    parts = frozenset(text.split(",")) - {""}
    if unknown := parts - set(PARTS):
        raise argparse.ArgumentTypeError(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    return parts


def _say(step: str) -> None:
    sys.stderr.write(f"kingmaker: waiting for {step}\n")


def _announce(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
