"""Ports, networks and processes that belong to one cluster."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kingmaker_laptop.addresses import claim_addresses
from kingmaker_laptop.binary import ensure_binary, version_key
from kingmaker_laptop.certificates import prepare_certificates
from kingmaker_laptop.credentials import ADMINISTRATOR, prepare_credentials, read_tokens
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import Ports, choose_ports, read_ports
from kingmaker_laptop.processes import ProcessRecord, load, record_of, save


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def test_free_ports_stay_and_taken_ones_are_replaced(home: Home) -> None:
    first = choose_ports(home, first=31000)
    assert choose_ports(home, first=31500) == first == read_ports(home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.apiserver))
        taken.listen()
        second = choose_ports(home, first=31000)
    assert second.apiserver != first.apiserver
    assert (second.etcd, second.node) == (first.etcd, first.node)


def test_ports_are_all_different(home: Home) -> None:
    ports = choose_ports(home, first=31000)
    assert len({getattr(ports, name) for name in Ports.__slots__}) == len(Ports.__slots__)


def test_a_cluster_keeps_its_networks_while_it_is_down(home: Home, tmp_path: Path) -> None:
    first, guard = claim_addresses(home)
    guard.close()
    other = Home(tmp_path / "other")
    other.prepare()
    second, second_guard = claim_addresses(other)
    again, again_guard = claim_addresses(home)
    second_guard.close()
    again_guard.close()
    assert again == first != second


def test_networks_of_a_running_cluster_of_somebody_else_are_left_alone(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, guard = claim_addresses(home)
    with guard:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another-user"))
        other = Home(tmp_path / "other")
        other.prepare()
        second, second_guard = claim_addresses(other)
        second_guard.close()
    assert second != first


def test_a_deleted_clusters_networks_are_free_again(home: Home, tmp_path: Path) -> None:
    first, guard = claim_addresses(home)
    guard.close()
    home.etcd.rmdir()
    other = Home(tmp_path / "other")
    other.prepare()
    second, second_guard = claim_addresses(other)
    second_guard.close()
    assert second == first


def test_a_record_names_one_process_for_ever(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        record = record_of(process.pid)
        assert record is not None
        save(tmp_path / "record.json", record)
        assert load(tmp_path / "record.json") == record
        impostor = ProcessRecord(record.pid, record.began - 1, record.boot)
        impostor.signal(signal.SIGKILL)
        assert (record.is_alive, impostor.is_alive, impostor.wait(0)) == (True, False, True)
        record.stop(grace_seconds=10)
        assert not record.is_alive
    record.signal(signal.SIGTERM)


def test_a_record_that_was_cut_off_is_none(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"pid": 1')
    assert load(tmp_path / "record.json") is None


def test_certificates_convince_openssl(home: Home) -> None:
    import datetime as dt

    prepare_certificates(home, service_address="127.100.0.1", now=dt.datetime.now(dt.UTC))
    folder = home.credentials
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"]
    command += ["-CAfile", str(folder / "ca.crt"), str(folder / "server.crt")]
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


def test_tokens_stay_and_are_for_the_owner_alone(home: Home) -> None:
    home.credentials.joinpath("ca.crt").write_text("authority")
    prepare_credentials(home, server="https://127.0.0.1:1")
    first = read_tokens(home)
    prepare_credentials(home, server="https://127.0.0.1:2")
    assert read_tokens(home) == first
    assert first[ADMINISTRATOR.name] in home.kubeconfig.read_text()
    for path in [home.kubeconfig, *home.credentials.iterdir()]:
        assert path.name == "ca.crt" or path.stat().st_mode & 0o077 == 0, path


def test_a_chosen_binary_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KINGMAKER_CONTROLPLANE", str(tmp_path / "missing"))
    with pytest.raises(LocalError, match="KINGMAKER_CONTROLPLANE"):
        ensure_binary()
    monkeypatch.setenv("KINGMAKER_CONTROLPLANE", "/bin/true")
    assert ensure_binary() == Path("/bin/true")


def test_the_binarys_name_changes_with_each_file_that_decides_it(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("require (\n\tk8s.io/kubernetes v1.36.4\n)\n")
    (tmp_path / "go.sum").write_text("")
    (tmp_path / "main.go").write_text("package main\n")
    before = version_key(tmp_path)
    (tmp_path / "main.go").write_text("package main\n\n")
    assert before.startswith("1.36.4-")
    assert version_key(tmp_path) != before


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    from kingmaker_laptop.locks import locked, try_lock

    with locked(tmp_path / "lock"):
        descriptor = os.open(tmp_path / "lock", os.O_RDWR)
        assert not try_lock(descriptor)
        os.close(descriptor)
    code = "import sys,time; from pathlib import Path; from kingmaker_laptop.locks import locked\n"
    code += "with locked(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        with locked(tmp_path / "lock"):
            pass
