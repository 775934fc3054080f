import pytest

from kingmaker_laptop.node.expansion import expand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("--host=$(IP)", "--host=127.0.0.2", id="a variable"),
        pytest.param("$(IP)$(IP)", "127.0.0.2127.0.0.2", id="twice"),
        pytest.param("$(NO)", "$(NO)", id="unknown stays"),
        pytest.param("$$(IP)", "$(IP)", id="escaped"),
        pytest.param("$$$(IP)", "$127.0.0.2", id="escaped dollar before a variable"),
        pytest.param("$$$$(IP)", "$$(IP)", id="two escaped dollars"),
        pytest.param("$IP ${IP}", "$IP ${IP}", id="shell syntax is not ours"),
        pytest.param("$(IP", "$(IP", id="unclosed"),
        pytest.param("$", "$", id="a dollar alone"),
        pytest.param("$(NESTED)", "$(IP)", id="values are not expanded again"),
    ],
)
def test_expands_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, {"IP": "127.0.0.2", "NESTED": "$(IP)"}) == expected
