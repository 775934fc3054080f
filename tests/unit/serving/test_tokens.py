"""Request ids."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kingmaker_serving.labels.tokens import Token, Tokens

KEY = b"shared by the pods of a deployment"


def a_pod(address: str = "10.0.0.7", *, key: bytes = KEY, port: int = 8082) -> Tokens:
    return Tokens(key=key, address=address, port=port)


@given(st.integers(0, 2**63), st.ip_addresses())
def test_another_pod_reads_who_answered(number: int, address: object) -> None:
    maker = a_pod(str(address))
    token = a_pod("10.0.0.8").read(maker.make(number))
    assert token is not None
    assert (token.address, token.port, token.number) == (str(address), 8082, number)
    assert maker.is_own(token)


def test_a_restarted_process_does_not_take_an_old_id_for_its_own() -> None:
    token = a_pod().read(a_pod().make(1))
    assert token is not None
    restarted = a_pod()
    assert restarted.is_here(token)
    assert not restarted.is_own(token)


def test_without_a_shared_key_ids_of_others_are_unknown() -> None:
    assert a_pod(key=b"").read(a_pod(key=b"").make(1)) is None


@given(st.integers(0, 10_000))
def test_an_id_with_one_bit_changed_is_unknown(bit: int) -> None:
    pod = a_pod()
    content = bytearray(base64.urlsafe_b64decode(pod.make(5) + "=="))
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    assert pod.read(base64.urlsafe_b64encode(content).decode().rstrip("=")) is None


@pytest.mark.parametrize("text", ["", "x", "A" * 50, "!" * 50, "ü" * 20, "A" * 10_000, "AAAA"])
def test_what_is_no_id_is_unknown(text: str) -> None:
    assert a_pod().read(text) is None


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert not isinstance(a_pod().read(text), Token)
