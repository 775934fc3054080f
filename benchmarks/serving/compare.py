"""Steps that compare the server with the bare program and with its peers. Definitions: README.md."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

import grpc

from benchmarks.common.figures import Figure
from benchmarks.common.progress import say
from benchmarks.serving import programs
from benchmarks.serving.figures import figure, missing
from benchmarks.serving.lab import LABELS, OURS, Lab, quotient
from benchmarks.serving.load import CONNECTIONS, FEW, Load
from benchmarks.serving.process import BenchError, Server, start
from benchmarks.serving.requests import as_binary, as_message, wrong_message

_PART: Final = 0.8
"""Of MLServer's peak, at which both are asked for their times."""
_ROWS: Final = 1000


def throughput(lab: Lab, others: Sequence[str]) -> Iterator[Figure]:
    """Ask one row per request as JSON, as fast as answers come."""
    loads = lab.rounds([OURS, *others], lab.peak_of)
    lab.peaks |= loads
    for other in others:
        yield quotient(f"requests/s ÷ {LABELS[other]}", loads[OURS], loads[other])


def latency(lab: Lab) -> Iterator[Figure]:
    """Ask both at the same rate, whatever becomes of the answers."""
    rate = _PART * lab.peak("mlserver")
    say(f"{rate:,.0f} requests/s to both")
    paced = lambda server: lab.generator.paced(server, lab.questions, lab.plan.seconds, rate=rate)  # noqa: E731
    loads = lab.rounds([OURS, "mlserver"], paced)
    ours, theirs = loads[OURS], loads["mlserver"]
    yield quotient("p50 ÷ MLServer's", ours, theirs, lambda load: load.ok.p50)
    yield quotient("p99 ÷ MLServer's", ours, theirs, lambda load: load.ok.p99)


def over_grpc(lab: Lab) -> Iterator[Figure]:
    """Ask one row per request over gRPC, as fast as answers come."""
    yield from _over_grpc(lab, "gRPC", 1, ["mlserver", "kserve"])


def binary(lab: Lab) -> Iterator[Figure]:
    """Ask 1,000 rows per request in binary: over gRPC where MLServer has that, over REST where KServe has."""
    name = f"binary, {_ROWS:,} rows"
    yield from _over_grpc(lab, name, _ROWS, ["mlserver"])
    question = as_binary(lab.model, rows=_ROWS)
    if refusal := lab.refusal(OURS, question) or lab.refusal("kserve", question):
        yield from missing((f"{name} ÷ KServe",), refusal)
        return
    loads = lab.rounds([OURS, "kserve"], lambda server: lab.generator.peak(server, [question], lab.plan.seconds, FEW))
    yield quotient(f"{name} ÷ KServe", loads[OURS], loads["kserve"])


def _over_grpc(lab: Lab, name: str, rows: int, others: list[str]) -> Iterator[Figure]:
    if not programs.serve_has("--grpc-port"):
        yield from missing(tuple(f"{name} ÷ {LABELS[other]}" for other in others), "serve has no --grpc-port")
        return
    message = as_message(lab.model, rows=rows)

    def ask(server: Server) -> Load:
        return lab.generator.grpc(server, message, lab.plan.seconds, CONNECTIONS if rows == 1 else FEW)

    for server in (OURS, *others):
        with lab.server(server).thawed() as asked:
            _check(lab, asked, rows)
    loads = lab.rounds([OURS, *others], ask)
    for other in others:
        yield quotient(f"{name} ÷ {LABELS[other]}", loads[OURS], loads[other])


def _check(lab: Lab, server: Server, rows: int) -> None:
    from tritonclient.grpc import service_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(server.target.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            reply = stub.ModelInfer(as_message(lab.model, rows=rows), timeout=10)
        except grpc.RpcError as error:
            raise BenchError(f"{server.target.name} over gRPC: {error}") from error
    if wrong := wrong_message(lab.model, reply, rows=rows):
        raise BenchError(f"{server.target.name} over gRPC answers wrong: {wrong}")


def first_answers(lab: Lab) -> Iterator[Figure]:
    """Start processes until each gives its first right answer; the first of each warms the page cache."""
    seconds: dict[str, list[float]] = {OURS: [], "mlserver": []}
    for turn in range(lab.plan.starts + 1):
        for name, found in seconds.items():
            server = start(lab.target(name), lab.cores[0], nice=lab.plan.nice)
            try:
                took = server.wait(lab.questions[0])
            finally:
                server.end()
            say(f"  {name}: {took:.2f} s{'' if turn else ', not counted'}")
            if turn:
                found.append(took)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    yield figure("start → first right answer ÷ MLServer", medians[OURS] / medians["mlserver"], seconds=seconds)
