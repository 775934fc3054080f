"""Where a Service answers on a laptop."""

from typing import Any

import pytest

from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.serviceurl import service_url


def a_service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "churn"}, "spec": {"clusterIP": "127.100.3.4", **spec}}


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ([{"port": 80}], "http://127.100.3.4:8080"),
        ([{"port": 8080}], "http://127.100.3.4:8080"),
        ([{"port": 1023}], "http://127.100.3.4:9023"),
        ([{"port": 1024}], "http://127.100.3.4:1024"),
        ([{"name": "management", "port": 8082}, {"name": "http", "port": 80}], "http://127.100.3.4:8080"),
    ],
)
def test_low_ports_are_served_higher(ports: list[dict[str, Any]], url: str) -> None:
    assert service_url(a_service(ports=ports)) == url


@pytest.mark.parametrize("spec", [{"clusterIP": "None", "ports": [{"port": 80}]}, {"clusterIP": "", "ports": []}, {}])
def test_a_service_without_address_or_port_is_an_error(spec: dict[str, Any]) -> None:
    with pytest.raises(LocalError, match="churn"):
        service_url(a_service(**spec))
