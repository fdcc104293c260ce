from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

import pytest
from pydantic import BaseModel

from jobs.core.errors import ConfigurationError, HandlerRegistrationError, InvalidInput, UnknownHandler
from jobs.core.handlers.arguments.signatures import origin_of
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.declared import declare
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.marking.decorators import handler, provider
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.retry import RetryPolicy

if TYPE_CHECKING:
    from decimal import Decimal

HERE = __file__


class Args(BaseModel):
    to: str = "you"
    count: int = 1


class Other(BaseModel):
    pass


class Mailer:
    pass


class Templates:
    pass


def plain(args: Args) -> None: ...
def with_context(args: Args, ctx: JobContext) -> None: ...
def with_services(ctx: JobContext, mailer: Mailer, args: Args, *, templates: Templates) -> None: ...
async def asynchronous(args: Args) -> None: ...
def wants_a_mailer(args: Args, mailer: Mailer) -> None: ...


def registered(target: Callable[..., Any], name: str = "X", **options: Any):
    return HandlerRegistry().add_handler(name, target, **options)


# --- what a handler may look like


def test_a_function_with_a_pydantic_model_is_a_handler():
    spec = registered(plain)
    assert (spec.name, spec.target, spec.arguments, spec.arguments_parameter) == ("X", plain, Args, "args")
    assert (spec.context_parameter, spec.services, spec.constructor_services) == (None, {}, None)
    assert not spec.is_async


def test_a_handler_may_be_told_about_its_run():
    assert registered(with_context).context_parameter == "ctx"


def test_every_other_parameter_is_a_service_found_by_its_type():
    spec = registered(with_services)
    assert spec.services == {"mailer": Mailer, "templates": Templates}
    assert (spec.context_parameter, spec.arguments_parameter) == ("ctx", "args")


def test_a_handler_may_be_asynchronous():
    assert registered(asynchronous).is_async


def test_an_annotation_may_carry_notes():
    def noted(args: Annotated[Args, "of the job"], mailer: Annotated[Mailer, "the slow one"]) -> None: ...

    spec = registered(noted)
    assert (spec.arguments, spec.services) == (Args, {"mailer": Mailer})


def test_a_class_with_a_handle_method_is_a_handler_and_its_constructor_takes_services():
    spec = registered(ClassHandler)
    assert spec.constructor_services == {"mailer": Mailer}
    assert (spec.arguments, spec.context_parameter, spec.services) == (Args, "ctx", {"templates": Templates})
    assert not spec.is_async


def test_a_class_without_a_constructor_takes_no_services():
    assert registered(BareClassHandler).constructor_services == {}
    assert registered(BareClassHandler).is_async


class ClassHandler:
    def __init__(self, mailer: Mailer) -> None:
        self.mailer = mailer

    def handle(self, args: Args, ctx: JobContext, templates: Templates) -> None: ...


class BareClassHandler:
    async def handle(self, args: Args) -> None: ...


def test_retries_and_timeout_are_the_handlers_own_and_have_defaults():
    spec = registered(plain)
    assert (spec.retry, spec.timeout) == (RetryPolicy(), None)
    spec = registered(plain, retry=RetryPolicy(max_retries=7), timeout=timedelta(seconds=30))
    assert (spec.retry.max_retries, spec.timeout) == (7, timedelta(seconds=30))


# --- reading arguments


def test_a_payload_is_read_into_the_model():
    assert registered(plain).read_arguments('{"to":"me","count":2}') == Args(to="me", count=2)


def test_a_payload_that_does_not_fit_names_every_fault_below_payload():
    with pytest.raises(InvalidInput) as caught:
        registered(plain).read_arguments('{"to":1,"count":"many"}')
    assert {problem.pointer for problem in caught.value.problems} == {"/payload/to", "/payload/count"}


@pytest.mark.parametrize("text", ["[]", "null", "1", '"x"', "{", "", '{"count":' + "9" * 5_000 + "}"])
def test_a_payload_that_is_no_object_or_not_even_json_is_invalid_input(text):
    with pytest.raises(InvalidInput) as caught:
        registered(plain).read_arguments(text)
    assert all(problem.pointer.startswith("/payload") for problem in caught.value.problems)


def test_the_payload_itself_is_not_repeated_in_the_message():
    with pytest.raises(InvalidInput) as caught:
        registered(plain).read_arguments('{"to":1,"count":"hunter2"}')
    assert "hunter2" not in str(caught.value)


