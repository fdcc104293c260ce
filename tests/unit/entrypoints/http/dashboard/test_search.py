"""What is typed into the dashboard's search box, and the query that it is."""

from __future__ import annotations

import pytest

from jobs.core.errors import InvalidInput
from jobs.entrypoints.http.dashboard.search import QUALIFIERS, qualified, quoted, search_of, suggestions, terms_of
from jobs.entrypoints.http.filters import query_of


@pytest.mark.parametrize(
    ("typed", "parameters"),
    [
        ("", {}),
        ("handler:SendEmail status:Failed", {"handler_name": "SendEmail", "status": "Failed"}),
        ("name:order-*", {"job_name": "order-*"}),
        ("order-", {"job_name": "order-*"}),
        ("100*", {"job_name": "100\\**"}),
        ('"two words"', {"job_name": "two words*"}),
        ('name:"a, b*"', {"job_name": "a\\, b\\*"}),
        ('name:"say \\"hello\\""', {"job_name": 'say "hello"'}),
        ("status:Failed status:Cancelled", {"status": "Failed,Cancelled"}),
        ("status:Failed,Cancelled", {"status": "Failed,Cancelled"}),
        ("metadata.OrderId:1 overdue:true", {"metadata.OrderId": "1", "overdue": "true"}),
        ('metadata."a key: b":"x y"', {"metadata.a key: b": "x y"}),
        ("  paused:true\t recurring:false ", {"paused": "true", "recurring": "false"}),
        ("due_before:2026-12-01T09:00:00Z", {"due_before": "2026-12-01T09:00:00Z"}),
        ("parent:01920000-0000-7000-8000-000000000000", {"parent_id": "01920000-0000-7000-8000-000000000000"}),
        ("name:a/b", {"job_name": "a/b"}),
    ],
)
def test_a_search_is_the_query_of_a_list(typed, parameters):
    assert search_of(typed) == query_of(parameters)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("handlr:X", "there is no qualifier handlr; there are handler, name"),
        ("status:", "status: has no value; write such as status:Failed"),
        ("status:failed", "no status is 'failed'"),
        ("overdue:perhaps", "neither true nor false"),
        ("created_after:monday", "instant"),
    ],
)
def test_one_that_cannot_be_read_says_why(typed, told):
    with pytest.raises(InvalidInput) as raised:
        search_of(typed)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "name", ["plain", "a/b", "two words", 'with "quotes"', "back\\slash", "a,b*", "metadata.x:1", ""]
)
def test_a_quoted_value_is_found_as_it_is(name):
    if name:
        assert search_of(f"name:{quoted(name)}").job_name == (name,)
    assert [term.key for term in terms_of(f"handler:{quoted(name)} status:Failed")] == ["handler", "status"]


def test_another_value_of_a_qualifier_leaves_the_rest_of_a_search_as_it_is():
    assert qualified('status:Failed name:"a b" x', "status", "Running") == 'name:"a b" x status:Running'
    assert qualified("status:Failed", "status", None) == ""


def test_what_is_suggested_can_be_read():
    found = suggestions(["SendEmail", "Two words"], ["Order Id", "Domain"])
    assert 'handler:"Two words"' in found
    assert {each.partition(":")[0].partition(".")[0] for each in found} == {each.rstrip(".") for each in QUALIFIERS}
    for each in found:
        search_of(each if not each.endswith(":") else f"{each}2026-12-01T09:00:00Z" if "_" in each else "")
