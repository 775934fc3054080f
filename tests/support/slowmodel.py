"""The demo's weak champion with ballast: it answers the same, and takes the processor for a while first."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from kingmaker_laptop.demo.population import read_pool
from kingmaker_laptop.demo.traffic import LABEL
from kingmaker_serving.package import package

_SIZE = 256
_INPUT = "features"


def write_slow_model(built: Path, name: str, *, rounds: int, uri_prefix: str) -> Path:
    """Package it and give the folder.

    Args:
        built: The demo's models and rows.
        name: Of the Model; its folder is beside the one that it is made from.
        rounds: Products of two matrices of 256 x 256 per request; one takes a processor about 0.2 ms.
        uri_prefix: Where the folder's files will be.
    """
    pool = read_pool(built / "recorded.csv", LABEL)
    folder = built.parent / "slow" / name
    package(
        onnx=_with_ballast(onnx.load(built / "screening-1" / "model.onnx"), rounds).SerializeToString(),
        rows=pool.features.astype(np.float32),
        labels=pool.labels,
        feature_names=pool.names,
        name=name,
        family="breast-cancer",
        version="slow",
        out=folder,
        uri_prefix=uri_prefix,
    )
    return folder


def _with_ballast(model: ModelProto, rounds: int) -> ModelProto:
    """Add 0 to the input, after a detour that no optimiser can know to end there."""
    graph = model.graph
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == _INPUT:
                node.input[place] = "laden"
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(_SIZE, _SIZE)))[0].astype(np.float32)
    for name, values in (
        ("matrix", matrix),
        ("rounds", np.array(rounds, np.int64)),
        ("true", np.array(True)),
        ("zero", np.array(0.0, np.float32)),
    ):
        graph.initializer.append(numpy_helper.from_array(values, name))
    detour = [
        helper.make_node("ReduceMean", [_INPUT], ["mean"], keepdims=0),
        helper.make_node("Tanh", ["mean"], ["small"]),
        helper.make_node("Add", ["matrix", "small"], ["first"]),
        helper.make_node("Loop", ["rounds", "true", "first"], ["last"], body=_body()),
        helper.make_node("ReduceMean", ["last"], ["rest"], keepdims=0),
        helper.make_node("Mul", ["rest", "zero"], ["nothing"]),
        helper.make_node("Add", [_INPUT, "nothing"], ["laden"]),
    ]
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*detour, *own])
    return model


def _body() -> onnx.GraphProto:
    def value(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    square = [_SIZE, _SIZE]
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "matrix"], ["product"]),
            # Products stay as long as their factors, whatever the number of rounds.
            helper.make_node("Tanh", ["product"], ["after"]),
            helper.make_node("Identity", ["go_on"], ["still"]),
        ],
        "round",
        [value("round", TensorProto.INT64, []), value("go_on", TensorProto.BOOL, []), value("before", 1, square)],
        [value("still", TensorProto.BOOL, []), value("after", 1, square)],
    )
