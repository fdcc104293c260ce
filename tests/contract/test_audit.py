"""The audit: who changed which job, when and why, read page by page."""

from __future__ import annotations

from uuid import UUID

import pytest

from jobs.core.errors import InvalidInput
from jobs.core.paging import encode_change
from jobs.core.ports.jobs import Change
from jobs.core.queries import AuditQuery
from tests.contract.stores import MINUTE, NOON, Stores


def pause(stores: Stores, job, actor=None, **fields):
    changed = stores.jobs.change(stores.read(job.id), Change("pause", {"paused": True}, **fields), actor=actor)
    assert changed is not None
    return changed


def found(stores: Stores, **query):
    return stores.audit_log.find(AuditQuery(**query))


def test_a_change_is_kept_with_its_reason_and_what_was_before(stores):
    job = stores.add("a", handler_name="Send")
    pause(stores, job, "ann", reason="it floods", before='{"payload":{"n":1234567890123456789012345678901234567890}}')
    [entry] = found(stores).entries
    assert entry.model_dump() == {
        "job_id": job.id, "job_name": "a", "handler_name": "Send", "at": NOON, "actor": "ann", "action": "pause",
        "reason": "it floods", "revision": 2, "operation": None,
        "before": {"payload": {"n": 1234567890123456789012345678901234567890}},
    }  # fmt: skip


def test_a_change_without_a_reason_has_none(stores):
    pause(stores, stores.add())
    [entry] = found(stores).entries
    assert (entry.actor, entry.reason, entry.before) == (None, None, None)


def test_changes_can_be_asked_for_by_job_actor_action_and_time(stores):
    first, second = stores.add("first"), stores.add("second")
    pause(stores, first, "ann")
    stores.pass_time(MINUTE)
    pause(stores, second, "bob")
    stores.jobs.change(stores.read(second.id), Change("resume", {"paused": False}), actor="ann")

    def seen(**query):
        return [(entry.job_name, entry.actor, entry.action) for entry in found(stores, **query).entries]

    assert seen(job_id=first.id) == [("first", "ann", "pause")]
    assert seen(job_id=second.id) == [("second", "ann", "resume"), ("second", "bob", "pause")]
    assert seen(actor="bob") == [("second", "bob", "pause")]
    assert seen(actor=["bob", "ann"], action=["pause"]) == [("second", "bob", "pause"), ("first", "ann", "pause")]
    assert seen(after=NOON + MINUTE, action="pause") == [("second", "bob", "pause")]
    assert seen(before=NOON + MINUTE) == [("first", "ann", "pause")]
    assert seen(actor="nobody") == []


def test_pages_lose_and_double_nothing_though_all_changes_are_of_one_instant(stores):
    jobs = [stores.add(f"job {number}") for number in range(3)]
    for job in jobs:
        for _ in range(4):
            pause(stores, job)
    whole = found(stores, limit=100).entries
    pages, cursor = [], None
    while True:
        page = found(stores, limit=5, cursor=cursor)
        pages.append(page.entries)
        if (cursor := page.cursor) is None:
            break
    assert [len(page) for page in pages] == [5, 5, 2]
    assert [entry for page in pages for entry in page] == whole
    assert len({(entry.job_id, entry.revision) for entry in whole}) == 12


def test_a_page_ends_early_once_it_is_large(stores):
    job = stores.add()
    for _ in range(8):
        pause(stores, job, before='{"payload":"%s"}' % ("x" * 250_000))
    page = found(stores)
    assert 1 <= len(page.entries) < 8
    assert page.cursor is not None


@pytest.mark.parametrize("cursor", ["x", "", "MjAyNg", encode_change(NOON, UUID(int=1), 1)[:-9]])
def test_a_cursor_that_is_none_is_refused(stores, cursor):
    with pytest.raises(InvalidInput, match="not a cursor"):
        found(stores, cursor=cursor)


def test_a_job_that_is_pruned_takes_its_changes_along(stores):
    job = stores.running("ended")
    stores.finish(job)
    stores.jobs.change(stores.read(job.job_id), Change("note", {"max_retries": 1}))
    assert len(found(stores).entries) == 1
    stores.pass_time(2 * MINUTE)
    assert stores.housekeeping.prune(10, MINUTE, keep=20) == 1
    assert found(stores).entries == []
