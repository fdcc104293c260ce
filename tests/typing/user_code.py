"""What users write, as a type checker reads it: it refuses the lines that say so, with those words, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from sqlalchemy import text

from jobs import (
    EnqueuedJob,
    EnqueueJob,
    Job,
    JobContext,
    JobStatus,
    Limits,
    Rate,
    UnitsOfWork,
    UpdateJob,
    connect,
    declare,
    handler,
)
from jobs.testing import JobsHarness


class SyncShopArgs(BaseModel):
    shop: str


def key_of(args: SyncShopArgs) -> str:
    return args.shop


@handler("Checked", limits=Limits[SyncShopArgs](concurrency_key=lambda args: args.shop, per_key=1))
def checked(args: SyncShopArgs, ctx: JobContext) -> None:
    with ctx.unit_of_work() as uow:
        count: int = uow.connection.execute(text("select 1")).scalar_one()
        uow.connection.exec("select 1")  # refused: "Connection" has no attribute "exec"
        uow.session.add(args)
        uow.session.ad(args)  # refused: "Session" has no attribute "ad"
        uow.complete()
    ctx.result = {"count": count, "shops": [args.shop], "none": None}
    ctx.result = datetime.now(UTC)  # refused: Incompatible types in assignment
    ctx.result = {"at": datetime.now(UTC)}  # refused: Dict entry 0 has incompatible type
    ctx.metadata["Domain"].upper()  # refused: has no attribute "upper"


@handler(
    "Misspelt",
    limits=Limits[SyncShopArgs](
        concurrency_key=lambda args: args.shopp,  # refused: "SyncShopArgs" has no attribute "shopp"
    ),
)
def misspelt(args: SyncShopArgs) -> None: ...


@handler("Bare", limits=Limits(concurrency_key=lambda args: args.shop))  # refused: "BaseModel" has no attribute "shop"
def bare(args: SyncShopArgs) -> None: ...


@handler("OneKey", limits=Limits(concurrency_key=lambda _: "one for all"))
def one_key(args: SyncShopArgs) -> None: ...


by_shop = Limits[SyncShopArgs](concurrency_key=key_of)


@handler("Apart", limits=by_shop)
def apart(args: SyncShopArgs) -> None: ...


@handler("Named", limits=Limits[SyncShopArgs](concurrency_key=key_of, rate=Rate(1, per=timedelta(seconds=1))))
def named(args: SyncShopArgs) -> None: ...


@handler("Counted", limits=Limits(concurrency=3))
def counted(args: SyncShopArgs) -> None: ...


class Ledger:
    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units

    def note(self, entry: str) -> None:
        with self._units.begin() as uow:
            uow.connection.execute(text("insert into ledger (entry) values (:entry)"), {"entry": entry})
            uow.commit()


EnqueueJob(handler_name="A", payload=SyncShopArgs(shop="a"), schedule=timedelta(hours=1))
EnqueueJob(handler_name="A", payload={"shop": "a"}, schedule=datetime(2026, 12, 1, tzinfo=UTC), misfire="skip")
EnqueueJob(handler_name="A", schedule="@daily", job_name="a", timeout=timedelta(minutes=1), metadata={"Domain": "a"})
EnqueueJob(handler_name="A", schedule=30)  # refused: Argument "schedule" to "EnqueueJob" has incompatible type "int"
EnqueueJob(handler_name="A", schedul="@daily")  # refused: Unexpected keyword argument "schedul"
EnqueueJob(handler_name="A", on_conflict="ignore")  # refused: Argument "on_conflict" to "EnqueueJob"
UpdateJob(schedule=timedelta(hours=1), payload=SyncShopArgs(shop="a"), max_runs=None)
UpdateJob(job_name="a")  # refused: Unexpected keyword argument "job_name"


class OtherArgs(BaseModel):
    number: int


@handler("ContextFirst")
async def context_first(ctx: JobContext, args: SyncShopArgs, units: UnitsOfWork) -> None:
    await context_first(ctx, args=args, units=units)
    counted.enqueue(args, jobs=ctx).hex  # noqa: B018  the follow-up's id


@handler("OfAClass")
class OfAClass:
    def handle(self, args: SyncShopArgs) -> None: ...


declared = declare("Declared", SyncShopArgs, limits=Limits(concurrency_key=lambda args: args.shop))
declare(
    "Wrong",
    SyncShopArgs,
    limits=Limits(
        concurrency_key=lambda args: args.shopp,  # refused: "SyncShopArgs" has no attribute "shopp"
    ),
)


@handler(declared)
def of_declared(args: SyncShopArgs) -> None: ...


counted(SyncShopArgs(shop="a"))
counted(args=SyncShopArgs(shop="a"))
counted(OtherArgs(number=1))  # refused: Argument 1 to "counted" has incompatible type "OtherArgs"
OfAClass().handle(SyncShopArgs(shop="a"))
one: EnqueueJob = counted.command(SyncShopArgs(shop="a"), job_name="a", schedule=timedelta(hours=1))
counted.command(OtherArgs(number=1))  # refused: Argument 1 to "command"
context_first.command(SyncShopArgs(shop="a"))
context_first.command(OtherArgs(number=1))  # refused: Argument 1 to "command"
declared.command(SyncShopArgs(shop="a"))
declared.command(OtherArgs(number=1))  # refused: Argument 1 to "command"
declared.command(SyncShopArgs(shop="a"), schedul="@daily")  # refused: Unexpected keyword argument "schedul"
of_declared.command(OtherArgs(number=1))  # refused: Argument 1 to "command"

with connect("postgresql://localhost/shop") as jobs:
    enqueued: EnqueuedJob = counted.enqueue(SyncShopArgs(shop="a"), jobs=jobs)
    enqueued = declared.enqueue(SyncShopArgs(shop="a"))
    declared.enqueue(OtherArgs(number=1), jobs=jobs)  # refused: No overload variant of "enqueue"
    counted.enqueue(OtherArgs(number=1))  # refused: No overload variant of "enqueue"
    status: JobStatus = jobs.get(enqueued.id).status
    shop: str = jobs.get(enqueued.id).payload  # refused: Incompatible types in assignment
    jobs.attempts(enqueued.id)[0].result.sent  # noqa: B018  # refused: has no attribute "sent"
    jobs.enqueue(one, connection="conn")  # refused: Argument "connection" to "enqueue" of "Jobs"
    jobs.cancel(enqueued)  # refused: Argument 1 to "cancel" of "Jobs"

with JobsHarness() as harness:
    enqueued = counted.enqueue(SyncShopArgs(shop="a"), jobs=harness)
    enqueued_job: Job = harness.enqueue("SyncShop", {"shop": "a"})
