"""openfga-sdk, unmodified: every method of its clients, sync and async, each on a store of its own.

BEHALF_BINARY names the server's program (default: the debug build). A method that no area calls fails
the run: it gets an area below, a function that takes the fixture, added to `AREAS`.
"""

import asyncio
import inspect
import json
import os
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import openfga_sdk.client as async_client  # noqa: E402
import openfga_sdk.sync as sync_client  # noqa: E402
from openfga_sdk import ApiClient, OpenFgaApi  # noqa: E402
from openfga_sdk.client import ClientConfiguration  # noqa: E402
from openfga_sdk.client.models import (  # noqa: E402
    ClientAssertion,
    ClientBatchCheckItem,
    ClientBatchCheckRequest,
    ClientCheckRequest,
    ClientExpandRequest,
    ClientListObjectsRequest,
    ClientListRelationsRequest,
    ClientReadChangesRequest,
    ClientTuple,
    ClientWriteRequest,
    ClientWriteRequestOnDuplicateWrites,
    ClientWriteRequestOnMissingDeletes,
    ConflictOptions,
    WriteTransactionOpts,
)
from openfga_sdk.configuration import RetryParams  # noqa: E402
from openfga_sdk.credentials import CredentialConfiguration, Credentials  # noqa: E402
from openfga_sdk.exceptions import (  # noqa: E402
    ForbiddenException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
    ValidationException,
)
from openfga_sdk.models import (  # noqa: E402
    CreateStoreRequest,
    FgaObject,
    ListUsersRequest,
    ReadRequestTupleKey,
    RelationshipCondition,
    UserTypeFilter,
)
from openfga_sdk.sync.api_client import ApiClient as SyncApiClient  # noqa: E402
from openfga_sdk.sync.open_fga_api import OpenFgaApi as SyncOpenFgaApi  # noqa: E402

from methods import Exercised  # noqa: E402
from server import Checks, Server  # noqa: E402

BINARY = os.environ.get("BEHALF_BINARY") or str(HERE.parents[2] / "target/debug/behalf")
MODEL = json.loads((HERE.parent / "model.json").read_text())
KEY = "ecosystem-key-0123456789"
SCOPES = '["read:fga", "check:fga", "write:fga", "admin:fga"]'
TUPLES = [
    ("user:ann", "owner", "doc:plan"),
    ("user:bob", "member", "group:eng"),
    ("group:eng#member", "viewer", "doc:plan"),
    ("user:*", "viewer", "doc:handbook"),
]


def setup(issuer: str) -> str:
    return f"""
clients:
  - {{client_id: all, client_secret: all-secret, app_type: non_interactive, grant_types: [client_credentials]}}
  - {{client_id: checker, client_secret: checker-secret, app_type: non_interactive, grant_types: [client_credentials]}}
client_grants:
  - {{client_id: all, audience: "{issuer}fga/", scope: {SCOPES}}}
  - {{client_id: checker, audience: "{issuer}fga/", scope: ["check:fga"]}}
fga:
  api_keys:
    - {{name: ci, key: "{KEY}", stores: ["*"], scopes: {SCOPES}}}
"""


class Flavour:
    """The sync or the async half of the package, both used as if they were sync."""

    def __init__(self, name: str, client: type, api: type, api_client: type) -> None:
        self.name, self.client, self.api, self.api_client = name, client, api, api_client
        self.loop = asyncio.new_event_loop()
        self.clients = Exercised(f"openfga-sdk, {name} client", client, self.finish)
        self.apis = Exercised(f"openfga-sdk, {name} API", api, self.finish)

    def make(self, kind: type, *args):
        """Async clients are made while their loop runs."""

        async def made():
            return kind(*args)

        return self.loop.run_until_complete(made())

    def finish(self, answer):
        if inspect.isasyncgen(answer):
            return self.loop.run_until_complete(gathered(answer))
        if inspect.isgenerator(answer):
            return list(answer)
        if inspect.isawaitable(answer):
            return self.finish(self.loop.run_until_complete(awaited(answer)))
        return answer


async def gathered(items) -> list:
    return [item async for item in items]


async def awaited(answer):
    return await answer


