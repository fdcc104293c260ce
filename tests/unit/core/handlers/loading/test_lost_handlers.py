"""Nothing is registered, or left out, in silence; and what is faulty says so with the file, the name and the mend."""

from __future__ import annotations

import importlib
import re
import textwrap
from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.marking.decorators import handler, middleware, provider
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.limits import Limits
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.testing import JobsHarness

TOP = """
    import functools
    from datetime import timedelta
    from pydantic import BaseModel
    from jobs import Limits, RetryPolicy, handler, middleware, provider

    class Args(BaseModel): ...
    class Mailer: ...
    def bare(function):
        def wrapper(args: Args) -> None: ...
        return wrapper
    def wrapped(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs): return function(*args, **kwargs)
        return wrapper
"""
LINES = TOP.count("\n") + 1


class Args(BaseModel):
    pass


def plain(args: Args) -> None: ...


def names(package):
    return [spec.name for spec in load_handlers(package).all()]


def refusal(write, code: str) -> str:
    with pytest.raises(HandlerRegistrationError) as caught:
        load_handlers(write(one=TOP + code))
    return str(caught.value)


# --- marks that lead to nothing


@pytest.mark.parametrize(
    ("code", "line", "name", "why"),
    [
        (
            """
    @handler
    def send_email(args: Args) -> None: ...
    """,
            2,
            "send_email",
            '@handler stands without a name; write @handler("SendEmail")',
        ),
        (
            """
    @handler
    class Sender:
        def handle(self, args: Args) -> None: ...
    """,
            2,
            "Sender",
            '@handler stands without a name; write @handler("Sender")',
        ),
        (
            """
    class Sender:
        @handler("X")
        def send(self, args: Args) -> None: ...
    """,
            3,
            "Sender.send",
            "@handler('X') stands on what a class holds, for which nobody makes an instance; put it on the class",
        ),
        (
            """
    def make():
        @handler("X")
        def send(args: Args) -> None: ...
    make()
    """,
            3,
            "make.<locals>.send",
            "@handler('X') stands within a function, and what it marks has no name in the module",
        ),
        (
            """
    @bare
    @handler("X")
    def send(args: Args) -> None: ...
    """,
            3,
            "send",
            "@handler('X') is hidden, for 'send' is something else by now; put @handler and its like above every",
        ),
        (
            """
    @handler(
        "X",
        timeout=timedelta(seconds=1),
    )
    def send(args: Args) -> None: ...

    @handler("Y")
    def send(args: Args) -> None: ...
    """,
            2,
            "send",
            "@handler('X') is hidden, for 'send' is something else by now",
        ),
        (
            """
    @handler("X")
    def send(args: Args) -> None: ...
    del send
    """,
            2,
            "send",
            "@handler('X') is lost, for the module has no 'send' by now",
        ),
        (
            """
    class Providers:
        @provider
        def mailer(self) -> Mailer: ...
    """,
            3,
            "Providers.mailer",
            "@provider stands on what a class holds",
        ),
        (
            """
    def make():
        @middleware(order=1)
        def around(ctx, call_next) -> None: ...
    make()
    """,
            3,
            "make.<locals>.around",
            "@middleware stands within a function",
        ),
    ],
    ids=["bare", "bare-class", "method", "nested", "no-wraps", "twice", "deleted", "provider", "middleware"],
)
def test_a_decorator_that_would_register_nothing_stops_the_start_with_file_name_and_mend(write, code, line, name, why):
    message = refusal(write, code)
    assert re.search(rf"one\.py:{LINES + line - 1} \({re.escape(name)}\): {re.escape(why)}", message), message


WANTS_A_MAILER = """
    @handler("X")
    def send(args: Args, mailer: Mailer) -> None: ...
"""


def test_a_provider_that_is_lost_is_named_and_not_only_the_service_that_is_missing_for_it(write):
    code = """
    @bare
    @provider
    def mailer() -> Mailer: ...
    """
    assert "(mailer): @provider is hidden" in refusal(write, code + WANTS_A_MAILER)


def test_a_service_that_is_missing_is_named_with_the_provider_that_was_imported_and_not_registered(write):
    elsewhere = write(company=TOP + "\n    @provider\n    def mailer() -> Mailer: ...\n")
    message = refusal(write, f"\n    from {elsewhere}.company import Mailer, mailer\n{WANTS_A_MAILER}")
    assert "nothing provides Mailer" in message
    assert "mailer (" in message
    assert "registry.add_marked(mailer)" in message


