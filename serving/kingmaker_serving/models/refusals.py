"""What ONNX Runtime says when it can't load or run a model, in the words of whoever has to mend it."""

import logging
import re
from collections.abc import Mapping
from typing import Final

import numpy as np
import onnxruntime

from kingmaker_serving.errors import ErrorCode, Reason, ServingError, VerbError
from kingmaker_serving.protocol.signature import Signature

logger = logging.getLogger(__name__)

_LOCALE: Final = re.compile(r"locale with name:\s*([\w.@-]*)")
_FITS_NOT: Final = re.compile(r"shape|dimension|broadcast|\brank\b|\baxis\b|out of (data )?bounds", re.IGNORECASE)
"""What operators say of inputs that they can't work on together."""
_MOST_SHAPES: Final = 8
"""Inputs that a message names; a model may have hundreds."""


def refused_load(error: Exception) -> VerbError:
    """Build the error of a model that does not load."""
    said = str(error)
    locale = _LOCALE.search(said)
    if locale:
        message = (
            f"the model changes the case of texts as the locale {locale[1]} does, and this system lacks it; "
            f"Kingmaker's images have en_US.UTF-8, or run `sudo localedef -i {locale[1][:5]} -f UTF-8 {locale[1]}`"
        )
    else:
        message = f"ONNX Runtime {onnxruntime.__version__} can't load the model: {said[:1500]}"
    return VerbError(Reason.INVALID_MODEL, message)


def refused_run(error: Exception, feeds: Mapping[str, np.ndarray], signature: Signature) -> ServingError:
    """Build the error of a run that failed.

    ONNX Runtime does not say whether inputs or model are to blame. Inputs are when it calls them invalid, when they
    have different numbers of rows or none at all, and when an operator speaks of shapes: a model that was verified has
    answered whole ones.
    """
    if isinstance(error, UnicodeEncodeError):
        return ServingError(ErrorCode.INVALID_TENSOR, "a text of the inputs is not Unicode: half a surrogate pair")
    rows = {array.shape[0] for array in feeds.values() if array.ndim}
    is_empty = any(not array.size for array in feeds.values())
    # Before the status stands which node it was, and that may be called anything.
    said = str(error).rpartition("Status Message:")[2]
    if type(error).__name__ == "InvalidArgument" or len(rows) > 1 or is_empty or _FITS_NOT.search(said):
        return ServingError(ErrorCode.INVALID_TENSOR, _misfit(feeds, signature, len(rows)))
    logger.error("the model failed", extra={"error": str(error)[:500]})
    return ServingError(ErrorCode.MODEL_FAILED, "the model failed on these inputs; the server's log says why")


def _misfit(feeds: Mapping[str, np.ndarray], signature: Signature, row_counts: int) -> str:
    names = list(feeds)[:_MOST_SHAPES]
    shapes = ", ".join(f"{name!r} {list(feeds[name].shape)}" for name in names)
    more = f" and {len(feeds) - len(names)} more" if len(feeds) > len(names) else ""
    takes = ", ".join(str(spec) for spec in signature.inputs[:_MOST_SHAPES])
    hint = "; expected the same number of rows in each" if row_counts > 1 else ""
    return f"the model refuses these inputs: {shapes}{more}; it takes {takes}{hint}"


def out_of_time() -> ServingError:
    """Build the error of a run that was stopped."""
    return ServingError(ErrorCode.DEADLINE, "the model did not answer in time; send fewer rows, or allow more time")
