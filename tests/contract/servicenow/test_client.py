"""Our client against the sandbox: what each answer means for the caller."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from sandbox.servicenow.faults import Failure, LostAnswer, Plan
from sandbox.servicenow.testing import PASSWORD, USERNAME, Instance
from ticketing.client import ServiceNowClient
from ticketing.errors import (
    FatalError,
    OutcomeUnknownError,
    RejectedError,
    RetriableError,
    TicketingError,
    UnavailableError,
)
from ticketing.settings import ServiceNowSettings


def settings_for(url: str, **changes: object) -> ServiceNowSettings:
    facts = {"url": url, "username": USERNAME, "password": SecretStr(PASSWORD)}
    patience = {"connect_timeout_s": 2, "read_timeout_s": 5, "lease_s": 10}
    return ServiceNowSettings.model_validate(facts | patience | changes)


@pytest.fixture
def client(instance: Instance) -> Iterator[ServiceNowClient]:
    with closing(ServiceNowClient(settings_for(instance.url))) as client:
        yield client


def test_what_is_created_can_be_read_found_and_changed(client: ServiceNowClient) -> None:
    created = client.create({"correlation_id": "e-1", "correlation_display": "k-1"})
    assert client.get(created.sys_id) == created
    assert client.find("e-1", "another key") == [created]
    assert client.find("another episode", "k-1") == [created]
    changed = client.change(
        created.sys_id, {"state": "6", "close_code": "Solution provided", "close_notes": "Done"}
    )
    assert (changed.state, changed.close_code) == (6, "Solution provided")
    assert changed.resolved_at is not None


def test_a_finished_incident_is_found_by_its_episode_and_not_by_its_key(
    client: ServiceNowClient,
) -> None:
    created = client.create({"correlation_id": "e-1", "correlation_display": "k-1"})
    client.change(created.sys_id, {"state": "8"})
    assert client.find("another episode", "k-1") == []
    assert [each.number for each in client.find("e-1", "k-1")] == [created.number]


def test_a_key_with_query_syntax_finds_only_itself(client: ServiceNowClient) -> None:
    client.create({"correlation_id": "e-0", "correlation_display": "other"})
    wild = "k^ORnumber!=x^NQactive=true"
    created = client.create({"correlation_id": "e-1", "correlation_display": wild})
    assert client.find("nothing", wild) == [created]


def test_an_unknown_record_is_none(client: ServiceNowClient) -> None:
    assert client.get("0" * 32) is None
    assert not client.has_note("0" * 32, "x")


def test_notes_can_be_read_back(client: ServiceNowClient) -> None:
    created = client.create({"work_notes": "transition 7"})
    assert client.has_note(created.sys_id, "transition 7")
    assert not client.has_note(created.sys_id, "transition 8")


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(429, retry_after_s=12), UnavailableError),
        (Failure(400), RejectedError),
        (Failure(403), RejectedError),
        (Failure(500), OutcomeUnknownError),
        (Failure(502), OutcomeUnknownError),
        (Failure(503), OutcomeUnknownError),
        (Failure(408), OutcomeUnknownError),
        (Failure(200), OutcomeUnknownError),
        (Failure(302), OutcomeUnknownError),
    ],
)
def test_what_a_failed_create_means(
    instance: Instance, client: ServiceNowClient, failure: Failure, error: type[TicketingError]
) -> None:
    instance.plan(Plan(fail=failure))
    with pytest.raises(error) as caught:
        client.create({})
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(429, retry_after_s=12), UnavailableError),
        (Failure(503, retry_after_s=12), UnavailableError),
        (Failure(500), RetriableError),
        (Failure(200), RetriableError),
        (Failure(403), RejectedError),
    ],
)
def test_what_a_failed_look_up_means(
    instance: Instance, client: ServiceNowClient, failure: Failure, error: type[TicketingError]
) -> None:
    instance.plan(Plan(fail=failure))
    with pytest.raises(error):
        client.find("e", "k")


def test_the_time_to_wait_is_handed_on(instance: Instance, client: ServiceNowClient) -> None:
    instance.plan(Plan(fail=Failure(429, retry_after_s=12)))
    with pytest.raises(UnavailableError) as caught:
        client.find("e", "k")
    assert caught.value.retry_after_s == 12


def test_a_lost_answer_is_an_unknown_outcome(instance: Instance, client: ServiceNowClient) -> None:
    instance.plan(Plan(lose_answer=LostAnswer()))
    with pytest.raises(OutcomeUnknownError):
        client.create({"correlation_id": "e-1"})
    assert len(client.find("e-1", "k")) == 1


def test_an_answer_that_does_not_come_is_an_unknown_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            closing(ServiceNowClient(settings_for(url, read_timeout_s=0.2))) as client,
            pytest.raises(OutcomeUnknownError, match="ReadTimeout"),
        ):
            client.create({})


def test_a_connection_that_ends_before_the_answer_is_an_unknown_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        hang_up = threading.Thread(target=lambda: listening.accept()[0].close())
        hang_up.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            closing(ServiceNowClient(settings_for(url))) as client,
            pytest.raises(OutcomeUnknownError),
        ):
            client.create({})
        hang_up.join(5)


def test_a_connection_that_was_never_made_took_no_effect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        closing(ServiceNowClient(settings_for(f"http://127.0.0.1:{port}"))) as client,
        pytest.raises(UnavailableError, match="cannot connect"),
    ):
        client.create({})


def test_wrong_credentials_are_fatal_and_named(instance: Instance) -> None:
    settings = settings_for(instance.url, password=SecretStr("a-guess"))
    with (
        closing(ServiceNowClient(settings)) as client,
        pytest.raises(FatalError, match="FLEETPULSE_SERVICENOW__PASSWORD") as caught,
    ):
        client.create({})
    assert "a-guess" not in str(caught.value)


def test_tls_is_checked_against_the_authority_that_is_set(
    https_instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = settings_for(https_instance.url, ca_file=https_instance.ca_file)
    with closing(ServiceNowClient(trusting)) as client:
        assert client.create({}).number == "INC0010001"
    with (
        closing(ServiceNowClient(settings_for(https_instance.url))) as client,
        pytest.raises(FatalError, match="FLEETPULSE_SERVICENOW__CA_FILE"),
    ):
        client.create({})
