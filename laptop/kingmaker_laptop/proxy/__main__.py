"""`python -m kingmaker_laptop.proxy`: forward Services until SIGTERM or SIGINT. One per folder."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import read_kubeconfig
from kingmaker_laptop.files import write_private
from kingmaker_laptop.locks import take_lock
from kingmaker_laptop.processes import start_ticks
from kingmaker_laptop.proxy.pidfile import LOCK, PIDFILE, kubeconfig_digest
from kingmaker_laptop.proxy.proxy import run_proxy


def main(arguments: list[str] | None = None) -> int:
    """Run the proxy; exit code 0 after a signal, 1 when another one has the folder."""
    parser = argparse.ArgumentParser(prog="kingmaker_laptop.proxy", description="Forward cluster IPs to ready pods.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--dir", type=Path, required=True, help="the node's folder")
    parser.add_argument("--node", required=True, help="name of the Node whose pods take connections")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        take_lock(options.dir / LOCK)
    except BlockingIOError:
        print(f"another Service proxy runs in {options.dir}", file=sys.stderr)
        return 1
    pidfile = {
        "pid": os.getpid(),
        "ticks": start_ticks(os.getpid()),
        "kubeconfig": kubeconfig_digest(options.kubeconfig),
    }
    write_private(options.dir / PIDFILE, json.dumps(pidfile))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run_until_signal(options.kubeconfig, options.node))
    return 0


async def _run_until_signal(kubeconfig: Path, node: str) -> None:
    current = asyncio.current_task()
    assert current is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, current.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with KubeClient(read_kubeconfig(kubeconfig), agent="kingmaker-proxy") as client:
            await run_proxy(client, node=node)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    # uvloop halves what each relayed byte costs; it comes with the serving extra, and the proxy works without it.
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