class Fixture:
    """Clients of the server under test."""

    def __init__(self, server: Server, flavour: Flavour) -> None:
        self.server, self.flavour = server, flavour
        self.show, self.made = Checks(f"openfga-sdk (Python, {flavour.name})"), []

    def by_key(self, store_id: str | None = None, key: str = KEY, **more):
        return self.client(store_id, "api_token", {"api_token": key}, **more)

    def by_client(self, store_id: str | None, client_id: str, secret: str | None = None):
        """The SDK asks the token endpoint itself, by the issuer's address."""
        configuration = {
            "api_issuer": self.server.base,
            "api_audience": f"{self.server.issuer}fga/",
            "client_id": client_id,
            "client_secret": secret or f"{client_id}-secret",
        }
        return self.client(store_id, "client_credentials", configuration)

    def client(self, store_id: str | None, method: str, configuration: dict, **more):
        client = self.flavour.make(
            self.flavour.client, self.configuration(store_id, method, configuration, **more)
        )
        self.made.append(self.flavour.clients.watch(client))
        return self.made[-1]

    def configuration(self, store_id, method, configuration, **more) -> ClientConfiguration:
        credentials = Credentials(
            method=method, configuration=CredentialConfiguration(**configuration)
        )
        return ClientConfiguration(
            api_url=self.server.base, store_id=store_id, credentials=credentials, **more
        )

    def store(self, name: str, tuples=()):
        """A store with the model and these tuples."""
        fga = self.by_key()
        fga.set_store_id(fga.create_store(CreateStoreRequest(name=name)).id)
        fga.write_authorization_model(MODEL)
        if tuples:
            fga.write(ClientWriteRequest(writes=[ClientTuple(*key) for key in tuples]))
        return fga

    def close(self) -> None:
        for client in self.made:
            client.close()


def may(fga, user: str, relation: str, object: str, **more) -> bool:
    return fga.check(ClientCheckRequest(user, relation, object, **more)).allowed


def stores(use: Fixture) -> None:
    fga, show = use.by_key(), use.show
    made = {fga.create_store(CreateStoreRequest(name=f"of-python-{at}")).id for at in range(3)}
    listed, token = set(), None
    while True:
        page = fga.list_stores(
            {"page_size": 2, "continuation_token": token} if token else {"page_size": 2}
        )
        listed |= {store.id for store in page.stores}
        token = page.continuation_token
        if not token:
            break
    show.equal(made <= listed, True, "stores, page by page")
    fga.set_store_id(made.pop())
    show.equal(fga.get_store().name.startswith("of-python-"), True, "a store by its id")
    fga.delete_store()
    show.raises(NotFoundException, fga.get_store, "a deleted store", "store_id_not_found")


def models(use: Fixture) -> None:
    fga, show = use.store("models"), use.show
    second = fga.write_authorization_model(MODEL).authorization_model_id
    latest = fga.read_latest_authorization_model().authorization_model
    show.equal(latest.id, second, "the latest model is the one that came last")
    show.equal([one.type for one in latest.type_definitions], ["user", "group", "doc"], "its types")
    show.equal(latest.conditions["until"].expression, "now < end", "its condition")
    listed = [one.id for one in fga.read_authorization_models().authorization_models]
    show.equal((len(listed), listed[0]), (2, second), "every model, newest first")
    first = fga.read_authorization_model({"authorization_model_id": listed[1]}).authorization_model
    show.equal(first.id, listed[1], "a model by its id")
    no_such = {"authorization_model_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    show.raises(
        ValidationException,
        lambda: fga.read_authorization_model(no_such),
        "no such model",
        "authorization_model_not_found",
    )


