"""Payloads that an older release wrote are brought up to date, one version at a time."""

import pytest
from pydantic import BaseModel

from jobs.core.errors import HandlerRegistrationError, InvalidInput
from jobs.core.handlers.arguments.versions import NewerPayload
from jobs.core.handlers.registry import HandlerRegistry


class Mail(BaseModel):
    recipients: list[str]
    subject: str


def send(args: Mail) -> None: ...


def several_recipients(payload: dict) -> dict:
    return {**payload, "recipients": [payload["to"]]}


def a_subject(payload: dict) -> dict:
    return {"subject": "(none)", **payload}


def registered(**options):
    return HandlerRegistry().add_handler("SendMail", send, **options)


@pytest.fixture
def spec():
    return registered(version=3, upcasters={1: several_recipients, 2: a_subject})


@pytest.mark.parametrize(
    ("version", "payload"),
    [
        (1, '{"to": "a"}'),
        (2, '{"recipients": ["a"]}'),
        (3, '{"recipients": ["a"], "subject": "(none)"}'),
        (None, '{"recipients": ["a"], "subject": "(none)"}'),
    ],
)
def test_a_payload_of_any_version_is_read_as_the_present_one(spec, version, payload):
    assert spec.read_arguments(payload, version) == Mail(recipients=["a"], subject="(none)")


def test_a_payload_of_a_later_release_is_told_as_such(spec):
    with pytest.raises(NewerPayload, match="of version 4, and this release's handler reads up to version 3"):
        spec.read_arguments("{}", 4)


def test_an_upcaster_that_fails_is_named_and_the_payload_is_not_shown(spec):
    with pytest.raises(
        InvalidInput, match=r"upcaster from version 1, .*several_recipients\), failed with a KeyError"
    ) as e:
        spec.read_arguments('{"secret": 1}', 1)
    assert "secret" not in str(e.value)


def test_what_upcasters_make_is_held_to_the_model(spec):
    with pytest.raises(InvalidInput, match="/payload/recipients"):
        spec.read_arguments('{"recipients": 7}', 2)


def test_an_upcaster_that_gives_no_json_is_told(spec):
    broken = registered(version=2, upcasters={1: lambda payload: {"recipients": {1, 2}}})
    with pytest.raises(InvalidInput, match="not a JSON value"):
        broken.read_arguments("{}", 1)


async def asynchronous(payload: dict) -> dict:
    return payload


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"version": 2}, r"leaves jobs of version 1 behind; give upcasters=\{1: function\}"),
        ({"version": 3, "upcasters": {1: a_subject}}, "leaves jobs of version 2 behind"),
        ({"version": 1, "upcasters": {1: a_subject}}, "from version 1 is never used; say version=2"),
        ({"version": 0}, "a whole number from 1, not 0"),
        ({"version": "2"}, "a whole number from 1"),
        ({"version": 2, "upcasters": {1: asynchronous}}, "a plain function"),
        ({"version": 2, "upcasters": {1: {"a": "b"}}}, "a plain function"),
    ],
)
def test_versions_without_their_upcasters_are_refused_with_the_place_and_the_mend(options, why):
    with pytest.raises(HandlerRegistrationError, match=why) as refused:
        registered(**options)
    assert __file__ in str(refused.value)
