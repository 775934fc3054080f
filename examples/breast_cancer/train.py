"""The retraining Job: train on labelled rows that arrive after its start, package, report.

It reads KINGMAKER_OUTPUT_URI, KINGMAKER_DEPLOYMENT and KINGMAKER_RETRAIN_REASON as every retraining Job may. Rows from
before its start are left out: they may be from before the drift. The result, or why there is none, is its termination
message.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STARTED = time.time()


class TrainingError(Exception):
    """There is no new model; the message says why."""


def main() -> int:
    """Train; exit 0 with the result as termination message, 1 with the reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="path or URI of a CSV of labelled rows with their arrival")
    parser.add_argument("--termination-log", type=Path, required=True, help="where the result goes")
    parser.add_argument("--min-rows", type=int, default=600, help="rows to train on at least")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for them")
    args = parser.parse_args()
    try:
        message = train(args.data, args.min_rows, args.wait)
    except Exception as error:  # noqa: BLE001  # whatever it is, a person reads it in the Decision
        args.termination_log.write_text(json.dumps({"reason": type(error).__name__, "message": str(error)[:3000]}))
        print(f"no new model: {error}", file=sys.stderr)
        return 1
    args.termination_log.write_text(json.dumps(message))
    return 0


def train(data: str, min_rows: int, wait_seconds: float) -> dict[str, Any]:
    """Train on fresh rows and upload what a Model needs below KINGMAKER_OUTPUT_URI.

    Raises:
        TrainingError: The environment is incomplete, too few rows came, or they are all of one class.
    """
    # Heavy imports while rows arrive.
    import fsspec  # noqa: PLC0415
    from bundle import package_model  # noqa: PLC0415
    from models import error_rate, good  # noqa: PLC0415

    output = os.environ.get("KINGMAKER_OUTPUT_URI", "")
    deployment = os.environ.get("KINGMAKER_DEPLOYMENT", "")
    if not output or not deployment:
        raise TrainingError("KINGMAKER_OUTPUT_URI and KINGMAKER_DEPLOYMENT must be set, as the operator sets them")
    print(f"why: {os.environ.get('KINGMAKER_RETRAIN_REASON')}, {os.environ.get('KINGMAKER_RETRAIN_FEATURES')}")
    names, rows = wait_for_rows(data, min_rows, wait_seconds)
    fitted, held_out = hold_out(rows)
    if len(set(fitted.labels.tolist())) < 2:
        raise TrainingError(f"{len(fitted)} rows of {data} are all of one class; a classifier needs both")
    model = good(fitted)
    wrong = error_rate(model, held_out)
    print(f"trained on {len(fitted)} rows, wrong on {wrong:.1%} of {len(held_out)} that it did not see")
    with TemporaryDirectory() as folder:
        result = package_model(
            model,
            name=deployment,
            version="retrained",
            names=names,
            rows=fitted,
            held_out=held_out,
            accuracy=1 - wrong,
            source=data if "://" in data else Path(data).absolute().as_uri(),
            out=Path(folder, "package"),
            uri_prefix=output,
        )
        # A claim has no address to write to: it is a folder here, and pvc://CLAIM/... for whoever reads it later.
        files, path = fsspec.core.url_to_fs(os.environ.get("KINGMAKER_OUTPUT_DIR") or output)
        files.makedirs(path, exist_ok=True)
        for file in ("model.onnx", "baseline.json", "examples.json"):
            files.put_file(str(Path(folder, "package", file)), f"{path.rstrip('/')}/{file}")
    return result


def hold_out(rows: Any) -> tuple[Any, Any]:
    """Keep the newest fifth from the model: what it says to these is what it will say to new ones."""
    from dataset import Rows  # noqa: PLC0415

    cut = len(rows) - max(1, len(rows) // 5)
    return tuple(Rows(rows.features[part], rows.labels[part]) for part in (slice(cut), slice(cut, None)))


def wait_for_rows(data: str, min_rows: int, wait_seconds: float) -> tuple[tuple[str, ...], Any]:
    """Wait until enough rows arrived after this process began."""
    from dataset import read_csv  # noqa: PLC0415

    found = 0
    while time.time() < STARTED + wait_seconds:
        with contextlib.suppress(FileNotFoundError):
            names, rows = read_csv(data, since=STARTED)
            found = len(rows)
            if found >= min_rows:
                return names, rows
        time.sleep(0.5)
    raise TrainingError(f"{data} has {found} rows since the start, {min_rows} were needed within {wait_seconds:g} s")


if __name__ == "__main__":
    sys.exit(main())