def test_every_lost_decorator_of_a_package_is_named_at_once(write):
    code = """
    class A:
        @handler("X")
        def one(self, args: Args) -> None: ...
        @handler("Y")
        def two(self, args: Args) -> None: ...
    """
    assert re.search(r"\(A\.one\): .*; .*\(A\.two\): ", refusal(write, code))


def test_a_faulty_package_is_refused_at_every_load_and_not_only_at_the_first(write):
    package = write(one=TOP + '\n    class A:\n        @handler("X")\n        def one(self, args: Args) -> None: ...\n')
    for _ in range(2):
        with pytest.raises(HandlerRegistrationError, match=r"\(A\.one\)"):
            load_handlers(package)


def test_a_test_with_a_faulty_package_shows_the_message_and_not_how_it_was_found(write):
    package = write(one=TOP + '\n    class A:\n        @handler("X")\n        def one(self, args: Args) -> None: ...\n')
    with pytest.raises(HandlerRegistrationError, match=r"\(A\.one\)") as caught:
        JobsHarness(package)
    assert [frame.path.name for frame in caught.traceback] == ["test_lost_handlers.py", "harness.py"]


def test_two_names_on_one_function_are_refused_since_one_would_be_lost(write):
    message = refusal(write, '\n    @handler("A")\n    @handler("B")\n    def run(args: Args) -> None: ...\n')
    assert "@handler('A') stands on what is @handler('B') already, which would be lost" in message
    assert f"one.py:{LINES + 1}: " in message


@pytest.mark.parametrize("target", [3, staticmethod(plain), object()])
def test_a_handler_is_a_function_or_a_class(target):
    with pytest.raises(HandlerRegistrationError, match=r"test_lost_handlers\.py:\d+: @handler\('X'\) stands on a "):
        handler("X")(target)


def test_a_name_that_is_no_text_is_refused_where_it_stands():
    with pytest.raises(HandlerRegistrationError, match=r"test_lost_handlers\.py:\d+: @handler\(3\) has no text"):
        handler(3)


@pytest.mark.parametrize("name", [" X", "X ", "a\nb", "a\x00b", "\u202eX"])
def test_a_name_that_cannot_be_told_from_another_or_forges_a_line_is_refused(name):
    with pytest.raises(HandlerRegistrationError, match="has space around it, or what cannot be printed"):
        HandlerRegistry().add_handler(name, plain)


# --- what is meant is found


def test_a_folder_without_an_init_file_is_loaded_like_any_other(write, tmp_path):
    handlers = TOP + '\n    @handler("{}")\n    def run(args: Args) -> None: ...\n'
    package = write(orders__in__sync=handlers.format("Sync"), orders__in__deep__in__more=handlers.format("More"))
    (tmp_path / package / "templates").mkdir()
    (tmp_path / package / "templates" / "mail.html").write_text("<p>")
    (tmp_path / package / "scripts").mkdir()
    (tmp_path / package / "scripts" / "once.py").write_text("raise RuntimeError('not a module of handlers')")
    assert names(package) == ["More", "Sync"]


def test_a_package_that_can_be_run_is_not_run_when_it_is_loaded(write):
    assert names(write(__main__="raise RuntimeError('was run')")) == []


def test_a_decorator_with_wraps_hides_nothing_and_neither_does_a_factory_with_a_name_in_the_module(write):
    code = """
    @wrapped
    @handler("X")
    def send(args: Args) -> None: ...

    def made(name):
        @handler(name)
        def run(args: Args) -> None: ...
        return run

    first, second = made("A"), made("B")

    def register_handlers(registry):
        registry.add_marked(made("C"))
        registry.add_handler("D", made("E"))
    """
    assert names(write(one=TOP + code)) == ["A", "B", "C", "D", "X"]


def test_middleware_may_be_marked_without_brackets():
    @middleware
    def around(ctx: JobContext, call_next: Any) -> None: ...

    registry = HandlerRegistry()
    registry.add_marked(around)
    assert registry.middleware == [around]


# --- what may be meant is a warning


def test_a_handler_imported_from_another_package_is_a_warning_that_says_how_to_register_it(write):
    elsewhere = write(company=TOP + '\n    @handler("X")\n    def send(args: Args) -> None: ...\n')
    package = write(one=f"from {elsewhere}.company import send\n")
    registry = load_handlers(package)
    assert registry.all() == []
    [warning] = registry.warnings
    assert re.search(rf"one\.py: send \(.*company\.py:{LINES + 1}\) bears @handler\('X'\), but is defined in ", warning)
    assert warning.endswith("registry.add_marked(send)")


