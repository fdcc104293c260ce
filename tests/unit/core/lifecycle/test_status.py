from __future__ import annotations

import itertools

import pytest

from jobs.core.lifecycle.status import ENDED, TRANSITIONS, AttemptOutcome, JobStatus


def test_the_five_words_are_these_exactly():
    assert [status.value for status in JobStatus] == ["Scheduled", "Running", "Completed", "Failed", "Cancelled"]


def test_a_status_reads_as_its_word_wherever_it_is_put():
    assert f"{JobStatus.RUNNING}" == str(JobStatus.RUNNING) == "Running"
    assert JobStatus("Failed") is JobStatus.FAILED


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_is_either_active_or_ended(status):
    assert status.active is not status.ended
    assert status.ended is (status in ENDED)


def test_what_has_ended_is_completed_failed_or_cancelled():
    assert {status for status in JobStatus if status.ended} == {"Completed", "Failed", "Cancelled"}


def test_from_every_state_it_is_written_down_where_a_job_may_go():
    assert TRANSITIONS.keys() == set(JobStatus)


def test_out_of_an_ended_state_only_a_replay_leads_and_it_leads_to_scheduled():
    for status in ENDED:
        assert TRANSITIONS[status] == {JobStatus.SCHEDULED}


def test_only_a_claim_leads_to_running_and_only_from_scheduled():
    assert [status for status in JobStatus if JobStatus.RUNNING in TRANSITIONS[status]] == [JobStatus.SCHEDULED]


def test_a_waiting_job_neither_completes_nor_fails_by_itself():
    assert TRANSITIONS[JobStatus.SCHEDULED].isdisjoint({JobStatus.COMPLETED, JobStatus.FAILED})


def test_every_state_can_be_reached_from_every_other():
    reached = {status: set(TRANSITIONS[status]) for status in JobStatus}
    for _ in JobStatus:
        for status in JobStatus:
            reached[status] |= set(itertools.chain.from_iterable(reached[other] for other in reached[status]))
    assert all(reached[status] == set(JobStatus) for status in JobStatus)


def test_the_history_keeps_these_outcomes():
    assert {outcome.value for outcome in AttemptOutcome} == {
        *("Succeeded", "Failed", "TimedOut", "InvalidPayload", "Discarded", "Cancelled", "Snoozed", "Skipped"),
        *("UnknownHandler", "Released", "Lost"),
    }