def write(use: Fixture) -> None:
    fga, show = use.store("write", TUPLES), use.show
    again = ClientWriteRequest(writes=[ClientTuple(*TUPLES[0])])
    show.raises(
        ValidationException,
        lambda: fga.write(again),
        "a tuple that exists",
        "write_failed_due_to_invalid_input",
    )
    both = ClientWriteRequest(
        writes=[ClientTuple("user:eve", "owner", "doc:x")], deletes=[ClientTuple(*TUPLES[1])]
    )
    fga.write(both)
    show.equal(
        may(fga, "user:bob", "can_view", "doc:plan"), False, "a removed membership counts at once"
    )
    show.equal(may(fga, "user:eve", "can_view", "doc:x"), True, "so does what the same call wrote")
    half = ClientWriteRequest(
        writes=[
            ClientTuple("user:pat", "owner", "doc:x"),
            ClientTuple("user:pat", "no_such", "doc:x"),
        ]
    )
    show.raises(
        ValidationException,
        lambda: fga.write(half),
        "a relation that the model lacks",
        "validation_error",
    )
    show.equal(may(fga, "user:pat", "owner", "doc:x"), False, "all of a call or nothing")
    fga.delete_tuples([ClientTuple("user:eve", "owner", "doc:x")])
    show.equal(may(fga, "user:eve", "owner", "doc:x"), False, "delete_tuples")


def check(use: Fixture) -> None:
    fga, show = use.store("check", TUPLES), use.show
    show.equal(may(fga, "user:ann", "can_view", "doc:plan"), True, "an owner")
    show.equal(
        may(fga, "user:bob", "can_view", "doc:plan"), True, "a member of a group that may view"
    )
    show.equal(may(fga, "user:eve", "can_view", "doc:plan"), False, "a stranger")
    show.equal(may(fga, "user:eve", "can_view", "doc:handbook"), True, "what everybody may view")
    borrowed = [ClientTuple("user:eve", "viewer", "doc:plan")]
    show.equal(
        may(fga, "user:eve", "can_view", "doc:plan", contextual_tuples=borrowed),
        True,
        "a contextual tuple",
    )
    show.equal(may(fga, "user:eve", "can_view", "doc:plan"), False, "which leaves no trace")
    until = RelationshipCondition(name="until", context={"end": "2030-01-01T00:00:00Z"})
    fga.write(ClientWriteRequest(writes=[ClientTuple("user:tim", "viewer", "doc:plan", until)]))
    for now, expected in [("2029-12-31T23:59:59Z", True), ("2030-01-01T00:00:00Z", False)]:
        show.equal(
            may(fga, "user:tim", "can_view", "doc:plan", context={"now": now}),
            expected,
            f"a condition at {now}",
        )


def batch_check(use: Fixture) -> None:
    fga, show = use.store("batch", TUPLES), use.show
    checks = [
        ClientBatchCheckItem(f"user:{name}", "can_view", "doc:plan", name)
        for name in ("ann", "bob", "eve")
    ]
    checks.append(ClientBatchCheckItem("user:ann", "no_such", "doc:plan", "wrong"))
    answers = {
        one.correlation_id: one for one in fga.batch_check(ClientBatchCheckRequest(checks)).result
    }
    show.equal(
        [answers[name].allowed for name in ("ann", "bob", "eve")],
        [True, True, False],
        "each has its answer",
    )
    show.equal(
        answers["wrong"].error.input_error, "validation_error", "one that is wrong spoils no other"
    )
    many = [
        ClientBatchCheckItem("user:ann", "can_view", "doc:plan", f"id-{at}") for at in range(120)
    ]
    result = fga.batch_check(ClientBatchCheckRequest(many)).result
    show.equal(
        (len(result), all(one.allowed for one in result)),
        (120, True),
        "more than one request's worth",
    )
    one_by_one = fga.client_batch_check(
        [ClientCheckRequest(f"user:{name}", "owner", "doc:plan") for name in ("ann", "bob")]
    )
    show.equal([one.allowed for one in one_by_one], [True, False], "one by one, in parallel")


def list_objects(use: Fixture) -> None:
    fga, show = use.store("objects", TUPLES), use.show
    found = fga.list_objects(ClientListObjectsRequest("user:bob", "can_view", "doc")).objects
    show.equal(sorted(found), ["doc:handbook", "doc:plan"], "what somebody may view")
    borrowed = [ClientTuple("user:eve", "viewer", "doc:secret")]
    found = fga.list_objects(
        ClientListObjectsRequest("user:eve", "can_view", "doc", contextual_tuples=borrowed)
    ).objects
    show.equal(sorted(found), ["doc:handbook", "doc:secret"], "with a contextual tuple")


