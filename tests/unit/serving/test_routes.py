"""Which path is what, by which method."""

import pytest

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.protocol.routes import Page, Route, route

FOUND = [
    ("GET", "/v2", Route(Page.SERVER)),
    ("GET", "/v2/", Route(Page.SERVER)),
    ("HEAD", "/v2/health/ready", Route(Page.READY)),
    ("GET", "/v2/health/live", Route(Page.LIVE)),
    ("GET", "/v2/models/churn", Route(Page.MODEL, "churn")),
    ("HEAD", "/v2/models/churn/ready", Route(Page.MODEL_READY, "churn")),
    ("POST", "/v2/models/churn/infer", Route(Page.INFER, "churn")),
    ("POST", "/v2/models/churn/feedback", Route(Page.FEEDBACK, "churn")),
    ("GET", "/v2/models/churn/versions/churn-1", Route(Page.MODEL, "churn", "churn-1")),
    ("GET", "/v2/models/churn/versions/churn-1/ready", Route(Page.MODEL_READY, "churn", "churn-1")),
    ("POST", "/v2/models/churn/versions/churn-1/infer", Route(Page.INFER, "churn", "churn-1")),
    ("POST", "/v2/models/churn/versions/churn-1/feedback", Route(Page.FEEDBACK, "churn", "churn-1")),
    ("POST", "/v2/repository/index", Route(Page.INDEX)),
    ("POST", "/v2/models/a%20%C3%BC/infer", Route(Page.INFER, "a ü")),
    ("POST", "/v2/models/a%2Fb/infer", Route(Page.INFER, "a/b")),
    ("POST", "/v2/models/a%252Fb/infer", Route(Page.INFER, "a%2Fb")),
    ("GET", "/v2/models/versions", Route(Page.MODEL, "versions")),
    ("POST", "/v2/models/versions/infer", Route(Page.INFER, "versions")),
    ("POST", f"/v2/models/{'x' * 5000}/infer", Route(Page.INFER, "x" * 5000)),
]


@pytest.mark.parametrize(("method", "path", "expected"), FOUND, ids=[f"{m} {p[:50]}" for m, p, _ in FOUND])
def test_what_there_is_is_found(method: str, path: str, expected: Route) -> None:
    for _ in range(2):
        assert route(method, path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v3",
        "v2",
        "//v2",
        "/v2//health/live",
        "/v2/health",
        "/v2/health/live/",
        "/v2/health/ready/x",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/churn/",
        "/v2/models/churn/infer/",
        "/v2/models/churn/Infer",
        "/v2/models/churn/v2/health/live",
        "/v2/models/churn/versions",
        "/v2/models/churn/versions/",
        "/v2/models/churn/versions//infer",
        "/v2/models/churn/versions/1/2",
        "/v2/models/churn/config",
        "/v2/models/%ff/infer",
        "/v2/repository",
        "/v2/repository/index/",
        "/v2/repository/models//load",
        "/v2/../v2",
    ],
)
def test_anything_else_is_not_found(path: str) -> None:
    with pytest.raises(ServingError, match="there is nothing at") as caught:
        route("GET", path)
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v2", "GET, HEAD"),
        ("OPTIONS", "/v2/health/live", "GET, HEAD"),
        ("get", "/v2/health/live", "GET, HEAD"),
        ("GET", "/v2/models/churn/infer", "POST"),
        ("HEAD", "/v2/models/churn/infer", "POST"),
        ("DELETE", "/v2/models/churn/feedback", "POST"),
        ("GET", "/v2/repository/index", "POST"),
        ("GET, HEAD", "/v2", "GET, HEAD"),
        ("", "/v2", "GET, HEAD"),
    ],
)
def test_another_method_is_told_which_there_are(method: str, path: str, allow: str) -> None:
    with pytest.raises(ServingError) as caught:
        route(method, path)
    assert (caught.value.code, caught.value.allow) == (ErrorCode.METHOD, allow)


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_models_are_not_loaded_by_requests(verb: str) -> None:
    for _ in range(2):
        with pytest.raises(ServingError, match="not loaded or unloaded by requests") as caught:
            route("POST", f"/v2/repository/models/churn/{verb}")
        assert caught.value.code.status == 400
