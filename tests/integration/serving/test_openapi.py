"""A real server does what the OpenAPI description says, also when it is asked for nonsense."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from support.servers import CLASSES, PORT, Server, a_server

DESCRIPTION = Path(__file__).parents[3] / "docs/spec/open-inference.yaml"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def server(packages: dict[str, Path]) -> Iterator[Server]:
    with a_server(packages["churn-1"], task=CLASSES) as running:
        yield running


def described() -> schemathesis.BaseSchema:
    """Load the description, with the names of what the server serves, so that some requests get through."""
    raw: dict[str, Any] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    parts = raw["components"]
    parts["parameters"]["Name"]["schema"] = {"enum": ["churn"]}
    parts["parameters"]["Version"]["schema"] = {"enum": ["churn-1"]}
    tensor = parts["schemas"]["InputTensor"]
    tensor["required"] = [*tensor["required"], "data"]
    tensor["properties"] |= {
        "name": {"enum": ["features"]},
        "datatype": {"enum": ["FP32"]},
        "shape": {"enum": [[1, 3]]},
        "data": {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": ["number", "null"], "maximum": 1e30}},
    }
    parts["schemas"]["InferenceRequest"]["properties"]["inputs"] |= {"minItems": 1, "maxItems": 1}
    parts["schemas"]["RequestedOutput"]["properties"]["name"] = {"enum": ["label", "probabilities"]}
    return schemathesis.openapi.from_dict(raw)


schemathesis.serializer.alias("application/x-ndjson", "text/plain")
OPERATIONS = [result.ok() for result in described().get_all_operations()]
statuses: dict[str, set[int]] = {}


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


# Not by `schema.parametrize()`: its tests have one name, of which workers run one test alone.
@pytest.mark.parametrize("mode", list(GenerationMode), ids=[mode.value for mode in GenerationMode])
@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_every_answer_is_as_described(
    operation: APIOperation, mode: GenerationMode, server: Server, session: requests.Session
) -> None:
    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: Case) -> None:
        response = case.call(base_url=f"http://{server.address}:{PORT}", session=session, timeout=30)
        statuses.setdefault(case.operation.label, set()).add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    try:
        check()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing right can be sent"


def test_some_of_it_was_no_nonsense() -> None:
    answered = {operation for operation, found in statuses.items() if 200 in found}
    assert {"POST /v2/models/{name}/infer", "POST /v2/repository/index"} <= answered
    assert len(answered) == len(statuses) - 2, "models are not loaded, nor unloaded; everything else can be had"
