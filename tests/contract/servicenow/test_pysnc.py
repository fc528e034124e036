"""ServiceNow's own Python client, against the sandbox: it knows nothing of us."""

from collections.abc import Iterator

import pytest
from pysnc import GlideRecord, ServiceNowClient
from pysnc.exceptions import AuthenticationException, InsertException, RoleException

from sandbox.servicenow.testing import Instance


@pytest.fixture
def client(https_instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceNowClient]:
    # It overrides what the client is told to trust, so it is set to the same.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(https_instance.ca_file))
    client = ServiceNowClient(
        https_instance.url, https_instance.account, verify=str(https_instance.ca_file)
    )
    yield client
    client.session.close()


def insert(client: ServiceNowClient, **fields: str) -> GlideRecord:
    record = client.GlideRecord("incident")
    record.initialize()
    for name, value in fields.items():
        record.set_value(name, value)
    assert record.insert() is not None
    return record


def numbers(record: GlideRecord) -> list[str]:
    record.query()
    return [str(each.number) for each in record]


def test_an_inserted_incident_comes_back_with_what_the_instance_computes(
    client: ServiceNowClient,
) -> None:
    record = insert(client, short_description="Too warm", impact="1", urgency="2")
    assert record.number == "INC0010001"
    assert record.get_display_value("priority") == "2 - High"
    assert record.get_display_value("state") == "New"
    assert len(record.get_value("sys_id")) == 32


def test_an_incident_is_found_by_its_sys_id_and_by_a_field(client: ServiceNowClient) -> None:
    sys_id = insert(client, correlation_id="episode-1").get_value("sys_id")
    record = client.GlideRecord("incident")
    assert record.get(sys_id)
    assert record.correlation_id == "episode-1"
    again = client.GlideRecord("incident")
    assert again.get("correlation_id", "episode-1")
    assert again.sys_id == sys_id


def test_a_sys_id_that_nobody_has_is_not_found(client: ServiceNowClient) -> None:
    assert not client.GlideRecord("incident").get("0" * 32)


def test_references_show_names_and_keep_sys_ids(client: ServiceNowClient) -> None:
    record = insert(client, assignment_group="Refrigeration")
    assert record.get_display_value("assignment_group") == "Refrigeration"
    assert len(record.get_value("assignment_group")) == 32


def test_an_update_changes_what_was_set_and_nothing_else(client: ServiceNowClient) -> None:
    record = insert(client, short_description="Too warm", description="9.4 °C")
    record.set_value("state", "2")
    record.set_value("work_notes", "A technician is on the way")
    assert record.update() is not None
    again = client.GlideRecord("incident")
    assert again.get(record.get_value("sys_id"))
    assert again.get_display_value("state") == "In Progress"
    assert again.get_value("incident_state") == "2"
    assert again.description == "9.4 °C"
    assert "A technician is on the way" in again.get_display_value("work_notes")
    assert again.get_value("work_notes") == ""


def test_resolving_without_a_code_is_refused(client: ServiceNowClient) -> None:
    record = insert(client, short_description="Too warm")
    record.set_value("state", "6")
    with pytest.raises(RoleException, match="Data Policy Exception"):
        record.update()


def test_posting_a_resolved_incident_needs_the_code_too(client: ServiceNowClient) -> None:
    record = client.GlideRecord("incident")
    record.initialize()
    record.set_value("state", "6")
    with pytest.raises((RoleException, InsertException)):
        record.insert()


def test_a_query_pages_through_all_records(client: ServiceNowClient) -> None:
    for index in range(5):
        insert(client, short_description=f"Machine {index}")
    record = client.GlideRecord("incident", batch_size=2)
    record.order_by("number")
    assert numbers(record) == [f"INC001000{n}" for n in range(1, 6)]
    assert record.get_row_count() == 5


def test_a_limit_and_an_order_are_kept(client: ServiceNowClient) -> None:
    for _ in range(3):
        insert(client)
    record = client.GlideRecord("incident")
    record.order_by_desc("number")
    record.limit = 2
    assert numbers(record) == ["INC0010003", "INC0010002"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("impact=1", ["INC0010001"]),
        ("impact!=1", ["INC0010002", "INC0010003"]),
        ("impactIN1,2", ["INC0010001", "INC0010002"]),
        ("short_descriptionLIKEwarm", ["INC0010001", "INC0010002"]),
        ("short_descriptionSTARTSWITHtoo", ["INC0010001"]),
        ("cmdb_ciISEMPTY", ["INC0010002", "INC0010003"]),
        ("cmdb_ciISNOTEMPTY", ["INC0010001"]),
        ("impact>1", ["INC0010002", "INC0010003"]),
        ("impact>=2^impact<=2", ["INC0010002"]),
        ("impact=1^ORimpact=3", ["INC0010001", "INC0010003"]),
        ("impact=1^cmdb_ciISEMPTY^NQimpact=3", ["INC0010003"]),
        ("no_such_field=1", ["INC0010001", "INC0010002", "INC0010003"]),
    ],
)
def test_encoded_queries(client: ServiceNowClient, query: str, expected: list[str]) -> None:
    insert(client, short_description="Too warm", impact="1", cmdb_ci="VM-000001")
    insert(client, short_description="Warm again", impact="2")
    insert(client, short_description="Silent", impact="3")
    record = client.GlideRecord("incident")
    record.add_encoded_query(query)
    record.order_by("number")
    assert numbers(record) == expected


def test_conditions_of_the_client_are_understood(client: ServiceNowClient) -> None:
    insert(client, impact="1")
    insert(client, impact="2", cmdb_ci="VM-000002")
    record = client.GlideRecord("incident")
    record.add_active_query()
    record.add_query("impact", "1").add_or_condition("impact", "2")
    record.add_not_null_query("cmdb_ci")
    assert numbers(record) == ["INC0010002"]


def test_a_deleted_incident_is_gone_and_its_number_is_not_given_again(
    client: ServiceNowClient,
) -> None:
    record = insert(client)
    assert record.delete()
    assert not client.GlideRecord("incident").get(record.get_value("sys_id"))
    assert insert(client).number == "INC0010002"


def test_a_wrong_password_is_refused(https_instance: Instance, client: ServiceNowClient) -> None:
    stranger = ServiceNowClient(
        https_instance.url, ("fleetpulse", "guess"), verify=str(https_instance.ca_file)
    )
    with pytest.raises(AuthenticationException, match="User Not Authenticated"):
        stranger.GlideRecord("incident").get("0" * 32)
    stranger.session.close()
