"""Texts of a model that are not UTF-8, such as class names in Latin-1.

ONNX Runtime's Python refuses a whole answer for one of them. What clients send is UTF-8, so these texts can only come
from the model itself: there each is replaced by a stand-in, and in answers the stand-in by the bytes.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from kingmaker_serving.models.wire import Field, written


def stand_in(content: bytes, texts: Iterable[Field]) -> tuple[dict[int, bytes], dict[str, bytes]]:
    """Find stand-ins for texts of a model.

    Args:
        content: The model.
        texts: Where they stand.

    Returns:
        What `wire.edited` does, and the bytes by their stand-in: U+FFFD and their digits in hexadecimal.
    """
    edits: dict[int, bytes] = {}
    replaced: dict[str, bytes] = {}
    for text in texts:
        found = content[text.start : text.end]
        name = f"\ufffd{found.hex()}"
        replaced[name] = found
        edits[text.key] = written(text.number, name.encode())
    return edits, replaced


def put_back(texts: np.ndarray, replaced: Mapping[str, bytes]) -> np.ndarray:
    """Give texts with the bytes in place of their stand-ins.

    Args:
        texts: `str` objects, any shape.
        replaced: What `stand_in` gave.

    Returns:
        Objects: `str`, and `bytes` where there is no UTF-8.
    """
    found = np.empty(texts.size, dtype=object)
    found[:] = [replaced.get(text, text) for text in texts.reshape(-1).tolist()]
    return found.reshape(texts.shape)