# --- what is refused, and what it says


def no_arguments(ctx: JobContext) -> None: ...
def no_parameters() -> None: ...
def untyped_dict(args: dict) -> None: ...


@dataclass
class Mail:
    to: str


class MailDict(TypedDict):
    to: str


class MailTuple(NamedTuple):
    to: str


def dataclass_arguments(ctx: JobContext, mail: Mail) -> None: ...
def optional_dataclass(mail: Mail | None) -> None: ...
def typed_dict(mail: MailDict) -> None: ...
def named_tuple(mail: MailTuple) -> None: ...
def optional_model(args: Args | None) -> None: ...
def two_models(args: Args, more: Other) -> None: ...
def two_contexts(args: Args, a: JobContext, b: JobContext) -> None: ...


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (no_arguments, "it has no parameter annotated with a pydantic model;"),
        (no_parameters, "takes an empty model: class Args(BaseModel): pass"),
        (untyped_dict, "('args' is dict); a handler's arguments are one: write class Args(BaseModel) with a field"),
        (
            dataclass_arguments,
            "('mail' is Mail); a handler's arguments are one: write class Args(BaseModel) with a field",
        ),
        (optional_dataclass, "('mail' is tests.unit.core.handlers.test_registry.Mail | None); "),
        (typed_dict, "('mail' is MailDict); "),
        (named_tuple, "('mail' is MailTuple); "),
        (optional_model, "('args' is tests.unit.core.handlers.test_registry.Args | None); "),
        (two_models, "args and more are pydantic models, and a handler's arguments are one; make one model of them"),
        (two_contexts, "a and b are annotated JobContext, and there is one; keep one of them"),
    ],
)
def test_exactly_one_model_and_at_most_one_context_are_needed(target, found):
    with pytest.raises(HandlerRegistrationError) as caught:
        registered(target)
    assert str(caught.value).startswith(f"{origin_of(target)}: ")
    assert found in str(caught.value)


def unannotated(args: Args, mailer) -> None: ...
def star_args(args: Args, *rest: int) -> None: ...
def star_kwargs(args: Args, **rest: int) -> None: ...
def positional_only(args: Args, /) -> None: ...
def for_type_checkers(args: Args, price: Decimal) -> None: ...
def misspelt(args: Args, mailer: sys.Mailer) -> None: ...
def no_type(args: Args, mailer: "1 +") -> None: ...  # noqa: F722
def yields(args: Args) -> Iterator[int]:
    yield 1


async def yields_asynchronously(args: Args) -> Any:
    yield 1


class WithoutHandle:
    pass


class WithAHandleThatIsNoMethod:
    handle = 3


class UnannotatedConstructor:
    def __init__(self, mailer) -> None: ...
    def handle(self, args: Args) -> None: ...


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (unannotated, "the parameter 'mailer' has no annotation, so nobody knows what to pass; annotate it"),
        (star_args, "*rest cannot be injected; name each parameter"),
        (star_kwargs, "*rest cannot be injected; name each parameter"),
        (positional_only, "the parameter 'args' stands before a /, but it is passed by name; remove the /"),
        (
            for_type_checkers,
            "an annotation names 'Decimal', unknown when the handler runs; import it outside TYPE_CHECKING",
        ),
        (misspelt, "an annotation cannot be read: AttributeError: module 'sys' has no attribute 'Mailer'; mend it"),
        (no_type, "an annotation cannot be read: SyntaxError: Forward reference must be an expression -- got '1 +'"),
        (yields, "a handler that yields would never be run to its end; let it return"),
        (yields_asynchronously, "a handler that yields would never be run to its end; let it return"),
        (WithoutHandle, "a handler class needs a method handle(args, ctx)"),
        (WithAHandleThatIsNoMethod, "an annotation cannot be read: TypeError"),
        (UnannotatedConstructor, "the parameter 'mailer' has no annotation"),
    ],
)
def test_a_signature_that_cannot_be_served_is_refused_with_file_line_and_reason(target, why):
    with pytest.raises(HandlerRegistrationError) as caught:
        registered(target)
    line = inspect.getsourcelines(target)[1]
    assert str(caught.value).startswith(f"{HERE}:{line} ({target.__qualname__}): {why}")


@pytest.mark.parametrize("name", ["", "n" * 201])
def test_a_handlers_name_has_the_length_that_the_api_takes(name):
    with pytest.raises(HandlerRegistrationError, match="a handler's name has 1 to 200 characters"):
        registered(plain, name)


