"""The command `kingmaker`: one module per verb, each with `add_parser(subparsers)` and `run(args) -> int`.

Verbs that read a cluster are modules of this package; those that only a laptop has come from `kingmaker_laptop`.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from kingmaker_laptop.errors import LocalError

VERBS: Final[Mapping[str, str]] = {
    "demo": "kingmaker_laptop.demo",
    "up": "kingmaker_laptop.verbs.up",
    "down": "kingmaker_laptop.verbs.down",
    "kubectl": "kingmaker_laptop.verbs.kubectl",
    "url": "kingmaker_laptop.verbs.url",
    "history": "kingmaker.cli.history",
    "explain": "kingmaker.cli.explain",
    "simulate": "kingmaker.cli.simulate",
}
"""The module of each verb, in the order of the help. A new verb is a new module and its line here."""

_EPILOG: Final = """\
start here:
  kingmaker up                                      a real Kubernetes control plane, a node and the operator
  kingmaker kubectl -- apply -f examples/quickstart
  kingmaker url NAME                                where the model answers
  kingmaker down                                    end it all; objects stay for the next up

exit codes: 0 done, 1 it failed and stderr says why, 2 wrong usage, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and give its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser([given[0]] if given and given[0] in VERBS else VERBS).parse_args(given)
        code: int = options.run(options)
        sys.stdout.flush()
    except LocalError as error:
        sys.stderr.write(f"kingmaker: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("kingmaker: interrupted\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough, e.g. `| head`; the interpreter must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _parser(verbs: Iterable[str]) -> argparse.ArgumentParser:
    """Declare verbs, and import no others: `kubectl` shall not wait for libraries of statistics."""
    parser = argparse.ArgumentParser(
        prog="kingmaker",
        description="Serve, challenge, watch and retrain models on Kubernetes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar="VERB", required=True)
    try:
        for verb in verbs:
            module = importlib.import_module(VERBS[verb])
            module.add_parser(subparsers).set_defaults(run=module.run)
    except ModuleNotFoundError as error:
        raise LocalError(
            f"the Python package {error.name} is not installed; "
            "the command needs Kingmaker's extras, as in `python3 -m pip install '.[operator,local]'`"
        ) from error
    return parser
