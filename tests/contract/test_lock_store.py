"""What any ``LockStore`` must do: one holder at a time, by the store's clock, each with a larger fencing token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from uuid import uuid4

import pytest

from jobs.core.errors import InvalidInput, LockLost, LockNotAcquired
from jobs.core.transactions.lock import DistributedLock
from tests.contract.stores import DAY, MINUTE, NOON, SECOND, Stores

A, B, C = (str(uuid4()) for _ in range(3))


def take(stores: Stores, token: str, resource: str = "website", ttl: timedelta = MINUTE) -> int | None:
    return stores.locks.acquire(resource, token, holder="somebody", ttl=ttl)


def test_a_lock_is_one_holders_until_it_is_freed(stores: Stores):
    assert take(stores, A) is not None
    assert take(stores, B) is None
    assert take(stores, B, "another") is not None
    assert stores.locks.release("website", A)
    assert take(stores, B) is not None


def test_a_resource_is_compared_whole_and_by_every_character(stores: Stores):
    assert None not in [take(stores, A, name) for name in ("a", "A", "a ", "%", "á", "a\u0301")]


def test_a_lock_expires_at_the_very_instant_that_its_time_is_over(stores: Stores):
    take(stores, A)
    stores.pass_time(MINUTE - timedelta(microseconds=1))
    assert take(stores, B) is None
    stores.pass_time(timedelta(microseconds=1))
    assert not stores.locks.extend("website", A, MINUTE)
    assert not stores.locks.release("website", A)
    assert take(stores, B) is not None


def test_a_lock_that_is_extended_is_held_for_so_long_from_then_on(stores: Stores):
    take(stores, A)
    stores.pass_time(30 * SECOND)
    assert stores.locks.extend("website", A, MINUTE)
    stores.pass_time(59 * SECOND)
    assert take(stores, B) is None
    stores.pass_time(SECOND)
    assert take(stores, B) is not None


def test_an_extension_may_shorten_it_too(stores: Stores):
    take(stores, A, ttl=DAY)
    assert stores.locks.extend("website", A, SECOND)
    stores.pass_time(SECOND)
    assert take(stores, B) is not None


def test_only_its_holder_extends_or_frees_a_lock(stores: Stores):
    take(stores, A)
    assert not stores.locks.extend("website", B, DAY)
    assert not stores.locks.release("website", B)
    assert not stores.locks.release("unheard of", A)
    assert take(stores, C) is None
    assert stores.locks.release("website", A)
    assert not stores.locks.release("website", A)
    assert not stores.locks.extend("website", A, MINUTE)


def test_taking_it_again_under_the_same_token_is_a_repeat_and_holds_it_anew(stores: Stores):
    first = take(stores, A)
    stores.pass_time(30 * SECOND)
    assert take(stores, A) > first
    stores.pass_time(59 * SECOND)
    assert take(stores, B) is None


def test_fencing_tokens_grow_from_holder_to_holder_even_while_no_time_passes(stores: Stores):
    tokens = []
    for _ in range(5):
        token = str(uuid4())
        tokens.append(take(stores, token))
        stores.locks.release("website", token)
    assert tokens == sorted(set(tokens))
    stores.move(NOON - DAY)
    assert take(stores, A) is None, "it was freed at an instant that is yet to come"
    stores.move(NOON)
    assert take(stores, A) > tokens[-1]


def test_a_fencing_token_is_told_in_microseconds(stores: Stores):
    assert take(stores, A) == int(NOON.timestamp()) * 1_000_000


def test_of_many_who_ask_at_once_one_has_it(stores: Stores):
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: take(stores, str(uuid4())), range(32)))
    assert sum(token is not None for token in taken) == 1


def test_locks_are_pruned_once_nobody_has_held_them_for_long(stores: Stores):
    for number in range(3):
        take(stores, A, f"expires-{number}")
    take(stores, A, "freed", ttl=DAY)
    take(stores, A, "held", ttl=10 * DAY)
    stores.locks.release("freed", A)
    stores.pass_time(MINUTE)
    assert stores.housekeeping.prune_locks(10, MINUTE) == 0
    stores.pass_time(MINUTE + SECOND)
    assert [stores.housekeeping.prune_locks(3, MINUTE) for _ in range(3)] == [3, 1, 0]
    assert take(stores, B, "held") is None


@pytest.mark.parametrize("resource", ["a\x00b", "half \ud800 a pair"])
def test_a_name_that_cannot_be_kept_is_invalid_input(stores: Stores, resource: str):
    for call in (
        lambda: take(stores, A, resource),
        lambda: stores.locks.extend(resource, A, MINUTE),
        lambda: stores.locks.release(resource, A),
    ):
        with pytest.raises(InvalidInput):
            call()


# --- the lock on top


@pytest.fixture
def lock(stores: Stores) -> DistributedLock:
    """The lock by the store's clock, whose sleep lets that clock's time pass."""

    def seconds_told() -> float:
        return (stores.clock.now() - NOON).total_seconds()

    def sleep(seconds: float) -> None:
        stores.pass_time(timedelta(seconds=seconds))

    return DistributedLock(stores.locks, "somebody", Random(1), monotonic=seconds_told, sleep=sleep)


def test_who_waits_gets_the_lock_when_it_expires(stores: Stores, lock: DistributedLock):
    first = lock.try_acquire("website", timedelta(seconds=5))
    second = lock.acquire("website", MINUTE)
    assert timedelta(seconds=5) <= stores.clock.now() - NOON < timedelta(seconds=5.6)
    assert not first.held
    assert second.fencing_token > first.fencing_token


def test_who_waits_too_long_gives_up(stores: Stores, lock: DistributedLock):
    lock.try_acquire("website", DAY)
    with pytest.raises(LockNotAcquired, match="held by others for 3 s"):
        lock.acquire("website", MINUTE, timedelta(seconds=3))
    assert stores.clock.now() - NOON == timedelta(seconds=3)


def test_who_held_it_for_too_long_is_told_at_the_end(stores: Stores, lock: DistributedLock):
    with pytest.raises(LockLost):
        lock.execute_with_lock("website", lambda: stores.pass_time(2 * MINUTE), MINUTE)
