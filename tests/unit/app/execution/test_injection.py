"""Services: made once per attempt, of one another, and cleaned up after it, however it ends."""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from jobs import provider
from jobs.app.execution.services.injection import Injector
from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.transactions.lock import DistributedLock
from jobs.core.transactions.unit_of_work import UnitsOfWork
from tests.support import Anything


class Config:
    pass


class Session:
    def __init__(self, config: Config | None = None) -> None:
        self.config = config


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session


class Log(list):
    """What happened, in order."""


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def call() -> Callable[..., None]:
    """Call a function, or a class with ``handle``, with services of the given providers, as the executor does."""

    def call(target, *providers, injector: Injector | None = None) -> None:
        registry = HandlerRegistry()
        for each in providers:
            registry.add_provider(each)
        spec = registry.add_handler("Work", target)
        with (injector or Injector(registry)).provide(spec) as (services, constructor_services):
            function = spec.target
            if spec.constructor_services is not None:
                function = function(**constructor_services).handle
            function(Anything(), **services)

    return call


def config() -> Config:
    return Config()


def test_a_handler_without_services_is_given_none(call):
    called = []

    def handle(args: Anything) -> None:
        called.append(args)

    call(handle)
    assert called == [Anything()]


def test_services_are_found_by_type(call):
    seen = []

    def handle(args: Anything, whatever_its_name: Config) -> None:
        seen.append(whatever_its_name)

    call(handle, config)
    assert isinstance(seen[0], Config)


def test_providers_may_need_other_services(call):
    seen = []

    def session(config: Config) -> Session:
        return Session(config)

    def repository(session: Session) -> Repository:
        return Repository(session)

    def handle(args: Anything, repository: Repository) -> None:
        seen.append(repository.session.config)

    call(handle, repository, session, config)
    assert isinstance(seen[0], Config)


def test_a_service_is_made_once_per_attempt_whoever_wants_it(call):
    seen = []

    def session(config: Config) -> Session:
        return Session(config)

    class Handler:
        def __init__(self, config: Config) -> None:
            self.config = config

        def handle(self, args: Anything, session: Session, config: Config) -> None:
            seen.append((self.config, session.config, config))

    call(Handler, session, config)
    call(Handler, session, config)
    [(a, b, c), (other, *_)] = seen
    assert a is b is c
    assert other is not a


def test_a_service_may_be_false_or_none(call):
    made = []

    def empty() -> Log:
        made.append(1)
        return Log()

    def handle(args: Anything, one: Log, other: Log) -> None:
        assert one is other

    call(handle, empty)
    assert made == [1]


def test_a_provider_that_yields_is_resumed_after_the_attempt_the_last_made_first(call, log):
    def session(config: Config) -> Iterator[Session]:
        log.append("session made")
        yield Session(config)
        log.append("session closed")

    def config() -> Generator[Config, None, None]:
        log.append("config made")
        yield Config()
        log.append("config closed")

    def handle(args: Anything, session: Session) -> None:
        log.append("handled")

    call(handle, session, config)
    assert log == ["config made", "session made", "handled", "session closed", "config closed"]


class Transaction:
    pass


@contextmanager
def begin(log: Log) -> Iterator[Transaction]:
    """A transaction, as every database library has it."""
    try:
        yield Transaction()
    except BaseException:
        log.append("rolled back")
        raise
    log.append("committed")


@pytest.mark.parametrize(
    ("error", "end"),
    [(None, "committed"), (ValueError("no"), "rolled back"), (SystemExit(), "rolled back"),
     (StopIteration(), "rolled back")],
)  # fmt: skip
def test_a_provider_that_yields_within_a_transaction_commits_only_what_succeeded(call, log, error, end):
    def transaction() -> Iterator[Transaction]:
        with begin(log) as transaction:
            yield transaction

    def handle(args: Anything, transaction: Transaction) -> None:
        if error is not None:
            raise error

    if error is None:
        call(handle, transaction)
    else:
        with pytest.raises(type(error)) as raised:
            call(handle, transaction)
        assert raised.value is error
    assert log == [end]


def test_a_provider_cannot_make_a_success_of_a_failure(call):
    def session() -> Iterator[Session]:
        with suppress(ValueError):
            yield Session()

    def handle(args: Anything, session: Session) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        call(handle, session)