@pytest.mark.parametrize("timeout", [timedelta(), timedelta(seconds=-1), 30])
def test_a_timeout_is_a_timedelta_above_zero(timeout):
    with pytest.raises(HandlerRegistrationError, match="timeout is a timedelta above zero, not "):
        registered(plain, timeout=timeout)


def test_two_handlers_of_one_name_are_refused_and_both_are_named():
    registry = HandlerRegistry()
    registry.add_handler("SendEmail", plain)
    with pytest.raises(HandlerRegistrationError) as caught:
        registry.add_handler("SendEmail", with_context)
    assert str(caught.value) == (
        f"two handlers are called 'SendEmail': {origin_of(plain)} and {origin_of(with_context)}; "
        "give one of them another name"
    )
    assert registry.require("SendEmail").target is plain


def test_the_same_handler_may_be_registered_again_and_under_a_second_name():
    registry = HandlerRegistry()
    registry.add_handler("b", plain)
    registry.add_handler("b", plain, timeout=timedelta(seconds=1))
    registry.add_handler("a", plain)
    assert [spec.name for spec in registry.all()] == ["a", "b"]


def test_an_unknown_handler_is_invalid_input_that_lists_the_known_ones():
    registry = HandlerRegistry()
    registry.add_handler("b", plain)
    registry.add_handler("a", plain)
    assert registry.get("c") is None
    with pytest.raises(UnknownHandler, match="/handler_name: no handler is registered as 'c'; registered are: a, b"):
        registry.require("c")
    with pytest.raises(UnknownHandler, match="registered are: none"):
        HandlerRegistry().require("c")


@pytest.mark.parametrize("name", ["SendInvoce", "sendinvoice", "SEND_INVOICE"])
def test_a_misspelt_handler_is_refused_with_the_one_that_is_meant(name):
    registry = HandlerRegistry()
    registry.add_handler("SendInvoice", plain)
    registry.add_handler("Cleanup", plain)
    with pytest.raises(UnknownHandler, match=r"registered are: Cleanup, SendInvoice; is 'SendInvoice' meant\?"):
        registry.require(name)


# --- providers


def make_mailer(templates: Templates) -> Mailer: ...
def make_templates() -> Iterator[Templates]: ...
def make_templates_with_cleanup() -> Generator[Templates, None, None]: ...
def make_mailer_too() -> Mailer: ...


def test_a_provider_makes_what_its_return_annotation_names():
    registry = HandlerRegistry()
    registry.add_provider(make_mailer)
    registry.add_provider(make_templates)
    assert registry.providers[Mailer].services == {"templates": Templates}
    assert registry.providers[Templates].function is make_templates
    registry.check_services()


def test_a_provider_that_yields_makes_what_it_yields():
    registry = HandlerRegistry()
    registry.add_provider(make_templates_with_cleanup)
    assert registry.providers.keys() == {Templates}


def test_two_providers_of_one_type_are_refused_and_both_are_named():
    registry = HandlerRegistry()
    registry.add_provider(make_mailer)
    registry.add_provider(make_mailer)
    with pytest.raises(HandlerRegistrationError) as caught:
        registry.add_provider(make_mailer_too)
    assert str(caught.value) == (
        f"two providers make Mailer: {origin_of(make_mailer)} and {origin_of(make_mailer_too)}; remove one"
    )


def makes_nothing(): ...
def makes_none() -> None: ...
def makes_a_list() -> list[int]: ...
def makes_one_or_the_other() -> Mailer | Templates: ...
def takes_anything(what) -> Mailer: ...


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (makes_nothing, "a provider needs a return annotation that names the class it makes"),
        (makes_none, "a provider needs a return annotation that names the class it makes"),
        (makes_a_list, "a provider needs a return annotation that names the class it makes"),
        (makes_one_or_the_other, "a provider needs a return annotation that names the class it makes"),
        (takes_anything, "the parameter 'what' has no annotation"),
    ],
)
def test_a_provider_that_cannot_be_used_is_refused_with_file_line_and_reason(function, why):
    with pytest.raises(HandlerRegistrationError) as caught:
        HandlerRegistry().add_provider(function)
    assert str(caught.value).startswith(f"{HERE}:{function.__code__.co_firstlineno} ({function.__qualname__}): {why}")


