"""Request bodies of the Open Inference Protocol."""

from typing import Any

import numpy as np


def a_request(rows: Any, *, name: str = "features", **fields: Any) -> dict[str, Any]:
    """A request of one FP32 tensor."""
    array = np.asarray(rows, dtype=np.float32)
    tensor = {"name": name, "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
    return {"inputs": [tensor], **fields}