def list_relations(use: Fixture) -> None:
    fga, show = use.store("relations", TUPLES), use.show
    relations = ["owner", "viewer", "can_view"]
    found = fga.list_relations(ClientListRelationsRequest("user:bob", relations, "doc:plan"))
    # The client puts the answers in an order of its own.
    show.equal(sorted(found), ["can_view", "viewer"], "what somebody is to a document")


def errors(use: Fixture) -> None:
    fga, show = use.store("errors", TUPLES), use.show
    for what, call, code in [
        (
            "an unknown relation",
            lambda: may(fga, "user:ann", "no_such", "doc:plan"),
            "validation_error",
        ),
        ("an unknown type", lambda: may(fga, "user:ann", "owner", "ship:1"), "validation_error"),
        ("a user without a type", lambda: may(fga, "ann", "owner", "doc:plan"), "validation_error"),
        (
            "a tuple that is not there",
            lambda: fga.delete_tuples([ClientTuple("user:eve", "owner", "doc:plan")]),
            "write_failed_due_to_invalid_input",
        ),
        (
            "a type that may not stand there",
            lambda: fga.write_tuples([ClientTuple("group:eng", "owner", "doc:plan")]),
            "validation_error",
        ),
    ]:
        show.raises(ValidationException, call, what, code)
    empty = use.by_key(use.by_key().create_store(CreateStoreRequest(name="no model")).id)
    show.raises(
        ValidationException,
        lambda: may(empty, "user:ann", "owner", "doc:plan"),
        "a store without a model",
        "latest_authorization_model_not_found",
    )
    nowhere = use.by_key("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    show.raises(
        NotFoundException,
        lambda: may(nowhere, "user:ann", "owner", "doc:plan"),
        "no such store",
        "store_id_not_found",
    )


def authentication(use: Fixture) -> None:
    store_id, show = use.store("authentication", TUPLES).get_store_id(), use.show
    wrong = use.by_key(store_id, "not-the-key")
    show.raises(
        UnauthorizedException, lambda: may(wrong, "user:ann", "owner", "doc:plan"), "a wrong key"
    )
    show.equal(
        may(use.by_client(store_id, "all"), "user:ann", "owner", "doc:plan"),
        True,
        "client credentials",
    )
    checker = use.by_client(store_id, "checker")
    show.equal(may(checker, "user:ann", "owner", "doc:plan"), True, "with the scope to check")
    tuples = [ClientTuple("user:eve", "owner", "doc:plan")]
    show.raises(ForbiddenException, lambda: checker.write_tuples(tuples), "but not to write")
    show.raises(ForbiddenException, lambda: checker.list_stores(), "nor to list stores")
    liar = use.by_client(store_id, "all", "not-the-secret")
    show.raises(
        UnauthorizedException, lambda: may(liar, "user:ann", "owner", "doc:plan"), "a wrong secret"
    )


def read(use: Fixture) -> None:
    fga, show = use.store("read", TUPLES), use.show
    found, token = [], None
    while True:
        options = {"page_size": 3} | ({"continuation_token": token} if token else {})
        page = fga.read(ReadRequestTupleKey(), options)
        found += [(one.key.user, one.key.relation, one.key.object) for one in page.tuples]
        token = page.continuation_token
        if not token:
            break
    show.equal(sorted(found), sorted(TUPLES), "every tuple, page by page")
    page = fga.read(ReadRequestTupleKey(object="doc:plan", relation="viewer"))
    show.equal([one.key.user for one in page.tuples], ["group:eng#member"], "of a relation")
    age = datetime.now(timezone.utc) - page.tuples[0].timestamp
    show.equal(timedelta(0) <= age < timedelta(minutes=5), True, "with the time of its writing")


