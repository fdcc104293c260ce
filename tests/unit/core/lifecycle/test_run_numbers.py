"""A run number, and so the idempotency key that is made of it, is never used again once that run has succeeded."""

from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from jobs import Cancel, Discard, JobContext, Retry, Snooze, handler
from jobs.core.commands import UpdateJob
from jobs.core.errors import Conflict
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import JobsHarness
from tests.sizes import examples
from tests.support import handle_alarm

ENDS: dict[str, Exception | None] = {
    "succeed": None,
    "fail": ValueError("it failed"),
    "retry": Retry(after=1),
    "discard": Discard("no use"),
    "snooze": Snooze(1),
    "cancel": Cancel("no more"),
}
LEASE = timedelta(minutes=5)


class Nothing(BaseModel):
    pass


class World:
    """One job, whose next attempt ends as it is told to; ``succeeded`` lists the keys of the attempts that did well."""

    def __init__(self, schedule: str) -> None:
        self.end: Exception | None = None
        self.succeeded: list[str] = []

        @handler("Work")
        def work(args: Nothing, ctx: JobContext) -> None:
            if self.end is not None:
                raise self.end
            self.succeeded.append(ctx.idempotency_key)

        self.harness = JobsHarness([work])
        self.job_id = self.harness.enqueue("Work", schedule=schedule, max_retries=1).id

    def do(self, step: str) -> None:
        service, parts = self.harness.runtime.service, self.harness.runtime
        self.harness.clock.advance(timedelta(hours=1))
        if step in ENDS:
            self.end = ENDS[step]
            job = service.get(self.job_id)
            handle_alarm(parts, AlarmName(job.id, job.generation))
        elif step == "lose":
            job = service.get(self.job_id)
            run = parts.pipeline.claims.by_alarm(AlarmName(job.id, job.generation), alone=True)
            if run is not None:
                parts.pipeline._leases.release(run)
                self.harness.clock.advance(LEASE)
                parts.reconciler.run()
        else:
            try:
                if step == "replay":
                    service.retry(self.job_id)
                elif step == "delete":
                    service.cancel(self.job_id)
                else:
                    service.update(self.job_id, UpdateJob(schedule=step))
            except Conflict:
                pass


STEPS = [*ENDS, "lose", "lose", "lose", "replay", "replay", "delete", "@every 30m", "PT1M"]


@settings(max_examples=examples(40), deadline=None)
@given(st.sampled_from(["@once", "@every 30m"]), st.lists(st.sampled_from(STEPS), max_size=25))
@example("@once", ["succeed", "replay", *["lose"] * 5, "replay", "succeed"])
def test_no_sequence_of_ends_losses_and_replays_uses_the_number_of_a_success_again(schedule, steps):
    world = World(schedule)
    with world.harness:
        for step in steps:
            world.do(step)
    assert len(set(world.succeeded)) == len(world.succeeded), world.succeeded


def test_a_job_that_succeeded_and_was_then_lost_to_failed_gets_a_new_number_when_it_is_replayed():
    world = World("@once")
    with world.harness:
        for step in ("succeed", "replay", "lose", "lose", "lose"):
            world.do(step)
        assert world.harness.runtime.service.get(world.job_id).status is JobStatus.FAILED
        for step in ("replay", "succeed"):
            world.do(step)
    assert [key.rpartition("/")[2] for key in world.succeeded] == ["1", "2"], world.succeeded


def test_a_failed_run_that_is_replayed_keeps_its_number():
    world = World("@once")
    with world.harness:
        for step in ("fail", "fail", "replay", "succeed"):
            world.do(step)
        assert world.harness.runtime.service.get(world.job_id).run_count == 1
    assert len(world.succeeded) == 1
