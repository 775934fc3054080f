"""Run one container: start its process, keep its log, remember how it ended. Each container has one of its own.

Started as `python -I -S shim.py FOLDER` with the standard library only, because each one costs memory. FOLDER holds
`run.json` (what to run); the shim adds `started.json`, `exit.json` and `log`. It holds a lock on `lock` while it lives.

SIGTERM is passed on to the container's process group. SIGUSR1 kills the group. When the container's first process
ends, all that it left behind is killed, as at the end of a PID namespace; when the shim itself is killed, the
container is, too, so that no container ever runs unobserved.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time

MAX_LOG_BYTES = 10 * 1024 * 1024
"""A log file of this size becomes `log.1`; one older file is kept."""

_MAX_LINE_BYTES = 16 * 1024
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_START_ERROR_CODE = 128


class Log:
    """The container's output as the container runtime interface has it: `<time> <stream> <F|P> <text>` per line."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "log")  # noqa: PTH118 - pathlib costs 10 ms of each start
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = 0
        self._rest = {"stdout": b"", "stderr": b""}

    def add(self, stream: str, chunk: bytes) -> None:
        """Write what is complete of the chunk, keep the rest."""
        *lines, rest = (self._rest[stream] + chunk).split(b"\n")
        for line in lines:
            self._write(stream, b"F", line)
        while len(rest) > _MAX_LINE_BYTES:
            self._write(stream, b"P", rest[:_MAX_LINE_BYTES])
            rest = rest[_MAX_LINE_BYTES:]
        self._rest[stream] = rest

    def close(self) -> None:
        """Write what is left, without its newline."""
        for stream, rest in self._rest.items():
            if rest:
                self._write(stream, b"F", rest)

    def _write(self, stream: str, tag: bytes, line: bytes) -> None:
        entry = b"%s %s %s %s\n" % (_now().encode(), stream.encode(), tag, line)
        if self._size + len(entry) > MAX_LOG_BYTES:
            self._rotate()
        # A full disk must not end the container; its log has a gap then.
        with contextlib.suppress(OSError):
            self._size += os.write(self._file, entry)

    def _rotate(self) -> None:
        os.replace(self._path, self._path + ".1")  # noqa: PTH105
        os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = 0


