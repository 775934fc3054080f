"""An inference as values, the same whichever transport it came by: what codecs read and write, and models run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Parameter = bool | int | float | str
"""The protocol's parameters are scalars."""


@dataclass(slots=True)
class Wanted:
    """An output that a client asked for."""

    name: str
    binary: bool = False
    """REST: as bytes after the JSON, by the binary tensor extension."""
    classification: int = 0
    """The extension of the same name: this many best classes instead of the tensor; 0 for the tensor itself."""


@dataclass(slots=True)
class InferenceRequest:
    """A request that fits the model's signature."""

    inputs: Mapping[str, np.ndarray]
    """By input name, C-contiguous, of the input's dtype (`signature.NUMPY`) and the request's shape."""
    outputs: Sequence[Wanted] = ()
    """In the client's order; empty asks for all of them."""
    id: str = ""
    """The client's own, echoed in the reply; empty when it sent none."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    binary_outputs: bool = False
    """REST: outputs come as bytes where `outputs` does not say otherwise."""


@dataclass(slots=True)
class InferenceReply:
    """An answer, before it is written for a transport."""

    model_name: str
    model_version: str
    id: str
    outputs: Mapping[str, np.ndarray]
    """By output name, all that the request asked for, in that order."""
    datatypes: Mapping[str, str]
    """The protocol's datatype of each output, e.g. FP32."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