def test_one_that_is_registered_by_hand_is_no_warning(write):
    elsewhere = write(company=TOP + '\n    @handler("X")\n    def send(args: Args) -> None: ...\n')
    package = write(
        one=f"from {elsewhere}.company import send\ndef register_handlers(registry):\n    registry.add_marked(send)\n"
    )
    registry = load_handlers(package)
    assert [spec.name for spec in registry.all()] == ["X"]
    assert registry.warnings == []


def test_a_decorator_within_a_function_that_nothing_calls_is_a_warning(write):
    code = """
    def unused():
        @handler("X")
        def send(args: Args) -> None: ...
    """
    registry = load_handlers(write(one=TOP + code))
    [warning] = registry.warnings
    assert re.search(rf"one\.py:{LINES + 2} \(send\): a decorator within unused\(\), which nothing has called", warning)


MARKED = """
    from pydantic import BaseModel
    from jobs import handler
    class Args(BaseModel): ...
    @handler("{name}")
    def run(args: Args) -> None: ...
"""


def made(folder, **files):
    """Make files of one handler each, called like the file's key; returns the folder's name."""
    for name, file in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(textwrap.dedent(MARKED.format(name=name)))
    return folder.name


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("send.invoice.py", "Python imports nothing called 'send.invoice.py'"),
        ("2027/lost.py", "Python imports nothing called '2027'"),
        ("send-invoice/deep/lost.py", "Python imports nothing called 'send-invoice'"),
        ("kept/lost.py", "kept.py has the same name and is imported in its place"),
    ],
)
def test_a_file_that_python_imports_by_no_name_is_a_warning_if_it_marks_handlers(write, file, why):
    package = write()
    folder = Path(importlib.import_module(package).__file__).parent
    made(folder, Kept="kept.py", Lost=file)
    loaded = load_handlers(package)
    assert [spec.name for spec in loaded.all()] == ["Kept"]
    [warning] = loaded.warnings
    assert warning.startswith(f"{folder / file} registers nothing, since ")
    assert why in warning


@pytest.mark.parametrize("file", [".#kept.py", "kept.old.py", "a-folder/kept.py"])
def test_a_link_that_leads_nowhere_stops_no_start(write, file):
    package = write()
    folder = Path(importlib.import_module(package).__file__).parent
    made(folder, Kept="kept.py")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).symlink_to("ann@laptop.4711")  # as Emacs locks a file that is being edited
    loaded = load_handlers(package)
    assert [spec.name for spec in loaded.all()] == ["Kept"]
    assert loaded.warnings == []


def test_a_hidden_file_is_no_warning(write):
    package = write()
    made(Path(importlib.import_module(package).__file__).parent, Kept="kept.py", Lost="._kept.py")
    assert load_handlers(package).warnings == []


def test_a_module_that_a_folder_of_its_name_hides_is_a_warning(write):
    package = write()
    folder = Path(importlib.import_module(package).__file__).parent
    made(folder.parent, Lost=f"{package}.py")
    [warning] = load_handlers(package).warnings
    assert warning.startswith(f"{folder}.py registers nothing, since {folder} has the same name")


def test_a_name_that_raises_whatever_it_is_asked_for_hides_no_handler(write):
    code = """
    class Unbound:
        def __getattribute__(self, name): raise RuntimeError("working outside of application context")
    current_app = Unbound()
    register_handlers = None
    """
    assert names(write(one=MARKED.format(name="A") + code)) == ["A"]


def test_sound_handlers_are_loaded_without_a_warning():
    assert load_handlers("tests.framework_handlers").warnings == []


# --- options and signatures that would only fail once a job runs


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ('@handler("X", retry=5)', "a handler's retry is a RetryPolicy, not 5; write retry=RetryPolicy(max_retries=5)"),
        ('@handler("X", retry=0)', "a handler's retry is a RetryPolicy, not 0; write retry=RetryPolicy(max_retries=0)"),
        ('@handler("X", timeout=30)', "a handler's timeout is a timedelta above zero, not 30"),
        ('@handler("X", upcasters=[])', "upcasters maps an old version to a function, as in {1: function}; it is []"),
        (
            '@handler("X", retry=RetryPolicy(base=30))',
            "a retry policy's base is a timedelta; write base=timedelta(seconds=30)",
        ),
        (
            '@handler("X", retry=RetryPolicy(cap="1h"))',
            "a retry policy's cap is a timedelta; write cap=timedelta(seconds=",
        ),
        ('@handler("X", retry=RetryPolicy(max_retries=2.5))', "needs a whole number as max_retries"),
        ('@handler("X", retry=RetryPolicy(never=ValueError))', "write never=(ValueError,)"),
        (
            '@handler("X", limits=Limits(concurrency=3, per_key=1))',
            "per_key counts by concurrency_key; give that as well",
        ),
    ],
)
def test_an_option_that_would_fail_later_stops_the_start_with_the_file_and_the_mend(write, code, why):
    message = refusal(write, f"\n    {code}\n    def run(args: Args) -> None: ...\n")
    assert why in message
    assert re.search(rf"one\.py:{LINES + 1}\b", message), message