def test_a_clean_up_that_fails_is_not_hidden_and_stops_no_other_clean_up(call, log):
    def session(config: Config) -> Iterator[Session]:
        yield Session(config)
        raise ConnectionError("could not commit")

    def config() -> Iterator[Config]:
        try:
            yield Config()
        finally:
            log.append("config closed")

    def handle(args: Anything, session: Session) -> None:
        log.append("handled")

    with pytest.raises(ConnectionError, match="could not commit"):
        call(handle, session, config)
    assert log == ["handled", "config closed"]


def test_what_was_made_is_cleaned_up_when_the_next_provider_fails(call, log):
    def config() -> Iterator[Config]:
        yield Config()
        log.append("not reached: the failure is raised at the yield")

    def session(config: Config) -> Iterator[Session]:
        try:
            raise ConnectionError("no route")
        finally:
            log.append("session failed")
        yield Session()

    def handle(args: Anything, session: Session) -> None:
        log.append("handled")

    with pytest.raises(ConnectionError, match="no route"):
        call(handle, session, config)
    assert log == ["session failed"]


class Client:
    """A context manager, as HTTP clients are."""

    entered = closed = 0

    def __enter__(self):
        self.entered += 1
        return object()

    def __exit__(self, *_):
        self.closed += 1


class AsyncClient:
    async def __aenter__(self):
        return object()

    async def __aexit__(self, *_):
        pass


def test_a_provider_that_returns_hands_over_just_what_it_returned(call):
    """One client may be shared by all attempts, so only a provider that yields decides when it is closed."""
    shared, shared_async, seen = Client(), AsyncClient(), []

    def client() -> Client:
        return shared

    def async_client() -> AsyncClient:
        return shared_async

    def handle(args: Anything, client: Client, async_client: AsyncClient) -> None:
        seen.extend([client, async_client])

    call(handle, client, async_client)
    assert seen == [shared, shared_async]
    assert (shared.entered, shared.closed) == (0, 0)


def test_an_override_is_given_in_place_of_what_a_provider_would_make(call, log):
    def client() -> Client:
        log.append("made")
        return Client()

    def handle(args: Anything, client: Client) -> None:
        log.append(client)

    registry = HandlerRegistry()
    registry.add_provider(client)
    injector, fake = Injector(registry), Client()
    injector.override(Client, fake)
    call(handle, client, injector=injector)
    call(handle, client, injector=injector)
    assert log == [fake, fake]
    assert (fake.entered, fake.closed) == (0, 0)


def test_an_override_reaches_other_providers_too(call):
    seen = []

    def session(config: Config) -> Session:
        return Session(config)

    def handle(args: Anything, session: Session) -> None:
        seen.append(session.config)

    registry = HandlerRegistry()
    registry.add_provider(session)
    registry.add_provider(config)
    injector, fake = Injector(registry), Config()
    injector.override(Config, fake)
    call(handle, session, config, injector=injector)
    assert seen == [fake]


def test_attempts_at_once_share_nothing(call):
    alive = set()

    def session() -> Iterator[Session]:
        made = Session()
        alive.add(id(made))
        yield made
        alive.remove(id(made))

    def handle(args: Anything, session: Session) -> None:
        assert id(session) in alive

    registry = HandlerRegistry()
    registry.add_provider(session)
    injector = Injector(registry)
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(call, handle, session, injector=injector) for _ in range(100)]:
            future.result()
    assert alive == set()


# --- services of the whole app


class Pool:
    pass


def test_a_service_of_the_app_is_made_once_by_whichever_thread_wants_it_first_and_cleaned_up_at_the_end(log):
    @provider(scope="app")
    def pool() -> Iterator[Pool]:
        log.append("made")
        time.sleep(0.02)
        yield Pool()
        log.append("closed")

    registry = HandlerRegistry()
    registry.add_provider(pool)

    def handle(args: Anything, pool: Pool) -> None: ...

    spec = registry.add_handler("Work", handle)
    registry.check_services()
    injector = Injector(registry)

    def attempt(_: int) -> Pool:
        with injector.provide(spec) as (services, _):
            return services["pool"]

    with ThreadPoolExecutor(8) as pool_of_threads:
        assert len({id(each) for each in pool_of_threads.map(attempt, range(40))}) == 1
    assert log == ["made"]
    injector.close()
    assert log == ["made", "closed"]
    attempt(0)
    assert log == ["made", "closed", "made"], "an app that goes on after its end makes a new one"