def changes(use: Fixture) -> None:
    fga, show = use.store("changes", TUPLES), use.show
    fga.delete_tuples([ClientTuple(*TUPLES[0])])
    of_docs = ClientReadChangesRequest("doc")
    page = fga.read_changes(of_docs, {"page_size": 3})
    found = [(one.operation, one.tuple_key.user) for one in page.changes]
    written = [("TUPLE_OPERATION_WRITE", user) for user in ("user:ann", "group:eng#member", "user:*")]
    show.equal(found, written, "changes of a type, in order")
    page = fga.read_changes(of_docs, {"continuation_token": page.continuation_token})
    found = [(one.operation, one.tuple_key.user) for one in page.changes]
    show.equal(found, [("TUPLE_OPERATION_DELETE", "user:ann")], "behind the token")
    now = datetime.now(timezone.utc)
    since = ClientReadChangesRequest("group", (now - timedelta(minutes=1)).isoformat())
    show.equal(len(fga.read_changes(since).changes), 1, "of a type since a minute ago")
    future = ClientReadChangesRequest("group", (now + timedelta(minutes=1)).isoformat())
    show.raises(
        ValidationException,
        lambda: fga.read_changes(future),
        "from a time to come on",
        "validation_error",
    )


def assertions(use: Fixture) -> None:
    fga, show = use.store("assertions", TUPLES), use.show
    model = fga.read_latest_authorization_model().authorization_model.id
    fga.set_authorization_model_id(model)
    show.equal(fga.get_authorization_model_id(), model, "the model of every call")
    fga.write_assertions([ClientAssertion("user:ann", "owner", "doc:plan", True)])
    found = fga.read_assertions().assertions
    found = [(one.tuple_key.user, one.tuple_key.relation, one.expectation) for one in found]
    show.equal(found, [("user:ann", "owner", True)], "an assertion")


def list_users(use: Fixture) -> None:
    fga, show = use.store("users", TUPLES), use.show

    def of(object_id: str, user_type: str, relation: str | None = None, **more):
        request = ListUsersRequest(
            object=FgaObject(type="doc", id=object_id),
            relation="can_view",
            user_filters=[UserTypeFilter(type=user_type, relation=relation)],
            **more,
        )
        # The client sends `contextual_tuples` as it finds them.
        return fga.list_users(request).users

    found = of("plan", "user", contextual_tuples=[])
    show.equal(sorted(one.object.id for one in found), ["ann", "bob"], "who may view a document")
    found = of("handbook", "user", contextual_tuples=[])
    show.equal([one.wildcard.type for one in found], ["user"], "everybody")
    (found,) = of("plan", "group", "member", contextual_tuples=[])
    found = (found.userset.type, found.userset.id, found.userset.relation)
    show.equal(found, ("group", "eng", "member"), "groups")
    borrowed = [ClientTuple("user:eve", "viewer", "doc:plan")]
    found = of("plan", "user", contextual_tuples=borrowed)
    show.equal(sorted(one.object.id for one in found), ["ann", "bob", "eve"], "with one more")


def expand(use: Fixture) -> None:
    fga, show = use.store("expand", TUPLES), use.show
    root = fga.expand(ClientExpandRequest("owner", "doc:plan")).tree.root
    show.equal((root.name, root.leaf.users.users), ("doc:plan#owner", ["user:ann"]), "a relation")
    root = fga.expand(ClientExpandRequest("can_view", "doc:plan")).tree.root
    found = [node.leaf.computed.userset for node in root.union.nodes]
    show.equal(found, ["doc:plan#owner", "doc:plan#viewer"], "a union")


def streams(use: Fixture) -> None:
    fga, show = use.store("streams", TUPLES), use.show
    found = fga.streamed_list_objects(ClientListObjectsRequest("user:bob", "can_view", "doc"))
    found = sorted(one.object for one in found)
    show.equal(found, ["doc:handbook", "doc:plan"], "objects, as a stream")


def conflicts(use: Fixture) -> None:
    fga, show = use.store("conflicts", TUPLES), use.show
    there, absent = ClientTuple(*TUPLES[0]), ClientTuple("user:eve", "owner", "doc:plan")
    ignore = ConflictOptions(
        on_duplicate_writes=ClientWriteRequestOnDuplicateWrites.IGNORE,
        on_missing_deletes=ClientWriteRequestOnMissingDeletes.IGNORE,
    )
    error = ConflictOptions(
        on_duplicate_writes=ClientWriteRequestOnDuplicateWrites.ERROR,
        on_missing_deletes=ClientWriteRequestOnMissingDeletes.ERROR,
    )
    fga.write(ClientWriteRequest(writes=[there], deletes=[absent]), {"conflict": ignore})
    new = ClientTuple("user:new", "owner", "doc:plan")
    fga.write_tuples([there, new], {"conflict": ignore})
    show.equal(may(fga, "user:new", "owner", "doc:plan"), True, "a duplicate is passed over")
    fga.delete_tuples([absent, new], {"conflict": ignore})
    show.equal(may(fga, "user:new", "owner", "doc:plan"), False, "and so are missing ones")
    failed = "write_failed_due_to_invalid_input"
    for what, call in [
        ("a duplicate", lambda: fga.write_tuples([there], {"conflict": error})),
        ("a missing tuple", lambda: fga.delete_tuples([absent], {"conflict": error})),
    ]:
        show.raises(ValidationException, call, f"{what} is an error when asked", failed)