@pytest.mark.parametrize("scope", ["singleton", "APP", "", None])
def test_a_scope_that_there_is_not_says_which_one_is_meant(scope):
    with pytest.raises(
        HandlerRegistrationError, match=r"test_lost_handlers\.py:\d+ .*write scope=\"app\" for one that "
    ):

        @provider(scope=scope)
        def mailer() -> Args: ...


def test_a_ping_that_cannot_be_called_and_an_order_that_is_no_number_are_refused():
    with pytest.raises(HandlerRegistrationError, match="ping='/health'; give a function that takes the service"):
        provider(ping="/health")(plain)
    with pytest.raises(HandlerRegistrationError, match="order='1'; give a whole number"):
        middleware(order="1")(plain)


def test_a_forward_reference_in_the_arguments_that_nothing_resolves_is_refused_with_its_name(write):
    code = """
    class Order(BaseModel):
        price: "Price"

    class Orders(BaseModel):
        orders: list[Order]

    @handler("X")
    def run(args: Orders) -> None: ...
    """
    assert "a field of its arguments Orders names 'Price', unknown in " in refusal(write, code)


def test_a_forward_reference_that_is_resolved_later_in_the_module_is_fine(write):
    code = """
    class Order(BaseModel):
        price: "Price"

    @handler("X")
    def run(args: Order) -> None: ...

    class Price(BaseModel): ...
    """
    assert names(write(one=TOP + code)) == ["X"]


def test_arguments_that_keep_nothing_of_a_payload_are_refused():
    def anything(args: BaseModel) -> None: ...

    with pytest.raises(HandlerRegistrationError, match="BaseModel itself, which keeps nothing of a payload"):
        HandlerRegistry().add_handler("X", anything)


def test_a_class_of_which_nobody_can_make_an_instance_is_refused():
    class Sender(ABC):
        @abstractmethod
        def send(self) -> None: ...

        def handle(self, args: Args) -> None:
            self.send()

    with pytest.raises(HandlerRegistrationError, match=r"\(.*Sender\): nobody can make .* abstract; define send"):
        HandlerRegistry().add_handler("X", Sender)


def test_a_context_with_a_default_is_refused_for_it_would_never_be_passed():
    def optional(args: Args, ctx: JobContext | None = None) -> None: ...

    with pytest.raises(HandlerRegistrationError, match="'ctx' has a default, so it would never be passed"):
        HandlerRegistry().add_handler("X", optional)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise ValueError('no queue')", "register_handlers failed with ValueError: no queue"),
        ("registry.add_handler('X', len)", "len"),
    ],
)
def test_a_register_function_that_fails_stops_the_start_with_its_place(write, code, why):
    message = refusal(write, f"\n    def register_handlers(registry):\n        {code}\n")
    assert why in message


def test_a_register_function_that_is_async_would_do_nothing_and_is_refused(write):
    assert "register_handlers is async" in refusal(write, "\n    async def register_handlers(registry): ...\n")


def test_a_module_that_ends_the_process_is_named_like_one_that_fails(write):
    with pytest.raises(HandlerRegistrationError, match=r"cannot be imported: SystemExit: 3 \(.*one\.py:2\)"):
        load_handlers(write(one="import sys\nsys.exit(3)\n"))


ODD = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

"""


def test_an_error_that_cannot_be_told_is_told_by_its_kind_and_its_place(write):
    why = r"Odd: \(its text could not be read: RuntimeError\) \(.*one\.py:6\)"
    with pytest.raises(HandlerRegistrationError, match=f"cannot be imported: {why}"):
        load_handlers(write(one=f"{ODD}raise Odd\n"))
    with pytest.raises(HandlerRegistrationError, match=f"register_handlers failed with {why}"):
        load_handlers(write(one=f"{ODD}def register_handlers(registry): raise Odd\n"))


def test_one_of_a_key_runs_at_once_where_only_the_key_is_given():
    assert Limits(concurrency_key=str).per_key == 1
    assert Limits(concurrency=1).per_key is None
    assert RetryPolicy(base=timedelta(seconds=30)).base == timedelta(seconds=30)