def test_services_of_the_app_are_cleaned_up_the_last_made_first_and_a_failure_is_logged(call, log, caplog):
    @provider(scope="app")
    def settings() -> Iterator[Config]:
        yield Config()
        log.append("config closed")

    @provider(scope="app")
    def pool(config: Config) -> Iterator[Pool]:
        yield Pool()
        log.append("pool closed")
        raise OSError("too late")

    def handle(args: Anything, pool: Pool) -> None: ...

    registry = HandlerRegistry()
    registry.add_provider(settings)
    registry.add_provider(pool)
    injector = Injector(registry)
    call(handle, settings, pool, injector=injector)
    injector.close()
    assert log == ["pool closed", "config closed"]
    assert "could not be cleaned up" in caplog.text


def test_a_service_of_the_app_cannot_be_made_of_one_that_lives_for_an_attempt():
    @provider(scope="app")
    def pool(config: Config) -> Pool:
        return Pool()

    registry = HandlerRegistry()
    registry.add_provider(config)
    registry.add_provider(pool)
    with pytest.raises(HandlerRegistrationError, match=r"makes Pool for the whole app out of Config.*scope=.app."):
        registry.check_services()


def test_a_service_that_does_not_answer_its_ping_is_named():
    def broken(pool: Pool) -> None:
        raise ConnectionError("secret-host refused")

    def mended(config: Config) -> None: ...

    registry = HandlerRegistry()
    registry.add_provider(provider(ping=broken)(_pool))
    registry.add_provider(provider(ping=mended)(config))
    assert Injector(registry).faults() == {"Pool": "ConnectionError"}


def test_a_silent_service_is_told_when_the_reason_changes_and_each_minute_with_its_traceback_once(caplog):
    trouble: list[Exception | None] = []

    def ping(_: Pool) -> None:
        if (error := trouble[0]) is not None:
            raise error

    registry = HandlerRegistry()
    registry.add_provider(provider(ping=ping)(_pool))
    injector, seconds = Injector(registry), [0.0]
    injector._silent = MessageThrottle(lambda: seconds[0])

    def told(error: Exception | None, times: int = 20) -> list[tuple[str, bool]]:
        trouble[:] = [error]
        caplog.clear()
        for _ in range(times):
            injector.faults()
        return [(line.partition(" (")[0], bool(rest)) for line, _, rest in map(_parted, caplog.messages)]

    caplog.set_level("INFO")
    refused = "the service Pool does not answer: ConnectionError: refused"
    assert told(ConnectionError("refused")) == [(refused, True)]
    assert told(ConnectionError("refused by 2")) == []
    assert told(TimeoutError("late")) == [("the service Pool does not answer: TimeoutError: late", True)]
    seconds[0] += 60
    assert told(TimeoutError("late")) == [("the service Pool does not answer: TimeoutError: late", False)]
    assert told(None) == [("the service Pool answers again", False)]
    assert told(ConnectionError("refused")) == [(refused, False)]


def _parted(message: str) -> tuple[str, str, str]:
    return message.partition("\n")


def _pool() -> Pool:
    return Pool()


# --- what the framework provides


def test_the_frameworks_own_services_need_no_provider(log):
    registry = HandlerRegistry()
    lock = DistributedLock(None, "here", None)

    def repository(lock: DistributedLock) -> Repository:
        return Repository(lock)

    def handle(args: Anything, repository: Repository, units: UnitsOfWork) -> None:
        pass

    registry.add_provider(repository)
    spec = registry.add_handler("Work", handle)
    registry.check_services()
    with Injector(registry, {DistributedLock: lock, UnitsOfWork: log}).provide(spec) as (services, _):
        assert services["repository"].session is lock
        assert services["units"] is log


def test_a_provider_of_the_apps_goes_before_the_frameworks_service():
    registry = HandlerRegistry()
    own = DistributedLock(None, "own", None)

    def provide_own() -> DistributedLock:
        return own

    def handle(args: Anything, lock: DistributedLock) -> None:
        pass

    registry.add_provider(provide_own)
    spec = registry.add_handler("Work", handle)
    registry.check_services()
    built_in = {DistributedLock: DistributedLock(None, "framework", None)}
    with Injector(registry, built_in).provide(spec) as (services, _):
        assert services["lock"] is own
