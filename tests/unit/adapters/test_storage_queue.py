"""How a storage queue is found in the settings, signed in to, and what its refusals say."""

from __future__ import annotations

import base64
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from jobs.adapters.storage_queue import connections, signing
from jobs.adapters.storage_queue.account import StorageAccount
from jobs.adapters.storage_queue.queue import StorageQueue
from jobs.core.errors import ConfigurationError, SchedulerUnavailable
from tests.support import until

KEY = base64.b64encode(b"secret").decode()
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={KEY};EndpointSuffix=core.windows.net"


def found(connection: str = "AzureWebJobsStorage", **settings: str) -> StorageAccount:
    return StorageAccount.of(settings, connection)


class TestSettings:
    def test_a_connection_string_names_the_account_and_its_key(self):
        expected = StorageAccount("https://shop.queue.core.windows.net", "shop", b"secret")
        assert found(AzureWebJobsStorage=CONNECTION) == expected

    def test_a_connection_string_may_name_another_address(self):
        text = f"{CONNECTION};QueueEndpoint=http://127.0.0.1:9/shop/"
        assert found(AzureWebJobsStorage=text).queues == "http://127.0.0.1:9/shop"

    def test_the_emulators_short_form_is_known(self):
        account = found(AzureWebJobsStorage="UseDevelopmentStorage=true")
        assert account.queues == "http://127.0.0.1:10001/devstoreaccount1"
        assert account.key

    def test_an_address_without_a_key_is_for_an_identity(self):
        account = found(
            AzureWebJobsStorage__queueServiceUri="https://shop.queue.core.windows.net/",
            AzureWebJobsStorage__credential="managedidentity",
            AzureWebJobsStorage__clientId="id-of-the-identity",
        )
        assert account.queues == "https://shop.queue.core.windows.net"
        assert (account.key, account.client_id, account.managed_identity) == (None, "id-of-the-identity", True)

    def test_an_account_name_will_do_for_the_address(self):
        assert found(AzureWebJobsStorage__accountName="shop").queues == "https://shop.queue.core.windows.net"

    def test_another_setting_may_hold_the_connection(self):
        assert found("Orders", Orders=CONNECTION, AzureWebJobsStorage="UseDevelopmentStorage=true").name == "shop"

    def test_the_case_of_a_setting_does_not_matter_as_on_the_host(self):
        assert found(AZUREWEBJOBSSTORAGE__QUEUESERVICEURI="https://shop.queue.core.windows.net").key is None

    @pytest.mark.parametrize(
        ("settings", "mend"),
        [
            ({}, "neither AzureWebJobsStorage nor AzureWebJobsStorage__queueServiceUri is set"),
            ({"AzureWebJobsStorage": ""}, "neither AzureWebJobsStorage nor"),
            ({"AzureWebJobsStorage": "shop"}, "AccountName and AccountKey"),
            ({"AzureWebJobsStorage": "AccountName=shop;SharedAccessSignature=sv"}, "AccountName and AccountKey"),
            ({"AzureWebJobsStorage": "AccountName=shop;AccountKey=not base64"}, "not base64"),
            ({"AzureWebJobsStorage__queueServiceUri": "http://shop.queue.core.windows.net"}, "https://"),
            (
                {"AzureWebJobsStorage__queueServiceUri": "https://shop.blob.core.windows.net/"},
                "__queueServiceUri is not the address of the account's queues; write https://shop.queue.core.windows",
            ),
            (
                {"AzureWebJobsStorage__queueServiceUri": "https://shop.queue.core.windows.net/jobs-wake"},
                "names a queue; write the address of the account's queues, https://shop.queue.core.windows.net",
            ),
            (
                {"AzureWebJobsStorage__queueServiceUri": "https://shop.queue.core.windows.net/?sv=1"},
                "a shared access signature, which is not used",
            ),
            ({"AzureWebJobsStorage": f"{CONNECTION};QueueEndpoint=https://shop.file.core.windows.net"}, "shop.queue"),
        ],
    )
    def test_what_is_missing_or_wrong_is_named_with_the_mend_and_no_secret(self, settings, mend):
        with pytest.raises(ConfigurationError, match=mend) as error:
            found(**settings)
        assert "sv" not in str(error.value).split()


