"""The process that owns one cluster: it brings the programs up, keeps them running, ends them when it is told to."""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kingmaker_laptop import processes
from kingmaker_laptop.addresses import claim_addresses
from kingmaker_laptop.bringup import PARTS, BringUp
from kingmaker_laptop.certificates import prepare_certificates
from kingmaker_laptop.components import Cluster
from kingmaker_laptop.credentials import prepare_credentials
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.files import write_private
from kingmaker_laptop.fleet import Fleet, sweep
from kingmaker_laptop.home import Home
from kingmaker_laptop.locks import try_lock
from kingmaker_laptop.ports import choose_ports
from kingmaker_laptop.supervised import LONGEST_PAUSE

RECORD: Final = "supervisor"
LOCKED: Final = 3
"""Exit code when another supervisor owns the folder."""


class AlreadyRunningError(LocalError):
    """Another supervisor owns the folder."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a cluster is started.

    Attributes:
        binary: The control plane's.
        without: Members of `bringup.PARTS`.
        is_durable: Whether etcd waits for the disk.
        deadline_seconds: For everything to be ready.
        operator_arguments: Passed to the operator as they are.
        longest_pause_seconds: Before a program that keeps ending is started again.
    """

    home: Home
    binary: Path
    without: frozenset[str] = frozenset()
    is_durable: bool = True
    deadline_seconds: float = 120.0
    operator_arguments: tuple[str, ...] = ()
    longest_pause_seconds: float = LONGEST_PAUSE

    def command(self) -> list[str]:
        """Give the command line that starts a supervisor with these options."""
        flags = [f"--dir={self.home.folder}", f"--binary={self.binary}", f"--deadline={self.deadline_seconds}"]
        flags += [f"--longest-pause={self.longest_pause_seconds}"]
        flags += [f"--without={part}" for part in sorted(self.without)]
        flags += [f"--operator-arg={argument}" for argument in self.operator_arguments]
        flags += [] if self.is_durable else ["--no-fsync"]
        return [sys.executable, "-m", "kingmaker_laptop.supervisor", *flags]


def run(options: Options, *, report: Callable[[str], None], on_ready: Callable[[], None]) -> None:
    """Own the cluster until SIGTERM, SIGINT or SIGHUP; when this returns or raises, no program of it is left.

    Raises:
        AlreadyRunningError: Another process owns it.
        LocalError: It could not be brought up.
    """
    home = options.home
    home.prepare()
    with _owned(home):
        try:
            _run(options, report, on_ready)
        except LocalError as error:
            write_status(home, "failed", str(error))
            raise
        home.status.unlink(missing_ok=True)


def write_status(home: Home, state: str, message: str) -> None:
    """Write how far the cluster is: `starting`, `ready`, `stopping` or `failed`."""
    write_private(home.status, json.dumps({"state": state, "message": message}) + "\n")


def _run(options: Options, report: Callable[[str], None], on_ready: Callable[[], None]) -> None:
    home = options.home
    sweep(home, end_pods=False)
    addresses, guard = claim_addresses(home)
    with guard:
        ports = choose_ports(home, first=addresses.first_port)
        cluster = Cluster(home, options.binary, ports, addresses, options.is_durable, options.operator_arguments)
        prepare_certificates(home, service_address=addresses.first_service, now=dt.datetime.now(dt.UTC))
        prepare_credentials(home, server=cluster.server)
        asyncio.run(_supervise(cluster, options, report, on_ready))


async def _supervise(
    cluster: Cluster, options: Options, report: Callable[[str], None], on_ready: Callable[[], None]
) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)

    def tell(step: str) -> None:
        write_status(cluster.home, "starting", step)
        report(step)

    fleet = Fleet(cluster.home, longest_pause_seconds=options.longest_pause_seconds)
    bring_up = BringUp(cluster, fleet, options.without, tell)
    coming = asyncio.create_task(bring_up.run(deadline_seconds=options.deadline_seconds))
    stopping = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            coming.result()
            write_status(cluster.home, "ready", str(cluster.home.kubeconfig))
            on_ready()
            await stopping
        write_status(cluster.home, "stopping", "told to")
    finally:
        for task in (coming, stopping):
            task.cancel()
        await asyncio.wait({coming, stopping})
        await fleet.stop()


@contextlib.contextmanager
def _owned(home: Home) -> Iterator[None]:
    """Hold the folder, with this process written down as its owner."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(descriptor):
            raise AlreadyRunningError(f"{home.folder} is in use by another process")
        # Before the owner is known: what a killed one said last must not be taken for this one's word.
        write_status(home, "starting", "free ports")
        own = processes.record_of(os.getpid())
        assert own is not None
        path = home.records / f"{RECORD}.json"
        processes.save(path, own)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def main() -> int:
    """Run a supervisor in the background: progress goes to the status file, the rest to stderr, which is its log."""
    parser = argparse.ArgumentParser(prog="kingmaker_laptop.supervisor", description="Started by `kingmaker up`.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    parser.add_argument("--without", action="append", default=[], choices=PARTS)
    parser.add_argument("--operator-arg", action="append", default=[])
    parser.add_argument("--no-fsync", action="store_true")
    parser.add_argument("--longest-pause", type=float, default=LONGEST_PAUSE)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home = Home(given.dir)
    options = Options(
        home,
        given.binary,
        frozenset(given.without),
        not given.no_fsync,
        given.deadline,
        tuple(given.operator_arg),
        given.longest_pause,
    )
    try:
        run(options, report=lambda _: None, on_ready=lambda: None)
    except AlreadyRunningError:
        return LOCKED
    except LocalError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