def chunks(use: Fixture) -> None:
    fga, show = use.store("chunks", TUPLES), use.show
    many = [ClientTuple(f"user:{at}", "owner", "doc:many") for at in range(250)]
    transaction = WriteTransactionOpts(disabled=True, max_per_chunk=100, max_parallel_requests=3)
    answer = fga.write(ClientWriteRequest(writes=many), {"transaction": transaction})
    found = (len(answer.writes), all(one.success for one in answer.writes))
    show.equal(found, (250, True), "more than one request's worth of writes")
    answer = fga.write(ClientWriteRequest(deletes=many), {"transaction": transaction})
    found = (len(answer.deletes), all(one.success for one in answer.deletes))
    show.equal(found, (250, True), "and of deletes")
    alone = WriteTransactionOpts(disabled=True, max_per_chunk=1)
    wrong = ClientTuple("user:y", "no_such", "doc:many")
    answer = fga.write(ClientWriteRequest(writes=[many[0], wrong]), {"transaction": alone})
    found = [(one.tuple_key.user, one.success) for one in answer.writes]
    show.equal(found, [("user:0", True), ("user:y", False)], "each chunk has its own answer")
    show.equal(answer.writes[1].error.code, "validation_error", "with its reason")


def retries(use: Fixture) -> None:
    """A server that is not there yet says 503 and when to come again; the client does."""
    writer, show = use.store("retries", TUPLES), use.show
    store_id, statuses = writer.get_store_id(), []
    fga = use.by_key(store_id, retry_params=RetryParams(max_retry=3, min_wait_in_ms=1))
    rest = fga.target._api_client.rest_client
    plain, is_async = rest.request, inspect.iscoroutinefunction(rest.request)

    def seen(status: int) -> None:
        statuses.append(status)
        if status == 503:
            key = {"user": "user:late", "relation": "owner", "object": "doc:plan"}
            body = json.dumps({"writes": {"tuple_keys": [key]}}).encode()
            headers = {"Authorization": f"Bearer {KEY}"}
            answer = use.server.ask("POST", f"/stores/{store_id}/write", body, headers)
            show.equal(answer[0], 200, f"written in between: {answer[1]!r}")

    def request(*args, **more):
        try:
            answer = plain(*args, **more)
        except ServiceException as error:
            seen(error.status)
            raise
        seen(answer.status)
        return answer

    async def request_async(*args, **more):
        try:
            answer = await plain(*args, **more)
        except ServiceException as error:
            seen(error.status)
            raise
        seen(answer.status)
        return answer

    rest.request = request_async if is_async else request
    options = {"headers": {"Behalf-Min-Revision": "2"}}
    allowed = fga.check(ClientCheckRequest("user:late", "owner", "doc:plan"), options).allowed
    show.equal((allowed, statuses), (True, [503, 200]), "asked again after 503")
    impatient = use.by_key(store_id, retry_params=RetryParams(max_retry=0, min_wait_in_ms=1))
    ahead = {"headers": {"Behalf-Min-Revision": "99"}}
    show.raises(
        ServiceException,
        lambda: impatient.check(ClientCheckRequest("user:ann", "owner", "doc:plan"), ahead),
        "or not",
    )