@pytest.mark.parametrize(
    ("add", "needer", "parameter"),
    [
        (lambda registry: registry.add_handler("X", wants_a_mailer), wants_a_mailer, "mailer"),
        (lambda registry: registry.add_handler("X", ClassHandler), ClassHandler, "templates"),
        (lambda registry: registry.add_provider(make_mailer), make_mailer, "templates"),
    ],
    ids=["handler", "class", "provider"],
)
def test_a_service_that_nothing_provides_is_refused_with_who_wants_it(add, needer, parameter):
    registry = HandlerRegistry()
    add(registry)
    with pytest.raises(HandlerRegistrationError) as caught:
        registry.check_services()
    assert str(caught.value).startswith(f"{origin_of(needer)}: nothing provides ")
    assert f"wanted for the parameter {parameter!r}; add a function with @provider that returns it" in str(caught.value)


def wants_perhaps(args: Args, mailer: Mailer | None) -> None: ...
def wants_many(args: Args, mailers: list[Mailer]) -> None: ...
def wants_a_function(args: Args, send: Callable[[str], None]) -> None: ...
def wants_a_number(args: Args, limit: int) -> None: ...


@pytest.mark.parametrize("target", [wants_perhaps, wants_many, wants_a_function, wants_a_number])
def test_a_service_of_a_type_that_no_provider_can_make_is_refused_likewise(target):
    registry = HandlerRegistry()
    registry.add_handler("X", target)
    registry.add_provider(make_mailer_too)
    with pytest.raises(HandlerRegistrationError, match=r"nothing provides .*; add a function with @provider"):
        registry.check_services()


def test_a_parameter_with_a_default_keeps_it():
    def with_default(args: Args, limit: int = 5, *, mailer: Mailer | None = None) -> None: ...

    registry = HandlerRegistry()
    assert registry.add_handler("X", with_default).services == {}
    registry.check_services()


def make_templates_of(mailer: Mailer) -> Templates: ...


def test_providers_that_want_each_other_are_refused():
    registry = HandlerRegistry()
    registry.add_handler("X", wants_a_mailer)
    registry.add_provider(make_mailer)
    registry.add_provider(make_templates_of)
    with pytest.raises(
        HandlerRegistrationError, match="providers need each other in a cycle, Mailer -> Templates -> Mailer"
    ):
        registry.check_services()


# --- loading a package


HANDLER = """
    from pydantic import BaseModel
    from jobs import handler, provider

    class Args(BaseModel): ...

    @handler("{name}")
    def run(args: Args) -> None: ...
"""
HANDLER_HERE = textwrap.dedent(HANDLER)


def test_every_module_of_the_package_and_below_is_loaded(write):
    package = write(
        __init__=HANDLER.format(name="top"),
        one=HANDLER.format(name="one"),
        deep__in____init__="",
        deep__in__two=HANDLER.format(name="two"),
    )
    assert [spec.name for spec in load_handlers(package).all()] == ["one", "top", "two"]


def test_a_package_that_is_a_single_module_is_loaded(write, tmp_path):
    (tmp_path / "only_module.py").write_text(textwrap.dedent(HANDLER.format(name="only")))
    assert [spec.name for spec in load_handlers("only_module").all()] == ["only"]


def test_a_package_without_handlers_is_fine(write):
    assert load_handlers(write(helpers="LIMIT = 3")).all() == []


def test_what_a_module_imports_from_another_is_registered_once(write):
    package = write(
        one=HANDLER.format(name="one"), two="from .one import run as also\n" + HANDLER_HERE.format(name="two")
    )
    assert [spec.name for spec in load_handlers(package).all()] == ["one", "two"]


def test_a_subclass_of_a_handler_class_is_no_handler_by_itself(write):
    package = write(
        one="""
        from pydantic import BaseModel
        from jobs import handler

        class Args(BaseModel): ...

        @handler("base")
        class Base:
            def handle(self, args: Args) -> None: ...

        class Derived(Base): ...
        """
    )
    assert [spec.name for spec in load_handlers(package).all()] == ["base"]


def test_options_given_to_the_decorator_are_kept(write):
    package = write(
        one="""
        from datetime import timedelta
        from pydantic import BaseModel
        from jobs import RetryPolicy, handler, provider

        class Args(BaseModel): ...
        class Mailer: ...

        @provider
        def mailer() -> Mailer: ...

        @handler("X", retry=RetryPolicy(max_retries=9), timeout=timedelta(minutes=1))
        def run(args: Args, mailer: Mailer) -> None: ...
        """
    )
    [spec] = load_handlers(package).all()
    assert (spec.retry.max_retries, spec.timeout) == (9, timedelta(minutes=1))