def main() -> None:
    """Run the container of the folder named by the first argument."""
    folder = sys.argv[1]
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another shim has this container")
    if os.path.exists(os.path.join(folder, "exit.json")):  # noqa: PTH110, PTH118
        sys.exit("this container was given up before it started")
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        run = json.load(file)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.set_wakeup_fd(_wakeup_pipe()[1], warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _supervise(folder, run, libc)


_WAKEUP: list[int] = []


def _wakeup_pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    _WAKEUP.append(reader)
    return reader, writer


def _supervise(folder: str, run: dict, libc: ctypes.CDLL) -> None:  # type: ignore[type-arg]  # JSON
    log = Log(folder)
    started_at = _now()
    pid, outputs, problem = _spawn(run, libc)
    if problem:
        os.waitpid(pid, 0)
        _write_json(
            folder, "exit.json", {"code": _START_ERROR_CODE, "signal": 0, "error": problem, "started_at": started_at}
        )
        _tell_parent("failed")
        return
    started = {
        "pid": pid,
        "pid_ticks": _start_ticks(pid),
        "shim_pid": os.getpid(),
        "shim_ticks": _start_ticks(os.getpid()),
        "started_at": started_at,
    }
    _write_json(folder, "started.json", started)
    _tell_parent("started")
    code, number = _watch(pid, outputs, log)
    log.close()
    _write_json(folder, "exit.json", {"code": code, "signal": number, "started_at": started_at})


def _spawn(run: dict, libc: ctypes.CDLL) -> tuple[int, dict[int, str], str]:  # type: ignore[type-arg]  # JSON
    """Fork and exec; the text is why it failed, empty when it runs."""
    out_reader, out_writer = os.pipe2(os.O_CLOEXEC)
    err_reader, err_writer = os.pipe2(os.O_CLOEXEC)
    problem_reader, problem_writer = os.pipe2(os.O_CLOEXEC)
    shim = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become_container(run, libc, shim, out_writer, err_writer)
        except BaseException as error:  # noqa: BLE001 - the child must not return into the parent's code
            os.write(problem_writer, str(error).encode())
        os._exit(_START_ERROR_CODE)
    for writer in (out_writer, err_writer, problem_writer):
        os.close(writer)
    with os.fdopen(problem_reader, "rb") as reader:
        problem = reader.read().decode(errors="replace")
    for reader_fd in (out_reader, err_reader):
        os.set_blocking(reader_fd, False)
    return pid, {out_reader: "stdout", err_reader: "stderr"}, problem


def _become_container(run: dict, libc: ctypes.CDLL, shim: int, out: int, err: int) -> None:  # type: ignore[type-arg]  # JSON
    os.setsid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != shim:
        os._exit(_START_ERROR_CODE)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    argv = run["argv"]
    try:
        os.chdir(run["cwd"])
    except OSError as error:
        raise RuntimeError(f"workingDir {run['cwd']}: {error.strerror}") from None
    try:
        os.execvpe(argv[0], argv, run["env"])  # noqa: S606
    except OSError as error:
        where = "" if "/" in argv[0] else f" (PATH is {run['env'].get('PATH', '')})"
        raise RuntimeError(f"command {argv[0]!r}: {error.strerror}{where}") from None


def _watch(pid: int, outputs: dict[int, str], log: Log) -> tuple[int, int]:
    """Pass on output and signals until the process ends; exit code and signal."""
    poll = select.poll()
    signals = _WAKEUP[0]
    poll.register(signals, select.POLLIN)
    for fd in outputs:
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == signals:
                for number in os.read(signals, 512):
                    _pass_on(number, pid)
                if _has_ended(pid):
                    return _clean_up(pid, outputs, log)
            elif not _drain_once(fd, outputs, log):
                poll.unregister(fd)


def _pass_on(number: int, pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == signal.SIGTERM:
            os.killpg(pid, signal.SIGTERM)
        elif number == signal.SIGUSR1:
            os.killpg(pid, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    """Reap orphans that were handed to us; leave the container's own process a zombie, so its group id stays taken."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return False
        if ended.si_pid == pid:
            return True
        os.waitpid(ended.si_pid, 0)


def _clean_up(pid: int, outputs: dict[int, str], log: Log) -> tuple[int, int]:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    _, raw = os.waitpid(pid, 0)
    _kill_orphans()
    for fd in outputs:
        while _drain_once(fd, outputs, log):
            pass
    if os.WIFSIGNALED(raw):
        return 128 + os.WTERMSIG(raw), os.WTERMSIG(raw)
    return os.WEXITSTATUS(raw), 0


def _kill_orphans() -> None:
    """Kill what left the process group; the children of the killed become ours in turn."""
    while True:
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                continue
        except ChildProcessError:
            return
        for child in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED)


def _children() -> list[int]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if int(_stat_fields(int(entry))[1]) == os.getpid():
                    found.append(int(entry))
    return found


def _drain_once(fd: int, outputs: dict[int, str], log: Log) -> bool:
    try:
        chunk = os.read(fd, 65536)
    except BlockingIOError:
        return False
    if chunk:
        log.add(outputs[fd], chunk)
    return bool(chunk)


def _start_ticks(pid: int) -> int:
    try:
        return int(_stat_fields(pid)[19])
    except OSError:
        return 0


def _stat_fields(pid: int) -> list[str]:
    """Fields of `/proc/PID/stat` from the state on (the name before it may hold spaces and parentheses)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()


def _write_json(folder: str, name: str, content: dict) -> None:  # type: ignore[type-arg]  # JSON
    path = os.path.join(folder, name)  # noqa: PTH118
    with open(path + ".tmp", "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump({**content, "written_at": _now()}, file)
    os.replace(path + ".tmp", path)  # noqa: PTH105


def _tell_parent(word: str) -> None:
    """One word on stdout for the node that waits for the start; then nothing ties us to it."""
    with contextlib.suppress(OSError):
        os.write(1, word.encode())
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


if __name__ == "__main__":
    main()
