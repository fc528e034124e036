import json
import os
import socket
from pathlib import Path

import psutil
import pytest

from sandbox.errors import StateError
from sandbox.ports import HOST, RANGE, Ports, answers, is_free, listens


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_every_name_gets_a_free_port_of_its_own(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    ports.settle(["kafka", "postgres", "s3"], preferred={})
    chosen = [ports["kafka"], ports["postgres"], ports["s3"]]
    assert len(set(chosen)) == 3
    assert all(port in RANGE and is_free(port) for port in chosen)


def test_ports_persist(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json")
    first.settle(["kafka", "postgres"], preferred={})
    second = Ports(tmp_path / "ports.json")
    second.settle(["kafka", "postgres", "s3"], preferred={})
    assert (second["kafka"], second["postgres"]) == (first["kafka"], first["postgres"])


def test_a_preferred_port_is_taken_if_it_is_free(tmp_path: Path) -> None:
    spare = Ports(tmp_path / "spare.json")
    spare.settle(["any"], preferred={})
    ports = Ports(tmp_path / "ports.json")
    ports.settle(["dagster"], preferred={"dagster": spare["any"]})
    assert ports["dagster"] == spare["any"]


def test_a_preferred_port_is_passed_over_if_somebody_listens_there(
    tmp_path: Path, listener: int
) -> None:
    ports = Ports(tmp_path / "ports.json")
    ports.settle(["dagster"], preferred={"dagster": listener})
    assert ports["dagster"] != listener


def test_a_port_taken_by_a_stranger_is_replaced_for_good(tmp_path: Path, listener: int) -> None:
    path = tmp_path / "ports.json"
    path.write_text(json.dumps({"kafka": listener}))
    ports = Ports(path)
    assert ports.replace_if_taken("kafka") == listener
    assert ports["kafka"] != listener
    assert Ports(path)["kafka"] == ports["kafka"]


def test_a_free_port_stays(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    ports.settle(["kafka"], preferred={})
    before = ports["kafka"]
    assert ports.replace_if_taken("kafka") is None
    assert ports["kafka"] == before


def test_answers_tells_a_listener_from_silence(tmp_path: Path, listener: int) -> None:
    ports = Ports(tmp_path / "ports.json")
    ports.settle(["nobody"], preferred={})
    assert answers(listener)
    assert not answers(ports["nobody"])


def test_who_listens_is_told_from_who_only_answers(listener: int) -> None:
    us, another = psutil.Process(), psutil.Process(os.getppid())
    assert listens(us, listener)
    with socket.create_connection((HOST, listener)) as client:
        assert not listens(us, client.getsockname()[1])
    assert not listens(another, listener)


def test_a_broken_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    with pytest.raises(StateError, match=r"ports\.json.*sandbox reset"):
        Ports(tmp_path / "ports.json")
