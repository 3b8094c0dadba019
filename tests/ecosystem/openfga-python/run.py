"""openfga-sdk, unmodified, method by method, each on a store of its own.

BEHALF_BINARY names the server's program (default: the debug build). A method that is new here gets
an area below: a function that takes the fixture, added to `AREAS`. `read` has none yet: this client
refuses tuples without the time of their writing.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from openfga_sdk import CreateStoreRequest  # noqa: E402
from openfga_sdk.client import ClientConfiguration  # noqa: E402
from openfga_sdk.client.models import (  # noqa: E402
    ClientBatchCheckItem,
    ClientBatchCheckRequest,
    ClientCheckRequest,
    ClientListObjectsRequest,
    ClientListRelationsRequest,
    ClientTuple,
    ClientWriteRequest,
)
from openfga_sdk.credentials import CredentialConfiguration, Credentials  # noqa: E402
from openfga_sdk.exceptions import (  # noqa: E402
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
    ValidationException,
)
from openfga_sdk.models import RelationshipCondition  # noqa: E402
from openfga_sdk.sync import OpenFgaClient  # noqa: E402

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


class Fixture:
    """Clients of the server under test."""

    def __init__(self, server: Server) -> None:
        self.server, self.show = server, Checks("openfga-sdk (Python)")

    def by_key(self, store_id: str | None = None, key: str = KEY) -> OpenFgaClient:
        return self.client(store_id, "api_token", api_token=key)

    def by_client(
        self, store_id: str | None, client_id: str, secret: str | None = None
    ) -> OpenFgaClient:
        """The SDK asks the token endpoint itself, by the issuer's address."""
        return self.client(
            store_id,
            "client_credentials",
            api_issuer=self.server.base,
            api_audience=f"{self.server.issuer}fga/",
            client_id=client_id,
            client_secret=secret or f"{client_id}-secret",
        )

    def client(self, store_id: str | None, method: str, **configuration: str) -> OpenFgaClient:
        credentials = Credentials(
            method=method, configuration=CredentialConfiguration(**configuration)
        )
        return OpenFgaClient(
            ClientConfiguration(
                api_url=self.server.base, store_id=store_id, credentials=credentials
            )
        )

    def store(self, name: str, tuples=()) -> OpenFgaClient:
        """A store with the model and these tuples."""
        fga = self.by_key()
        fga.set_store_id(fga.create_store(CreateStoreRequest(name=name)).id)
        fga.write_authorization_model(MODEL)
        if tuples:
            fga.write(ClientWriteRequest(writes=[ClientTuple(*key) for key in tuples]))
        return fga


def may(fga: OpenFgaClient, user: str, relation: str, object: str, **more) -> bool:
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


AREAS = [
    stores,
    models,
    write,
    check,
    batch_check,
    list_relations,
    list_objects,
    errors,
    authentication,
]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="behalf-openfga-") as folder, Server(
        BINARY, Path(folder), setup
    ) as server:
        use = Fixture(server)
        for area in AREAS:
            area(use)
        use.show.done()
