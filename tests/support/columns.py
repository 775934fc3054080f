"""Columns of a baseline, cut as packaging does it."""

from typing import Any

import numpy as np

from kingmaker_serving.counts.baseline import Column
from kingmaker_serving.package.reference import cut_column


def build_column(values: np.ndarray, **fields: Any) -> Column:
    return cut_column(values, **fields).column
