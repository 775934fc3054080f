"""`python -m kingmaker_laptop.node`: run one process node until SIGTERM or SIGINT."""

import asyncio
import json
import logging
import os
import signal
import sys

from kingmaker.kube.kubeconfig import KubeconfigError
from kingmaker_laptop.files import write_private
from kingmaker_laptop.locks import take_lock
from kingmaker_laptop.node.agent import run_node
from kingmaker_laptop.node.settings import Settings, parse_settings
from kingmaker_laptop.processes import start_ticks


def main(arguments: list[str] | None = None) -> int:
    """Run the node; exit code 0 after a signal, 1 when it can't run here."""
    settings = parse_settings(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        take_lock(settings.folder / "node.lock")
    except BlockingIOError:
        print(f"another node process runs in {settings.folder}; stop it first", file=sys.stderr)
        return 1
    try:
        asyncio.run(_run_until_signal(settings))
    except (KubeconfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run_until_signal(settings: Settings) -> None:
    write_private(settings.folder / "node.json", json.dumps({"pid": os.getpid(), "ticks": start_ticks(os.getpid())}))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_node(settings, stop)


if __name__ == "__main__":
    sys.exit(main())
