"""A random walk that gives two stores the same commands and compares every answer.

Each command is drawn once and put to both; what only one store can know, the tokens of leases, is given a number in the
order of claims before answers are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from jobs.app.commands import job_changes
from jobs.core.errors import JobsError
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.clock_setback import SetBack, WaitingJob
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import ClaimedRun, Job, Lease, RecordedOutcome, RunResult, Tally
from jobs.core.lifecycle.limits import LimitFlag, Limits, Rate
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.ports.housekeeping import HistoryLimit, PrunedHistory
from jobs.core.ports.jobs import Change, NewJob
from jobs.core.queries import FailureQuery, JobQuery
from tests.contract.stores import LEASE, Stores
from tests.support import new_job

NAMES = list("abcdefgh")
HANDLERS = ["Noop", "Mail"]
LIMITS = [
    Limits(concurrency=1),
    Limits(concurrency=2, concurrency_key=str),
    Limits(concurrency_key=str),
    Limits(rate=Rate(1, timedelta(minutes=10))),
]
METADATA = ["{}", '{"k": 1}', '{"k": "1"}', '{"k": [1, {"l": null}]}']
READINGS: list[Any] = [1, "1", [1], [], {}, [{"l": None}], None]
INSTANTS = [f"{name}_{bound}" for name in ("created", "ended", "due") for bound in ("before", "after")]
STEPS = [0.000001, 1, 30, 61, 601, 90_000]
Tokens = dict[int, str]
Ask = Callable[[Stores, Tokens], Any]


class Disagreement(AssertionError):
    """The stores gave different answers."""


class Walk:
    """One walk; ``told`` lists its commands so far."""

    def __init__(self, left: Stores, right: Stores, seed: int) -> None:
        self.sides: list[tuple[Stores, Tokens]] = [(left, {}), (right, {})]
        self.random = Random(seed)
        self.told: list[str] = []
        self.ids: list[UUID] = [new_id()]
        self.runs: list[ClaimedRun] = []  # with a number in the token's place
        self.jobs: list[Job] = []

    @property
    def now(self) -> datetime:
        return self.sides[0][0].clock.now()

    def both(self, what: str, ask: Ask) -> Any:
        """Put a command to both stores; gives their one answer."""
        self.told.append(what)
        answers = [self._answer(stores, tokens, ask) for stores, tokens in self.sides]
        if answers[0] != answers[1]:
            raise Disagreement("\n".join([*self.told[-12:], f"left:  {answers[0]!r}", f"right: {answers[1]!r}"]))
        return answers[0]

    def _answer(self, stores: Stores, tokens: Tokens, ask: Ask) -> Any:
        try:
            answer = ask(stores, tokens)
        except JobsError as error:
            return type(error), str(error)
        return _numbered(answer, tokens)

    def go(self, steps: int) -> None:
        ways = [getattr(self, name) for name in sorted(dir(type(self))) if name.startswith("do_")]
        for _ in range(steps):
            for stores, _tokens in self.sides:
                stores.pass_time(timedelta(microseconds=1))
            self.random.choice(ways)()
        self.compare_all()

    def compare_all(self) -> None:
        page = self.both("find all", lambda stores, _: stores.jobs.find(JobQuery(limit=500)))
        for job in page.jobs:
            history = self.both(f"attempts {job.job_name}", lambda stores, _, job=job: stores.jobs.attempts(job.id))
            assert all(attempt.started_at <= attempt.finished_at for attempt in history), history
            if job.last_run_at is not None:
                assert job.last_run_at <= job.started_at, job
            if history:
                assert job.last_run_at <= max(attempt.started_at for attempt in history), (job, history)
        self.both("stats", lambda stores, _: stores.housekeeping.stats())
        self.both("failures", lambda stores, _: stores.failures.find(FailureQuery()))
        self.both("audit", lambda stores, _: stores.audit())

    # --- what can be drawn

    def _draft(self) -> NewJob:
        draw = self.random
        fresh = new_id()
        job_id = draw.choice([*self.ids[-3:], fresh]) if draw.random() < 0.2 else fresh
        self.ids.append(job_id)
        moments = [None, self.now, self.now + timedelta(minutes=10), self.now - timedelta(minutes=10)]
        return new_job(
            draw.choice(NAMES),
            id=job_id,
            handler_name=draw.choice(HANDLERS),
            schedule="@every 10m",
            recurring=draw.random() < 0.5,
            due_at=draw.choice(moments),
            scheduled_for=draw.choice(moments),
            anchor=draw.choice(moments),
            metadata=draw.choice(METADATA),
            payload=draw.choice(["1", '{"b": 1e2, "a": "ü"}']),
            max_retries=draw.randrange(3),
            options=draw.choice([None, '{"misfire":{"policy":"skip"}}']),
            timeout_seconds=draw.choice([None, 1.5]),
            created_by=draw.choice([None, "somebody"]),
            limited=draw.random() < 0.5,
            concurrency_key=draw.choice([None, "x", "y"]),
            parent_id=draw.choice([None, None, *self.ids[-4:-1]]),
        )

    def _job(self) -> Job | None:
        """Draw a job as it stands, or now and then as it once stood."""
        if self.jobs and self.random.random() < 0.2:
            return self.random.choice(self.jobs)
        job_id = self.random.choice(self.ids[-8:])
        job: Job | None = self.both(f"get {job_id}", lambda stores, _: stores.jobs.get(job_id))
        if job is not None:
            self.jobs = [*self.jobs[-20:], job]
        return job

    def _change(self, job: Job) -> Change | None:
        clock, draw = self.sides[0][0].clock, self.random
        retimed = {"schedule": "@every 20m", "next_run_at": self.now, "scheduled_for": self.now, "recurring": True}
        ways: list[Callable[[], Change | None]] = [
            lambda: job_changes.cancel(job),
            lambda: job_changes.pause(job),
            lambda: job_changes.resume(job, clock, Random(1)),
            lambda: job_changes.run_now(job),
            lambda: job_changes.retry(job, clock, Random(1), HandlerRegistry()),
            lambda: Change("update", {"metadata": draw.choice(METADATA), "max_retries": draw.randrange(3)}),
            lambda: Change("update", retimed if job.status is JobStatus.SCHEDULED else {}, new_generation=True),
        ]
        try:
            return draw.choice(ways)()
        except JobsError:
            return None

    def _outcome(self, run: ClaimedRun) -> RecordedOutcome:
        draw = self.random
        goes_on = draw.random() < 0.6
        result = draw.choice(
            [
                RunResult(AttemptOutcome.SUCCEEDED, result=draw.choice([None, "[1.50]", "null"])),
                RunResult(AttemptOutcome.UNKNOWN_HANDLER, draw.choice(["no such handler", "too old"])),
                RunResult(AttemptOutcome.FAILED, "it failed", retry=True, trace_id="trace", traceback="Traceback\n\0"),
            ]
        )
        return RecordedOutcome(
            run,
            result,
            JobStatus.SCHEDULED if goes_on else draw.choice([JobStatus.COMPLETED, JobStatus.FAILED]),
            self.now - timedelta(seconds=draw.choice([0, 2.5])),
            self.now,
            attempt=draw.randrange(3),
            due_at=self.now + timedelta(seconds=draw.choice([0, 60])) if goes_on else None,
            scheduled_for=self.now if goes_on and draw.random() < 0.5 else None,
            tally=draw.choice(list(Tally)),
            run_ended=draw.random() < 0.5,
            last_error=draw.choice([None, "it failed"]),
            lost_count=draw.choice([0, 0, run.lost_count]),
        )

    # --- the commands

    def do_pass_time(self) -> None:
        by = timedelta(seconds=self.random.choice(STEPS))
        self.both(f"pass {by}", lambda stores, _: stores.pass_time(by))

    def do_insert(self) -> None:
        new = self._draft()
        self.both(f"insert {new}", lambda stores, _: stores.jobs.insert(new))

    def do_insert_many(self) -> None:
        new = [self._draft() for _ in range(self.random.randrange(5))]
        self.both(f"insert_many {new}", lambda stores, _: stores.jobs.insert_many(new))

    def do_change(self) -> None:
        job = self._job()
        change = job and self._change(job)
        if job and change:
            self.both(f"change {job.job_name} {change}", lambda stores, _: stores.jobs.change(job, change, actor="me"))

    def do_replace(self) -> None:
        job, new = self._job(), self._draft()
        if job is not None:
            new = new if self.random.random() < 0.2 else new._replace(job_name=job.job_name)
            self.both(f"replace {job.job_name} {new}", lambda stores, _: stores.jobs.replace(job, new, actor="me"))

    def do_claim(self) -> None:
        job = self._job()
        if job is None:
            return
        name, alone = AlarmName(job.id, job.generation), self.random.random() < 0.5
        ask = lambda stores, _: stores.runs.claim(name, worker="one", lease=LEASE, alone=alone)  # noqa: E731
        what = f"claim {name} {alone}"
        self._note([self.both(what, lambda stores, tokens: self._claimed([ask(stores, tokens)], tokens))])

    def do_claim_due(self) -> None:
        limit = self.random.randrange(1, 4)

        def ask(stores: Stores, tokens: Tokens) -> list[ClaimedRun]:
            runs = stores.runs.claim_due(limit, worker="many", lease=LEASE)
            assert runs == sorted(runs, key=lambda run: run.due_at)
            return self._claimed(sorted(runs, key=lambda run: (run.due_at, run.job_id)), tokens)

        self._note([self.both(f"claim_due {limit}", ask)])

    def _claimed(self, runs: list[ClaimedRun | None], tokens: Tokens) -> list[ClaimedRun]:
        claimed = [run for run in runs if run is not None]
        for run in claimed:
            tokens[len(tokens)] = run.token
        return claimed

    def _note(self, answers: list[list[ClaimedRun]]) -> None:
        self.runs += [run for runs in answers for run in runs]

    def do_claim_limited(self) -> None:
        handler_name, limits = self.random.choice(HANDLERS), self.random.choice(LIMITS)
        limit, job = self.random.randrange(1, 4), self._job() if self.random.random() < 0.5 else None
        alarm, alone = job and AlarmName(job.id, job.generation), self.random.random() < 0.5

        def ask(stores: Stores, tokens: Tokens) -> Any:
            how = {"worker": "few", "lease": LEASE, "alarm": alarm, "alone": alone and alarm is not None}
            claim = stores.runs.claim_limited(handler_name, limits, limit, **how)
            runs = sorted(claim.runs, key=lambda run: (run.due_at, run.job_id))
            return [*self._claimed(runs, tokens), claim.wait_seconds]

        *runs, _ = self.both(f"claim_limited {handler_name} {limits} {limit} {alarm} {alone}", ask)
        self._note([runs])
        self.both("throttled_handlers", lambda stores, _: sorted(stores.runs.throttled_handlers(HANDLERS)))

    def do_label(self) -> None:
        limited, known = (self.random.sample(HANDLERS, self.random.randrange(3)) for _ in range(2))

        def ask(stores: Stores, _: Tokens) -> Any:
            found = stores.housekeeping.outdated_limit_flags(
                100, limited=limited, known=known, grace=timedelta(seconds=30)
            )
            return sorted(found)

        labels = [
            LimitFlag(job.id, job.handler_name in limited, "x")
            for job in self.both(f"outdated_limit_flags {limited}", ask)
        ]
        if labels:
            self.both(f"label {labels}", lambda stores, _: stores.housekeeping.set_limit_flags(labels))

    def do_measure(self) -> None:
        self.both("longest_wait", lambda stores, _: stores.housekeeping.longest_wait(3))
        window = timedelta(seconds=self.random.choice(STEPS))
        self.both(f"failures {window}", lambda stores, _: stores.housekeeping.recent_failures(window))

    def do_record(self) -> None:
        outcomes = [self._outcome(run) for run in {run.job_id: run for run in self._some_runs()}.values()]

        def ask(stores: Stores, tokens: Tokens) -> Any:
            own = [outcome._replace(run=_own(outcome.run, tokens)) for outcome in outcomes]
            return sorted(_numbered(stores.runs.record(own), tokens))

        self.both(f"record {outcomes}", ask)

    def do_reread_and_look_up(self) -> None:
        for run in self._some_runs():
            self.both(f"reread {run}", lambda stores, tokens, run=run: stores.runs.reread(_own(run, tokens)))
            self.both(f"recorded {run}", lambda stores, tokens, run=run: stores.runs.recorded(_own(run, tokens)))

    def do_heartbeat(self) -> None:
        runs = self._some_runs()
        self.both(
            f"extend {runs}",
            lambda stores, tokens: stores.runs.extend([Lease(r.job_id, _own(r, tokens).token) for r in runs], LEASE),
        )

    def do_look_for_requests(self) -> None:
        runs = self._some_runs()
        self.both(
            f"check_leases {runs}",
            lambda stores, tokens: stores.runs.check_leases([Lease(r.job_id, _own(r, tokens).token) for r in runs]),
        )

    def do_progress(self) -> None:
        for run in self._some_runs()[:1]:
            self.both(
                f"progress {run}",
                lambda stores, tokens, run=run: stores.runs.report_progress(
                    Lease(run.job_id, _own(run, tokens).token), 0.5, "half"
                ),
            )

    def _some_runs(self) -> list[ClaimedRun]:
        return self.random.sample(self.runs[-6:], min(len(self.runs), self.random.randrange(1, 4), 6))

    def do_arm(self) -> None:
        jobs = [job for job in (self._job(), self._job()) if job is not None]
        names = [AlarmName(job.id, job.generation) for job in jobs]
        self.both(f"mark_armed {names}", lambda stores, _: stores.jobs.mark_armed(names))
        self.both("waiting", lambda stores, _: sorted(stores.jobs.waiting_alarms(self.ids), key=str))

    def do_forget_armed(self) -> None:
        job = self._job()
        if job is not None:
            name = AlarmName(job.id, job.generation)
            self.both(f"forget_armed {name}", lambda stores, _: stores.jobs.forget_armed(name))

    def do_reap(self) -> None:
        most = self.random.randrange(1, 4)
        self.both(f"reap {most}", lambda stores, _: sorted(stores.housekeeping.reap(100, max_lost=most), key=str))
        self.both("due suspects", lambda stores, _: stores.runs.due_suspects(100))

    def do_convict(self) -> None:
        most = self.random.randrange(1, 4)

        def ask(stores: Stores, tokens: Tokens) -> Any:
            found = stores.runs.claim_convicted(100, max_lost=most, lease=LEASE)
            found.sort(key=lambda each: each.run.job_id)
            return [[*self._claimed([each.run], tokens), each.error] for each in found]

        self._note([[run for run, *_ in self.both(f"convict {most}", ask)]])

    def do_end_alone(self) -> None:
        for run in self._some_runs()[:1]:
            self.both(
                f"end alone {run}",
                lambda stores, tokens, run=run: stores.runs.end_alone(Lease(run.job_id, _own(run, tokens).token)),
            )

    def do_set_back(self) -> None:
        limit, last = self.random.randrange(1, 4), None
        seen: list[WaitingJob] = []

        def ask(stores: Stores, _: Tokens) -> list[WaitingJob]:
            page = stores.setbacks.waiting(limit, last).jobs
            return [job._replace(options=job.options and json.dumps(json.loads(job.options))) for job in page]

        while page := self.both(f"waiting {limit} {last}", ask):
            seen += page
            last = page[-1]
        moves = [
            SetBack(job.id, job.generation + self.random.choice([0, 0, 1]), self.now, self.now, job.anchor, 0)
            for job in self.random.sample(seen, min(len(seen), 2))
        ]
        if moves:
            self.both(f"set back {moves}", lambda stores, _: sorted(stores.setbacks.set_back(moves), key=str))
        self.both("latest record", lambda stores, _: stores.setbacks.latest_record())
        lease = timedelta(seconds=self.random.choice(STEPS))
        self.both(f"shorten leases {lease}", lambda stores, _: stores.setbacks.shorten_leases(lease))

    def do_list_alarms(self) -> None:
        limit, within = self.random.randrange(1, 5), timedelta(seconds=self.random.choice(STEPS))
        self.both(f"unarmed {limit} {within}", lambda stores, _: stores.housekeeping.unarmed(limit, within))
        self.both(f"overdue {limit} {within}", lambda stores, _: stores.housekeeping.overdue(limit, within))

    def do_prune(self) -> None:
        if self.random.random() < 0.7:
            return  # or little would ever be there to look at
        limit, retention = self.random.randrange(1, 4), timedelta(seconds=self.random.choice(STEPS[-2:]))
        self.both(f"prune {limit} {retention}", lambda stores, _: stores.housekeeping.prune(limit, retention, keep=3))

        page = HistoryLimit(limit, 1_000)

        def prune(stores: Stores, _: object) -> list[PrunedHistory]:
            pages = [PrunedHistory(0, 0, None, more=True)]
            while pages[-1].more:
                pages.append(stores.housekeeping.prune_history(page, retention, keep=3, after=pages[-1].after))
            return pages

        self.both(f"prune history {page} {retention}", prune)

    def do_find(self) -> None:
        draw = self.random
        query = JobQuery(
            status=draw.sample(list(JobStatus), draw.randrange(3)),
            handler_name=draw.choice([[], [], "Mail", ["Mail", "Noop"]]),
            job_name=draw.choice([[], [], "a", ["a", "b"]]),
            job_name_prefix=draw.choice([[], [], "a", ["c", "d"], ""]),
            parent_id=draw.sample(self.ids[-6:], 1) if draw.random() < 0.2 else [],
            paused=draw.choice([None, None, True, False]),
            recurring=draw.choice([None, None, True, False]),
            overdue=draw.choice([None, None, True, False]),
            **dict.fromkeys(draw.sample(INSTANTS, draw.choice([0, 0, 1, 2])), self.now),
            payloads=draw.random() < 0.5,
            metadata={"k": tuple(draw.sample(READINGS, 2))} if draw.random() < 0.5 else {},
            limit=draw.randrange(1, 4),
        )
        while query is not None:
            page = self.both(f"find {query}", lambda stores, _, query=query: stores.jobs.find(query))
            query = None if page.cursor is None else query.model_copy(update={"cursor": page.cursor})

    def do_look(self) -> None:
        name = self.random.choice(NAMES)
        self.both(f"holder {name}", lambda stores, _: stores.jobs.active_holder(name))
        self.compare_all()

    def do_lock(self) -> None:
        resource, token = self.random.choice("xy"), str(UUID(int=self.random.randrange(3)))
        ttl = timedelta(seconds=self.random.choice([1, 60]))
        way = self.random.choice(["acquire", "extend", "release"])
        asks: dict[str, Ask] = {
            "acquire": lambda stores, _: stores.locks.acquire(resource, token, holder="me", ttl=ttl),
            "extend": lambda stores, _: stores.locks.extend(resource, token, ttl),
            "release": lambda stores, _: stores.locks.release(resource, token),
        }
        self.both(f"{way} {resource} {token} {ttl}", asks[way])

    def do_once(self) -> None:
        key, body, answer = self.random.choice("kl"), self.random.choice("bc"), self.random.choice([None, "answer"])
        new, fails = self._draft(), self.random.random() < 0.3

        def ask(stores: Stores, _: Tokens) -> Any:
            with stores.jobs.once(key, body) as entry:
                found = entry.response, stores.jobs.insert(new, connection=entry.connection)
                if fails:
                    raise JobsError("the work under the key failed")
                if answer is not None:
                    entry.keep(answer)
                return found

        self.both(f"once {key} {body} {answer} {fails}", ask)

    def do_transaction(self) -> None:
        """A few commands in one transaction, seen from within and from outside, committed or not."""
        new, job, commits = self._draft(), self._job(), self.random.random() < 0.6
        change = job and self._change(job)
        outcomes = [self._outcome(run) for run in self._some_runs()[:1]]

        def ask(stores: Stores, tokens: Tokens) -> Any:
            called: list[str] = []
            transaction = stores.transactions.begin()
            try:
                connection = transaction.connection
                stores.jobs.on_commit(connection, lambda: called.append("committing"))
                seen = [stores.jobs.insert(new, connection=connection)]
                seen.append(stores.jobs.get(new.id, connection=connection))
                if job and change:
                    seen.append(stores.jobs.change(job, change, actor="us", connection=connection))
                own = [outcome._replace(run=_own(outcome.run, tokens)) for outcome in outcomes]
                seen.append(_numbered(stores.runs.record(own, connection=connection), tokens))
                seen += [stores.jobs.get(new.id), [stores.names(), stores.jobs.find(JobQuery(limit=500)).jobs]]
                if commits:
                    transaction.commit()
            finally:
                transaction.close()
            return [*seen, called, stores.jobs.get(new.id)]

        self.both(f"transaction {new} {change} {outcomes} {commits}", ask)


def _own(run: ClaimedRun, tokens: Tokens) -> ClaimedRun:
    return run._replace(token=tokens[int(run.token)])


def _numbered(answer: Any, tokens: Tokens) -> Any:
    """Put numbers in the places of tokens."""
    numbers = {token: str(number) for number, token in tokens.items()}
    if isinstance(answer, list):
        return [_numbered(each, tokens) for each in answer]
    if hasattr(answer, "held"):
        return {numbers[token] for token in answer.held}, {numbers[token] for token in answer.cancel_requested}
    if hasattr(answer, "token"):
        return answer._replace(token=numbers.get(answer.token, answer.token))
    return answer