class Credential:
    """Hands out tokens that hold for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked = self.given = 0
        self.fails = False
        self.answers = threading.Event()
        self.answers.set()

    def get_token(self, scope: str) -> SimpleNamespace:
        assert scope == "https://storage.azure.com/.default"
        self.asked += 1
        self.answers.wait(60)
        if self.fails:
            raise RuntimeError("no identity is assigned")
        self.given += 1
        return SimpleNamespace(token=f"token-{self.given}", expires_on=time.time() + self.seconds)


@pytest.fixture
def credential(monkeypatch):
    credential = Credential(seconds=3600)
    monkeypatch.setattr(signing, "_credential", lambda *_, **__: credential)
    return credential


def bearer() -> signing.TokenSigning:
    return signing.TokenSigning(StorageAccount("https://shop.queue.core.windows.net", "shop"))


def authorization(signs: signing.TokenSigning) -> str:
    return signs.headers("GET", "/jobs", {}, 0)["Authorization"]


class TestTokens:
    def test_a_token_is_kept_while_it_is_good(self, credential):
        signs = bearer()
        assert {authorization(signs) for _ in range(10)} == {"Bearer token-1"}

    def test_a_token_is_renewed_before_it_expires(self, credential):
        credential.seconds = 60
        signs = bearer()
        assert [authorization(signs) for _ in range(2)] == ["Bearer token-1", "Bearer token-2"]

    def test_a_token_that_cannot_be_renewed_yet_is_used_while_it_is_good(self, credential):
        credential.seconds = 60
        signs = bearer()
        authorization(signs)
        credential.fails = True
        assert authorization(signs) == "Bearer token-1"

    def test_while_the_next_token_is_waited_for_others_use_the_one_at_hand(self, credential):
        credential.seconds = 60
        signs = bearer()
        authorization(signs)
        credential.answers.clear()
        waits = threading.Thread(target=authorization, args=[signs])
        waits.start()
        until(lambda: credential.asked == 2)
        assert authorization(signs) == "Bearer token-1"
        assert waits.is_alive()
        credential.answers.set()
        waits.join()
        assert credential.asked == 2

    def test_after_a_renewal_that_failed_none_waits_for_another_one_for_a_while(self, credential):
        credential.seconds = 60
        signs = bearer()
        authorization(signs)
        credential.fails = True
        assert {authorization(signs) for _ in range(5)} == {"Bearer token-1"}
        assert credential.asked == 2

    def test_those_who_wait_for_the_first_token_share_the_answer(self, credential):
        signs = bearer()
        credential.fails = True
        credential.answers.clear()
        failed = []

        def ask() -> None:
            try:
                authorization(signs)
            except SchedulerUnavailable as error:
                failed.append(error)

        callers = [threading.Thread(target=ask) for _ in range(5)]
        for caller in callers:
            caller.start()
        until(lambda: credential.asked == 1)
        time.sleep(0.2)  # by then the others wait
        credential.answers.set()
        for caller in callers:
            caller.join()
        assert (credential.asked, len(failed)) == (1, 5)
        with pytest.raises(SchedulerUnavailable):
            authorization(signs)
        assert credential.asked == 2, "who asks later is a new question"

    def test_without_any_token_the_scheduler_is_unavailable_and_says_why(self, credential):
        credential.fails = True
        with pytest.raises(SchedulerUnavailable, match=r"shop\.queue\.core\.windows\.net: no identity is assigned"):
            authorization(bearer())


@pytest.fixture
def service():
    """A service that answers each request alike, and takes down its headers."""
    told = SimpleNamespace(status=201, code=None, requests=[], connections=[], answers=threading.Event())
    told.answers.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            told.requests.append(self.headers)
            told.connections.append(self.client_address)
            if not told.answers.wait(60):
                return
            self.send_response(told.status)
            if told.code:
                self.send_header("x-ms-error-code", told.code)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    told.address = f"http://127.0.0.1:{server.server_port}"
    told.queue = StorageQueue(StorageAccount(told.address, ""), "jobs", connections=4)
    yield told
    told.answers.set()
    told.queue.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_identity_signs_in_with_its_token(credential, service):
    service.queue.put("text")
    assert service.requests[0]["Authorization"] == "Bearer token-1"


@pytest.mark.parametrize(
    ("status", "code", "mend"),
    [
        (403, "AuthorizationPermissionMismatch", "grant the app's identity Storage Queue Data Contributor"),
        (403, "AuthorizationFailure", "network rules"),
        (404, "QueueNotFound", "create the queue jobs"),
        (409, "QueueBeingDeleted", "being deleted"),
        (503, "ServerBusy", "answered 503 ServerBusy"),
        (418, None, "answered 418"),
    ],
)
def test_a_refusal_says_what_to_do(credential, service, status, code, mend):
    service.status, service.code = status, code
    with pytest.raises(SchedulerUnavailable, match=mend) as error:
        service.queue.put("text")
    assert error.value.busy == (status == 503)


class TestConnections:
    @pytest.fixture(autouse=True)
    def signed_in(self, credential):
        pass

    def put_at_once(self, service, queue: StorageQueue, count: int) -> None:
        """Put so many messages, each on a connection of its own."""
        before = len(service.requests)
        service.answers.clear()
        puts = [threading.Thread(target=queue.put, args=["text"]) for _ in range(count)]
        for put in puts:
            put.start()
        until(lambda: len(service.requests) == before + count)
        service.answers.set()
        for put in puts:
            put.join()

    def test_a_connection_is_kept_while_it_is_in_use(self, service):
        for _ in range(5):
            service.queue.put("text")
        assert len(set(service.connections)) == 1

    def test_a_connection_that_was_idle_for_long_is_not_used_again(self, service, monkeypatch):
        self.put_at_once(service, service.queue, 2)
        monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.0)
        self.put_at_once(service, service.queue, 2)
        assert len(set(service.connections)) == 4

    def test_after_a_call_without_an_answer_no_idle_connection_is_used(self, service):
        queue = StorageQueue(StorageAccount(service.address, ""), "jobs", connections=4, timeout_seconds=2)
        self.put_at_once(service, queue, 3)
        before = set(service.connections)
        service.answers.clear()
        with pytest.raises(SchedulerUnavailable, match="cannot be reached"):
            queue.put("text")
        service.answers.set()
        asked = len(service.connections)
        self.put_at_once(service, queue, 3)
        assert before.isdisjoint(service.connections[asked:])
        queue.close()

    def test_once_they_are_closed_a_later_call_connects_again(self, service):
        service.queue.put("text")
        service.queue.close()
        service.queue.put("text")
        assert len(set(service.connections)) == 2
