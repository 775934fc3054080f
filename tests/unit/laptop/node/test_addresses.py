import ipaddress
from pathlib import Path

import pytest

from kingmaker_laptop.node.addresses import Addresses, NoAddressError


def test_addresses_go_round_before_one_is_used_again(tmp_path: Path) -> None:
    pool = Addresses(ipaddress.IPv4Network("127.9.0.0/29"), tmp_path / "a")
    first = [pool.take() for _ in range(3)]
    assert first == ["127.9.0.1", "127.9.0.2", "127.9.0.3"]
    pool.release("127.9.0.1")
    assert [pool.take() for _ in range(4)] == ["127.9.0.4", "127.9.0.5", "127.9.0.6", "127.9.0.7"]
    assert pool.take() == "127.9.0.1"
    with pytest.raises(NoAddressError, match="in use"):
        pool.take()


def test_the_round_goes_on_after_a_restart(tmp_path: Path) -> None:
    network = ipaddress.IPv4Network("127.9.0.0/24")
    Addresses(network, tmp_path / "a").take()
    pool = Addresses(network, tmp_path / "a")
    pool.claim("127.9.0.2")
    assert pool.take() == "127.9.0.3"


def test_only_loopback_addresses_need_no_interface(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="127"):
        Addresses(ipaddress.IPv4Network("10.0.0.0/16"), tmp_path / "a")
