"""Whatever is asked of them in whatever order, the store in memory and the one on PostgreSQL give the same answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import SystemRandom

import pytest

from tests.contract.stores import Stores, memory_stores
from tests.contract.walk import Disagreement, Walk
from tests.sizes import sized

STEPS = 700
SEEDS = [*range(1, sized(2, 200)), None]


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_the_stores_agree(postgres: Stores, seed: int | None):
    seed = SystemRandom().randrange(2**32) if seed is None else seed
    print(f"seed {seed}")
    walk = Walk(memory_stores(), postgres, seed)
    walk.go(STEPS)
    done = Counter(told.partition(" ")[0] for told in walk.told)
    print(done)
    assert min(done[word] for word in ("insert", "change", "claim_due", "record", "reap", "transaction", "find")) >= 1


@pytest.mark.soak
def test_two_stores_of_a_kind_agree():
    """The walk itself is sound: it does not depend on tokens, ids or the order of sets."""
    for seed in range(sized(2, 20)):
        Walk(memory_stores(), memory_stores(), seed).go(STEPS)


def lease_never_extended(stores: Stores) -> None:
    extend = stores.runs.extend
    stores.runs.extend = lambda leases, lease: extend(leases, lease * 0)


def page_in_another_order(stores: Stores) -> None:
    unarmed = stores.housekeeping.unarmed
    stores.housekeeping.unarmed = lambda limit, within: unarmed(limit, within)[::-1]


def claim_too_many(stores: Stores) -> None:
    claim_due = stores.runs.claim_due
    stores.runs.claim_due = lambda limit, **fields: claim_due(limit + 1, **fields)


def forget_rates(stores: Stores) -> None:
    claim = stores.runs.claim_limited
    stores.runs.claim_limited = lambda name, limits, *args, **fields: claim(
        name, replace(limits, rate=None), *args, **fields
    )


def count_no_keys(stores: Stores) -> None:
    claim = stores.runs.claim_limited
    stores.runs.claim_limited = lambda name, limits, *args, **fields: claim(
        name, replace(limits, per_key=9), *args, **fields
    )


@pytest.mark.parametrize(
    "spoil", [lease_never_extended, page_in_another_order, claim_too_many, forget_rates, count_no_keys]
)
def test_a_store_that_differs_is_found(spoil: Callable[[Stores], None]):
    assert any(disagrees(seed, spoil) for seed in range(5))


def disagrees(seed: int, spoil: Callable[[Stores], None]) -> bool:
    odd = memory_stores()
    spoil(odd)
    try:
        Walk(memory_stores(), odd, seed).go(STEPS)
    except Disagreement:
        return True
    return False