def test_two_modules_with_handlers_of_one_name_are_refused(write):
    package = write(one=HANDLER.format(name="same"), two=HANDLER.format(name="same"))
    with pytest.raises(
        HandlerRegistrationError, match=r"two handlers are called 'same': .*one.py:7 .* and .*two.py:7 "
    ):
        load_handlers(package)


def test_a_service_that_nothing_provides_stops_the_app_from_starting(write):
    package = write(one=HANDLER.format(name="X").replace("args: Args", "args: Args, when: Args.__class__"))
    with pytest.raises(HandlerRegistrationError, match=r"one\.py:7 \(run\): nothing provides ModelMetaclass"):
        load_handlers(package)


@pytest.mark.parametrize("module", ["broken", "downloading", "loading", "importlib_helper"])
@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a = 1\nb = 2\nc = 2 2\n", 3, "SyntaxError: invalid syntax: c = 2 2 ("),
        ("\n\nimport no_such_module_at_all\n", 3, "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("a = 1\nb = a / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("\nfrom pydantic import BaseModel\n\nclass A(BaseModel):\n    b: object()\n", 4, "PydanticSchemaGeneration"),
        ("\nfrom jobs import RetryPolicy\np = RetryPolicy(max_retries=-1)\n", 3, "ValueError: a retry policy needs"),
    ],
    ids=["syntax", "import", "error", "model", "policy"],
)
def test_a_module_that_cannot_be_imported_names_file_line_and_reason(write, module, text, line, reason):
    package = write(**{module: text})
    with pytest.raises(HandlerRegistrationError) as caught:
        load_handlers(package)
    message = str(caught.value)
    assert f"the handler module {package}.{module} cannot be imported: " in message
    assert reason in message
    assert f"{package}/{module}.py:{line})" in message
    if "No module named" not in reason:
        assert message.endswith("mend it, or point JOBS_HANDLERS at another package")
    assert isinstance(caught.value, ConfigurationError)


@pytest.mark.parametrize(
    ("text", "installs"),
    [
        ("import no_such_library", True),
        ("from no_such_library.api import Client", True),
        ("from {package} import no_such_file", False),
        ("import {package}.no_such_file", False),
        ("import pydantic.no_such_file", False),
    ],
)
def test_a_missing_library_is_to_be_named_in_the_requirements_and_a_missing_file_is_not(write, text, installs):
    package = write(one="")
    other = write(one=text.format(package=package))
    with pytest.raises(HandlerRegistrationError) as caught:
        load_handlers(other)
    advice = "if no_such_library comes from a package, name that in requirements-app.in and run `make lock-app`"
    assert (advice in str(caught.value)) is installs
    assert ("or point JOBS_HANDLERS at another package" in str(caught.value)) is not installs


@pytest.mark.parametrize("text", ["import no_such_module_at_all", "1 / 0", "b = = 2"])
def test_a_package_below_that_cannot_be_imported_names_its_file_too(write, text):
    package = write(below__in____init__=text, below__in__one=HANDLER.format(name="X"))
    with pytest.raises(HandlerRegistrationError, match=r"below/__init__\.py:1\)"):
        load_handlers(package)


def test_a_package_that_does_not_exist_is_named(write):
    with pytest.raises(HandlerRegistrationError, match="the handler module no_such_handlers cannot be imported"):
        load_handlers("no_such_handlers")


def test_marks_leave_the_function_as_it_is():
    assert handler("X")(plain) is plain
    assert provider(make_mailer) is make_mailer


def test_a_misspelt_package_is_refused_with_the_one_that_is_meant(write):
    package = write(one="")
    with pytest.raises(HandlerRegistrationError, match=r"No module named .*; is 'one' meant\?"):
        load_handlers(f"{package}.on")


def test_a_name_that_the_frameworks_own_handlers_may_have_is_refused():
    with pytest.raises(
        HandlerRegistrationError, match=r"names of handlers that begin with 'jobs\.' are the framework's"
    ):
        registered(plain, "jobs.bulk")
    with pytest.raises(HandlerRegistrationError, match=r"begin with 'jobs\.' are the framework's own"):
        declare("jobs.bulk", Args)
    assert registered(plain, "jobsbulk").name == "jobsbulk"
