"""`kingmaker-serving`: fetch a model's files, verify them, serve them, or package a new model."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from kingmaker_serving.logs import configure_logs
from kingmaker_serving.report import end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 done; 1 a failure that the termination message explains. Usage errors exit with 2.
    """
    args = _parser().parse_args(arguments)
    configure_logs(args.log_level)
    verb: Callable[[argparse.Namespace], dict[str, Any] | None] = args.run
    return end(lambda: verb(args), getattr(args, "termination_log", None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kingmaker-serving",
        description=__doc__,
        epilog="A pod runs `fetch` as init container and `serve`; a Job runs `fetch` and `verify`; you run `package`.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add in (_add_fetch, _add_verify, _add_serve, _add_package):
        verb = add(verbs)
        verb.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Says defaults, where there are any that the text does not say itself."""

    @override
    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_said = action.default in (None, []) or "(default" in (action.help or "")
        return action.help if is_said else super()._get_help_string(action)


def _add_verb(
    verbs: Any,  # noqa: ANN401  # argparse keeps the type private
    name: str,
    run: Callable[[argparse.Namespace], dict[str, Any] | None],
    description: str,
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=description.split(".", maxsplit=1)[0],
        description=description,
        formatter_class=_Help,
    )
    verb.set_defaults(run=run)
    if name != "package":
        verb.add_argument(
            "--dir", type=Path, required=name != "serve", help="folder of model.onnx, baseline.json, examples.json"
        )
        verb.add_argument("--termination-log", type=Path, help="file for the reason of a failure, or the result")
    return verb


def _add_digests(verb: argparse.ArgumentParser, *, uris: bool, is_needed: bool = True) -> None:
    for part in ("model", "baseline", "examples"):
        is_required = part == "model" and is_needed
        if uris:
            where = "of a scheme that docs/storage.md lists, such as s3://bucket/key; or an absolute path"
            verb.add_argument(f"--{part}-uri", required=is_required, metavar="URI", help=where)
        verb.add_argument(
            f"--{part}-digest", required=is_required, metavar="sha256:...", type=_digest, help="of the file"
        )


def _add_fetch(verbs: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    text = "Download a Model's files and compare their digests. Credentials come from variables; see docs/storage.md."
    verb = _add_verb(verbs, "fetch", _fetch, text)
    _add_digests(verb, uris=True)
    claim = "where a claim of a pvc:// URI is mounted; repeatable"
    verb.add_argument("--pvc", type=_claim, action="append", default=[], metavar="CLAIM=FOLDER", help=claim)
    verb.add_argument("--max-bytes", type=_positive, default=2 * 1024**3, help="largest model, all its files")
    verb.add_argument("--deadline", type=_seconds, default=600.0, metavar="SECONDS", help="for all files, with retries")
    return verb


def _add_verify(verbs: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    text = (
        "Load a Model in a process of its own, compare its signature, run its examples. The result is JSON on stdout."
    )
    verb = _add_verb(verbs, "verify", _verify, text)
    _add_digests(verb, uris=False)
    verb.add_argument("--signature", metavar="JSON", help="inputs and outputs that the file must have")
    verb.add_argument("--task", metavar="JSON", help='{"type": "Classification", "label": "label", "score": "..."}')
    verb.add_argument("--deadline", type=_seconds, default=60.0, metavar="SECONDS", help="for everything")
    verb.add_argument("--memory-bytes", type=_positive, default=8 * 1024**3, help="of the process, at most")
    verb.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return verb


def _add_serve(verbs: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    text = "Serve a model over the Open Inference Protocol v2 and count what it sees. SIGTERM drains and ends it."
    verb = _add_verb(verbs, "serve", _serve, text)
    _add_digests(verb, uris=False, is_needed=False)
    several = "serve what this file says, as it changes (docs/spec/borders.md), instead of one model by --dir and so on"
    verb.add_argument("--models", type=Path, metavar="FILE", help=several)
    verb.add_argument("--model-name", help="name in the protocol: /v2/models/NAME/infer")
    verb.add_argument("--model-version", help="name of the Model, in replies")
    verb.add_argument("--task", metavar="JSON", help="which output means what; needed for feedback")
    verb.add_argument("--host", default="127.0.0.1", help="address to listen on")
    verb.add_argument("--port", type=_port, default=8080, help="requests")
    verb.add_argument("--grpc-port", type=_port_or_none, default=8081, help="requests over gRPC; 0 for none")
    verb.add_argument("--management-port", type=_port, default=8082, help="probes, /metrics, /profile, /baseline")
    verb.add_argument("--shadow-targets", type=Path, metavar="FILE", help="whom to send copies of requests to")
    keys = "whose files are the keys of the request ids (default: one that no other server knows)"
    verb.add_argument("--id-keys", type=Path, metavar="FOLDER", help=keys)
    verb.add_argument("--max-request-bytes", type=_positive, default=16 * 1024**2, help="of a body, unpacked too")
    verb.add_argument("--max-response-bytes", type=_positive, default=64 * 1024**2, help="of the outputs in memory")
    verb.add_argument("--drain-seconds", type=_seconds, default=45.0, help="at most, for requests in flight at SIGTERM")
    verb.add_argument("--deadline-seconds", type=_seconds, default=30.0, help="for one request")
    verb.add_argument("--body-seconds", type=_seconds, default=10.0, help="for a request's body to arrive")
    verb.add_argument("--workers", type=_positive, help="runs at the same time (default: processors, 4 at most)")
    verb.add_argument("--threads", type=_positive, default=1, help="threads of one run")
    verb.add_argument("--batch-max-rows", type=_positive, default=64, help="of several requests in one run")
    verb.add_argument("--batch-max-delay", type=_seconds, default=0.0, metavar="SECONDS", help="to wait for others")
    verb.add_argument("--queue", type=_positive, help="requests that may wait for a worker (default: 32 per worker)")
    return verb


def _add_package(verbs: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    text = "Turn an ONNX file and its training rows into model.onnx, baseline.json, examples.json and model.yaml."
    verb = _add_verb(verbs, "package", _package, text)
    verb.epilog = (
        "The baseline is what live rows are compared with. Give at least 5,000 rows (20,000 are better), as they "
        "arrive where the model will serve; say by --holdout which of them the model was not fitted on, and by --time "
        "when they were. What it will not be good for is said on stderr. The result is JSON on stdout."
    )
    verb.add_argument("--onnx", type=Path, required=True, help="the model; files of external data lie beside it")
    data = "training rows: .csv with a header, .parquet (needs pyarrow or polars), or .npz"
    verb.add_argument("--data", type=Path, required=True, help=data)
    verb.add_argument("--label", metavar="COLUMN", help="column of the true answers")
    held = "the rows that the model was not fitted on: the last share of --data such as 0.2, or a file of their own"
    verb.add_argument("--holdout", metavar="SHARE|FILE", type=_holdout, help=held)
    marks = "column of --data that says of each row whether it was held out: true or false, 1 or 0"
    verb.add_argument("--holdout-column", metavar="COLUMN", help=marks)
    when = "column of each row's time, ISO 8601 or seconds since 1970: tells the season of a day, and how counts vary"
    verb.add_argument("--time", metavar="COLUMN", help=when)
    codes = "feature whose numbers are no quantities, such as codes; texts and truth values are known to be; repeatable"
    verb.add_argument("--categorical", metavar="COLUMN", action="append", default=[], help=codes)
    shuffled = "rows to shuffle to see which features move the model; 0 for none (default: suits their number)"
    verb.add_argument("--importance-rows", type=_count, metavar="N", help=shuffled)
    verb.add_argument("--name", required=True, help="of the Model")
    verb.add_argument("--family", required=True, help="only models of one family contest each other")
    verb.add_argument("--version", required=True, help="for people")
    verb.add_argument("--out", type=Path, required=True, help="folder; created")
    verb.add_argument("--uri-prefix", metavar="URI", help="where the files can be read from later (default: --out)")
    verb.add_argument("--metric", action="append", default=[], type=_metric, metavar="NAME=VALUE", help="repeatable")
    verb.add_argument("--dataset", default="holdout", help="what the metrics were measured on")
    verb.add_argument("--parent", metavar="MODEL", help="name of the Model that this one is derived from")
    verb.add_argument("--framework", help="what it was trained with (default: what the file says)")
    verb.add_argument("--task", metavar="JSON", help="which output means what (default: found in the outputs)")
    verb.add_argument("--examples", type=int, default=5, help="rows that become examples, 0 to 100")
    verb.add_argument("--termination-log", type=Path, help="file for the result, for a retraining Job")
    return verb


def _fetch(args: argparse.Namespace) -> None:
    from kingmaker_serving.fetch import fetch  # noqa: PLC0415  # each verb loads what it needs, and nothing else

    wanted = []
    for part in ("model", "baseline", "examples"):
        uri, digest = getattr(args, f"{part}_uri"), getattr(args, f"{part}_digest")
        if uri is not None:
            wanted.append((part, uri, digest))
    fetch(
        args.dir,
        wanted,
        claims=dict(args.pvc),
        environment=os.environ,
        max_bytes=args.max_bytes,
        deadline_seconds=args.deadline,
    )


def _verify(args: argparse.Namespace) -> dict[str, Any]:
    from kingmaker_serving.verify import fit, verify, verify_apart  # noqa: PLC0415

    if not args.inside:
        result = verify_apart(sys.argv[1:], args.dir, deadline_seconds=args.deadline, memory_bytes=args.memory_bytes)
    else:
        result = verify(
            args.dir,
            model_digest=args.model_digest,
            baseline_digest=args.baseline_digest,
            examples_digest=args.examples_digest,
            signature=args.signature,
            task=args.task,
        )
    sys.stdout.write(json.dumps(result) + "\n")
    return fit(result)


def _serve(args: argparse.Namespace) -> None:
    from kingmaker_serving.engine.settings import Settings  # noqa: PLC0415
    from kingmaker_serving.server.process import serve  # noqa: PLC0415

    needed = ("dir", "model_digest", "model_name", "model_version")
    lacking = [f"--{name.replace('_', '-')}" for name in needed if getattr(args, name) is None]
    if args.models is None and lacking:
        sys.stderr.write(f"kingmaker-serving serve: {', '.join(lacking)} is missing; or name a file by --models\n")
        sys.exit(2)
    if args.models is not None and len(lacking) < len(needed):
        sys.stderr.write("kingmaker-serving serve: --models says all about models; leave out --dir and so on\n")
        sys.exit(2)
    serve(Settings.read(args, os.environ))


def _package(args: argparse.Namespace) -> dict[str, Any]:
    from kingmaker_serving.digest import sha256  # noqa: PLC0415
    from kingmaker_serving.package import package  # noqa: PLC0415
    from kingmaker_serving.package.progress import Lines  # noqa: PLC0415
    from kingmaker_serving.package.sources import read_sources  # noqa: PLC0415
    from kingmaker_serving.protocol.signature import read_task  # noqa: PLC0415

    found = read_sources(
        args.data,
        label=args.label,
        time=args.time,
        holdout=args.holdout,
        holdout_column=args.holdout_column,
    )
    made = package(
        onnx=args.onnx,
        rows=found.rows,
        labels=found.labels,
        categorical=args.categorical,
        holdout=found.holdout,
        holdout_labels=found.holdout_labels,
        times=found.times,
        importance_rows=args.importance_rows,
        task=read_task(args.task) if args.task else None,
        name=args.name,
        family=args.family,
        version=args.version,
        out=args.out,
        uri_prefix=args.uri_prefix,
        metrics=dict(args.metric),
        dataset=args.dataset,
        parent=args.parent,
        framework=args.framework,
        examples=args.examples,
        training_data=[
            {"uri": args.data.absolute().as_uri(), "digest": sha256(args.data.read_bytes()), "rows": found.rows.rows}
        ],
        progress=Lines(sys.stderr).tell,
    )
    for warning in made.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write(json.dumps(made.report) + "\n")
    return made.report


def _digest(text: str) -> str:
    digits = text.removeprefix("sha256:")
    if not text.startswith("sha256:") or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        message = f"{text[:80]!r} is no digest; expected sha256: and 64 hexadecimal digits, as `sha256sum` prints them"
        raise argparse.ArgumentTypeError(message)
    return text


def _claim(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not separator or not name or not folder.startswith("/"):
        message = f"{text!r} is no claim; expected CLAIM=FOLDER such as models=/mnt/claims/models"
        raise argparse.ArgumentTypeError(message)
    return name, Path(folder)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        message = f"{text!r} is no port; expected 1 to 65535"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _port_or_none(text: str) -> int:
    return 0 if text == "0" else _port(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        message = f"{text!r} is no whole number of at least 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _count(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _holdout(text: str) -> float | Path:
    try:
        share = float(text)
    except ValueError:
        return Path(text)
    if not 0 < share < 1:
        message = f"{text} is no share of the rows; expected a number between 0 and 1 such as 0.2, or a file"
        raise argparse.ArgumentTypeError(message)
    return share


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 86400:
        message = f"{text!r} is no number of seconds from 0 to 86400"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _metric(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    try:
        float(value)
    except ValueError:
        separator = ""
    if not separator or not name:
        message = f"{text!r} is no metric; expected NAME=VALUE such as accuracy=0.94"
        raise argparse.ArgumentTypeError(message)
    return name, value


if __name__ == "__main__":
    sys.exit(main())
