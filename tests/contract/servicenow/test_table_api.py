"""What the Table API answers, to the header: the traps that a bridge has to survive."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox.servicenow.faults import Failure, LostAnswer, Plan
from sandbox.servicenow.testing import Instance


@pytest.fixture
def table(instance: Instance) -> str:
    return f"{instance.url}/api/now/table/incident"


@pytest.fixture
def session(instance: Instance) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = instance.account
        yield session


def count(session: requests.Session, table: str) -> int:
    return int(session.get(table, params={"sysparm_limit": "1"}).headers["X-Total-Count"])


def test_without_credentials_nothing_is_told(table: str) -> None:
    answer = requests.get(table, timeout=5)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'BASIC realm="Service-now"'
    assert answer.json() == {
        "error": {
            "message": "User Not Authenticated",
            "detail": "Required to provide Auth information",
        },
        "status": "failure",
    }


def test_health_is_open(instance: Instance) -> None:
    assert requests.get(f"{instance.url}/health", timeout=5).status_code == 200


def test_a_created_record_is_where_its_location_says(table: str, session: requests.Session) -> None:
    created = session.post(table, json={"short_description": "Too warm"})
    assert created.status_code == 201
    assert session.get(created.headers["Location"]).json()["result"]["number"] == "INC0010001"


def test_an_unknown_record_is_404_in_the_platforms_words(
    table: str, session: requests.Session
) -> None:
    answer = session.get(f"{table}/{'0' * 32}")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": "No Record found",
        "detail": "Record doesn't exist or ACL restricts the record retrieval",
    }


def test_an_unknown_table_and_broken_json_are_400(
    instance: Instance, table: str, session: requests.Session
) -> None:
    unknown = session.get(f"{instance.url}/api/now/table/incidents")
    assert unknown.status_code == 400
    assert unknown.json()["error"]["message"] == "Invalid table incidents"
    assert session.post(table, data=b"{").status_code == 400
    assert session.post(table, data=b"[]").status_code == 400


def test_a_correlation_id_is_not_unique(table: str, session: requests.Session) -> None:
    for _ in range(2):
        assert session.post(table, json={"correlation_id": "same"}).status_code == 201
    assert count(session, table) == 2


def test_unknown_fields_of_a_body_are_ignored(table: str, session: requests.Session) -> None:
    answer = session.post(table, json={"no_such_field": "x", "sys_id": "mine"})
    result = answer.json()["result"]
    assert "no_such_field" not in result
    assert result["sys_id"] != "mine"


def test_references_are_linked_unless_that_is_declined(
    table: str, session: requests.Session
) -> None:
    session.post(table, json={"cmdb_ci": "VM-000001"})
    linked = session.get(table).json()["result"][0]["cmdb_ci"]
    assert linked["link"].endswith(f"/api/now/table/cmdb_ci/{linked['value']}")
    plain = session.get(table, params={"sysparm_exclude_reference_link": "true"})
    assert plain.json()["result"][0]["cmdb_ci"] == linked["value"]


def test_only_the_wanted_fields_come(table: str, session: requests.Session) -> None:
    session.post(table, json={})
    answer = session.get(table, params={"sysparm_fields": "number,bogus"})
    assert answer.json()["result"] == [{"number": "INC0010001"}]


def test_the_link_header_leads_through_all_pages(table: str, session: requests.Session) -> None:
    for _ in range(3):
        session.post(table, json={})
    first = session.get(
        table, params={"sysparm_limit": "2", "sysparm_query": "active=true^ORDERBYnumber"}
    )
    assert first.headers["X-Total-Count"] == "3"
    assert set(first.links) == {"first", "next", "last"}
    second = session.get(first.links["next"]["url"])
    assert [row["number"] for row in second.json()["result"]] == ["INC0010003"]
    assert set(second.links) == {"first", "prev", "last"}


def test_resolving_needs_code_and_notes_and_reopening_clears_them(
    table: str, session: requests.Session
) -> None:
    url = session.post(table, json={}).headers["Location"]
    refused = session.patch(url, json={"state": "6", "close_code": "Solution provided"})
    assert refused.status_code == 403
    assert refused.json()["error"] == {
        "message": "Operation Failed",
        "detail": "Data Policy Exception: The following fields are mandatory: Resolution notes",
    }
    notes = {"state": "6", "close_code": "Solution provided", "close_notes": "Cooled down"}
    resolved = session.put(url, json=notes).json()["result"]
    assert (resolved["state"], resolved["incident_state"]) == ("6", "6")
    assert resolved["resolved_at"] == resolved["sys_updated_on"]
    reopened = session.patch(url, json={"state": "2"}).json()["result"]
    assert (reopened["resolved_at"], reopened["close_code"]) == ("", "")
    assert reopened["reopen_count"] == "1"


def test_an_hours_quota_answers_429_with_the_time_to_wait(
    instance: Instance, table: str, session: requests.Session
) -> None:
    instance.plan(Plan(requests_per_hour=1))
    allowed = session.get(table)
    assert allowed.headers["X-RateLimit-Limit"] == "1"
    refused = session.post(table, json={})
    assert refused.status_code == 429
    assert refused.json()["error"]["message"] == "Rate limit exceeded"
    reset = int(allowed.headers["X-RateLimit-Reset"])
    assert abs(time.time() + int(refused.headers["Retry-After"]) - reset) < 5
    instance.plan(Plan())
    assert count(session, table) == 0


def test_planned_failures_take_no_effect_and_run_out(
    instance: Instance, table: str, session: requests.Session
) -> None:
    instance.plan(Plan(fail=Failure(status=503, count=1, methods=("POST",), retry_after_s=7)))
    refused = session.post(table, json={})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "7")
    assert count(session, table) == 0
    assert session.post(table, json={}).status_code == 201


def test_a_lost_answer_comes_after_the_write(
    instance: Instance, table: str, session: requests.Session
) -> None:
    instance.plan(Plan(lose_answer=LostAnswer()))
    with pytest.raises(requests.exceptions.RequestException):
        session.post(table, json={})
    assert count(session, table) == 1


def test_a_query_on_an_unknown_field_can_be_made_to_return_nothing(
    instance: Instance, table: str, session: requests.Session
) -> None:
    session.post(table, json={})
    params = {"sysparm_query": "corelation_id=x"}
    assert len(session.get(table, params=params).json()["result"]) == 1
    instance.plan(Plan(invalid_query_returns_no_rows=True))
    assert session.get(table, params=params).json()["result"] == []


def test_a_misspelt_plan_is_refused(instance: Instance, session: requests.Session) -> None:
    answer = session.put(f"{instance.url}/_control", json={"fial": {"status": 500}})
    assert answer.status_code == 400
    assert "fial" in answer.json()["error"]["detail"]


def test_pages_show_incidents_and_escape_what_they_say(
    instance: Instance, table: str, session: requests.Session
) -> None:
    bad = "<script>alert(1)</script>"
    session.post(table, json={"short_description": bad, "work_notes": bad, "cmdb_ci": bad})
    for path in ("/", "/?show=open", "/incident/INC0010001"):
        page = requests.get(f"{instance.url}{path}", timeout=5)
        assert page.status_code == 200
        assert "INC0010001" in page.text
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text
    assert requests.get(f"{instance.url}/incident/INC1", timeout=5).status_code == 404


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    account = ("somebody", "a-secret")
    for expected in (1, 2):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox.servicenow"),
                *("--port", str(port), "--database", str(tmp_path / "instance.db")),
            ],
            env={"SERVICENOW_USERNAME": account[0], "SERVICENOW_PASSWORD": account[1]},
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(f"{url}/health")
            created = requests.post(
                f"{url}/api/now/table/incident", json={}, auth=account, timeout=5
            )
            assert created.json()["result"]["number"] == f"INC001000{expected}"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.exceptions.ConnectionError:
            assert time.monotonic() < deadline, f"{url} did not answer"
        else:
            return
