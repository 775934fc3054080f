"""Modules of figures, carried out side by side in processes of their own."""

import importlib
import importlib.util
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Final

from benchmarks.common.figures import Figure
from benchmarks.common.progress import say
from benchmarks.decisions.options import Options

ORDER: Final = ("b1", "b2", "b3", "b4", "b5", "b5_sizes", "b5_fraud", "b6", "b7", "creep", "cost")
"""Modules of this folder in the order of the table. Each has `NAME` and `run(options)`, which gives figures. `b5_…`
are parts of b5: figures that take long are carried out side by side."""
_LONGEST: Final = ("b5", "b2", "b5_sizes", "b4", "b3")
"""They begin first, so that nobody waits for one of them alone at the end."""
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def modules() -> list[str]:
    """Name the modules that are there."""
    return [name for name in ORDER if importlib.util.find_spec(f"benchmarks.decisions.{name}")]


def carry_out(name: str, options: Options) -> tuple[list[Figure], float]:
    """Measure the figures of one module; what goes wrong is a figure without a value. Give them and the seconds."""
    module = importlib.import_module(f"benchmarks.decisions.{name}")
    began, figures = time.monotonic(), list[Figure]()
    try:
        for one in module.run(options):
            say(f"{one.name}: {one.text} {one.unit} {one.note}".rstrip())
            figures.append(one)
    except Exception as error:  # noqa: BLE001 others go on
        traceback.print_exc()
        figures.append(Figure(f"{module.NAME}: all of it", None, 0, "", note=f"failed: {error}"))
    return figures, time.monotonic() - began


def measure(names: list[str], options: Options, processes: int) -> Iterator[tuple[str, list[Figure], float]]:
    """Measure modules side by side, each in a process of one thread; give each one's figures when it is done."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(names)), mp_context=context, max_tasks_per_child=1) as pool:
        first = sorted(names, key=lambda name: _LONGEST.index(name) if name in _LONGEST else len(_LONGEST))
        waiting = {pool.submit(carry_out, name, options): name for name in first}
        for done in as_completed(waiting):
            yield waiting[done], *done.result()
