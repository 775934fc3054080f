"""`kingmaker-operator run`: read the options, run until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import sys

from kingmaker import garbage

# Modules stay: there is nothing to be found among them.
garbage.postpone()

from pythonjsonlogger.json import JsonFormatter

from kingmaker.assembly import serve
from kingmaker.kube.kubeconfig import KubeconfigError
from kingmaker.options import UsageError, parse

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the operator; exit 0 after SIGTERM, 1 when it can't start, 2 when it was called wrongly."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        sys.stderr.write(f"kingmaker-operator: {error}\n")
        return 2
    configure_logs(options.log_level)
    if options.kubeconfig:
        # kopf looks for its credentials there.
        os.environ["KUBECONFIG"] = options.kubeconfig
    allow_open_files()
    try:
        asyncio.run(serve(options))
    except KeyboardInterrupt:
        return 130
    except (OSError, KubeconfigError) as error:
        logger.error("can't start: %s", error)
        return 1
    return 0


def allow_open_files() -> None:
    """Have as many open files as this process may: each pod that is looked at has a connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems name a limit that they do not grant.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def configure_logs(level: str) -> None:
    """Log one JSON object per line to stderr.

    Args:
        level: The least that is logged, such as `INFO`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_lines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It is told to end otherwise, and warns that signals don't reach it.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


def json_lines() -> logging.Formatter:
    """Give the form of a log line: time, level, logger, message, and whatever fields were given with it."""
    names = {"asctime": "at", "levelname": "level", "name": "logger"}
    return JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=names)


if __name__ == "__main__":
    sys.exit(main())