def raw_calls(use: Fixture) -> None:
    """The methods below the client: one for each of the API's, each in two forms."""
    show, flavour = use.show, use.flavour

    def api_of(store_id: str | None):
        configuration = use.configuration(store_id, "api_token", {"api_token": KEY})
        api_client = flavour.make(flavour.api_client, configuration)
        return flavour.apis.watch(flavour.make(flavour.api, api_client))

    key = {"user": "user:bob", "relation": "can_view", "object": "doc:plan"}
    tuples = [dict(zip(("user", "relation", "object"), one)) for one in TUPLES]
    object_list = {"user": "user:bob", "relation": "can_view", "type": "doc"}
    user_list = {
        "object": {"type": "doc", "id": "plan"},
        "relation": "owner",
        "user_filters": [{"type": "user"}],
    }
    batch = {"checks": [{"tuple_key": key, "correlation_id": "one"}]}

    def with_http_info(api, method: str, *args, **more):
        # With the headers too, this version of the package fails before it returns.
        only = {"_return_http_data_only": True}
        return getattr(api, f"{method}_with_http_info")(*args, **more, **only)

    def plain(api, method: str, *args, **more):
        return getattr(api, method)(*args, **more)

    for call in (plain, with_http_info):
        outside = api_of(None)
        name = f"raw-{call.__name__}-{flavour.name}"
        api = api_of(call(outside, "create_store", {"name": name}).id)
        show.equal(call(api, "get_store").name, name, "a store")
        found = call(outside, "list_stores", name=name).stores
        show.equal([one.name for one in found], [name], "by its name")
        model = call(api, "write_authorization_model", MODEL).authorization_model_id
        found = call(api, "read_authorization_model", model).authorization_model
        show.equal(found.schema_version, "1.1", "a model")
        found = call(api, "read_authorization_models", page_size=1).authorization_models
        show.equal([one.id for one in found], [model], "models")
        call(api, "write", {"writes": {"tuple_keys": tuples}, "authorization_model_id": model})
        found = call(api, "read", {"tuple_key": {"object": "doc:plan", "relation": "owner"}})
        show.equal([one.key.user for one in found.tuples], ["user:ann"], "tuples")
        found = call(api, "read_changes", type="group").changes
        show.equal([one.tuple_key.object for one in found], ["group:eng"], "changes")
        show.equal(call(api, "check", {"tuple_key": key}).allowed, True, "a check")
        show.equal(call(api, "batch_check", batch).result["one"].allowed, True, "a batch")
        found = call(api, "expand", {"tuple_key": {"relation": "owner", "object": "doc:plan"}})
        show.equal(found.tree.root.leaf.users.users, ["user:ann"], "a tree")
        found = call(api, "list_objects", object_list).objects
        show.equal(sorted(found), ["doc:handbook", "doc:plan"], "objects")
        found = call(api, "streamed_list_objects", object_list, _streaming=True)
        found = sorted(one["result"]["object"] for one in found)
        show.equal(found, ["doc:handbook", "doc:plan"], "and as a stream")
        found = call(api, "list_users", user_list).users
        show.equal([one.object.id for one in found], ["ann"], "users")
        expected = {"assertions": [{"tuple_key": key, "expectation": True}]}
        call(api, "write_assertions", model, expected)
        found = call(api, "read_assertions", model).assertions
        show.equal([one.tuple_key.user for one in found], ["user:bob"], "assertions")
        call(api, "delete_store")
        show.raises(NotFoundException, api.get_store, "a deleted store", "store_id_not_found")
        for one in (outside, api):
            one.close()


AREAS = [
    stores,
    models,
    write,
    read,
    changes,
    assertions,
    check,
    batch_check,
    list_relations,
    list_objects,
    list_users,
    expand,
    streams,
    conflicts,
    chunks,
    errors,
    authentication,
    retries,
    raw_calls,
]
FLAVOURS = [
    ("sync", sync_client.OpenFgaClient, SyncOpenFgaApi, SyncApiClient),
    ("async", async_client.OpenFgaClient, OpenFgaApi, ApiClient),
]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="behalf-openfga-") as folder, Server(
        BINARY, Path(folder), setup
    ) as server:
        for kinds in FLAVOURS:
            use = Fixture(server, Flavour(*kinds))
            for area in AREAS:
                area(use)
            use.close()
            use.flavour.clients.report(use.show)
            use.flavour.apis.report(use.show)
            use.show.done()
