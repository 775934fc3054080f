"""Package the same rows from every form that people have them in: all must give the very same baseline.

`tests/integration/serving/test_frames.py` runs it in an environment of its own: none of these libraries is needed to
package. Prints a line per form; exits with 1 when two forms differ.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3] / "serving"))

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper

from kingmaker_serving.package import package
from kingmaker_serving.package.tables import read_table

ROWS = 6000
KINDS = {
    "amount": TensorProto.FLOAT,
    "visits": TensorProto.INT64,
    "plan": TensorProto.STRING,
    "known": TensorProto.BOOL,
    "note": TensorProto.STRING,
}


def a_model() -> bytes:
    """Give every input back."""
    inputs = [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in KINDS.items()]
    outputs = [helper.make_tensor_value_info(f"{name}_out", kind, ["n"]) for name, kind in KINDS.items()]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in KINDS]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def columns() -> dict[str, Any]:
    """Numbers of which some are missing, whole numbers, texts of which some are missing, truth values, free texts."""
    random = np.random.default_rng(0)
    amount = random.lognormal(size=ROWS).astype(np.float32).astype(float)
    amount[::50] = np.nan
    plans = [("basic", "pro", "", "gold")[i] for i in random.integers(0, 4, ROWS)]
    start = np.datetime64("2026-11-01T00:00:00")
    return {
        "amount": amount,
        "visits": random.poisson(3, ROWS),
        "plan": plans,
        "known": random.random(ROWS) < 0.3,
        "note": [f"note {'x' * (i % 40)} {i}" for i in range(ROWS)],
        "at": start + (np.arange(ROWS) * 15 * 86_400 // ROWS).astype("timedelta64[s]").astype("timedelta64[us]"),
    }


def forms(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the rows in every form."""
    plain = columns()
    none = {**plain, "plan": [plan or None for plan in plain["plan"]]}
    frame = pd.DataFrame(none)
    yield "a mapping of arrays and lists", plain
    yield "pandas", frame
    yield "pandas, its own nullable types", frame.convert_dtypes()
    yield "pandas, categories", frame.astype({"plan": "category"})
    yield "pandas, types of Arrow", frame.convert_dtypes(dtype_backend="pyarrow")
    yield "pandas, times with a zone", frame.assign(at=frame["at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    many = pl.DataFrame({**none, "amount": [None if np.isnan(x) else x for x in none["amount"]]})
    yield "Polars", many
    yield "Polars, categories", many.with_columns(pl.col("plan").cast(pl.Categorical))
    table = pa.Table.from_pandas(frame)
    yield "Arrow", table
    yield "Arrow, a batch", table.combine_chunks().to_batches()[0]
    yield "Arrow, a dictionary", table.set_column(2, "plan", table["plan"].dictionary_encode())
    pq.write_table(table, folder / "rows.parquet")
    yield "Parquet", read_table(folder / "rows.parquet").columns
    many.write_csv(folder / "rows.csv")
    yield "CSV", read_table(folder / "rows.csv").columns
    names = {name: np.asarray(column) for name, column in plain.items()}
    np.savez(folder / "rows.npz", **names)
    yield "npz", read_table(folder / "rows.npz").columns


def main() -> int:
    """Compare the digests of all forms."""
    found = {}
    with TemporaryDirectory() as made:
        folder = Path(made)
        for name, rows in forms(folder):
            package(onnx=a_model(), rows=rows, times=rows["at"], name="m", family="m", version="1", out=folder)
            found[name] = (folder / "baseline.json").read_bytes()
            print(f"{name}: {len(found[name])} bytes, as the first: {found[name] == next(iter(found.values()))}")
    return int(len(set(found.values())) != 1)


if __name__ == "__main__":
    sys.exit(main())
