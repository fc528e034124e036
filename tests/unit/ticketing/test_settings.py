"""Which settings are refused, before anything is sent."""

import pytest
from pydantic import ValidationError

from ticketing.settings import ServiceNowSettings


def make(**changes: object) -> ServiceNowSettings:
    facts = {"url": "https://example.service-now.com", "username": "u", "password": "p"}
    return ServiceNowSettings.model_validate(facts | changes)


def test_a_slash_at_the_end_of_the_address_does_not_matter() -> None:
    assert make(url="https://example.service-now.com/").url == "https://example.service-now.com"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"])
def test_plain_http_is_accepted_to_this_machine(url: str) -> None:
    assert make(url=url).url == url


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"url": "http://example.service-now.com"}, "clear text"),
        ({"url": "example.service-now.com"}, "must be https"),
        ({"url": "https://me:pw@example.service-now.com"}, "must not carry credentials"),
        ({"lease_s": 30, "read_timeout_s": 30}, "lease_s must be longer"),
        ({"create_grace_s": -1}, "greater than or equal to 0"),
        ({"pasword": "x"}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_a_reason(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        make(**changes)


def test_the_password_is_in_no_representation() -> None:
    assert "only-mine" not in repr(make(password="only-mine"))
