"""grpcio, unmodified and without a file of ours: it asks the server what its services look like and
calls every method of them.

BEHALF_BINARY names the server's program (default: the debug build).
"""

import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import grpc  # noqa: E402
from google.protobuf import json_format, message_factory  # noqa: E402
from google.protobuf.descriptor_pool import DescriptorPool  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: E402
    ProtoReflectionDescriptorDatabase,
)

from server import Checks, Server, free_port  # noqa: E402

BINARY = os.environ.get("BEHALF_BINARY") or str(HERE.parents[2] / "target/debug/behalf")
MODEL = json.loads((HERE.parent / "model.json").read_text())
KEY = "ecosystem-key-0123456789"
SCOPES = '["read:fga", "check:fga", "write:fga", "admin:fga"]'
SERVICES = ["openfga.v1.OpenFGAService", "authzen.v1.AuthZenService", "grpc.health.v1.Health"]
TUPLES = [
    {"user": "user:ann", "relation": "owner", "object": "doc:plan"},
    {"user": "user:bob", "relation": "member", "object": "group:eng"},
    {"user": "group:eng#member", "relation": "viewer", "object": "doc:plan"},
    {"user": "user:*", "relation": "viewer", "object": "doc:handbook"},
]
# The largest message that the server reads, in bytes.
LIMIT = 616_448


def setup(issuer: str) -> str:
    return f"""
fga:
  api_keys:
    - {{name: ci, key: "{KEY}", stores: ["*"], scopes: {SCOPES}}}
"""


class Client:
    """The methods of every service, by what the server says of itself."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(self.database)
        self.methods = {
            f"/{name}/{method.name}": method
            for name in SERVICES
            for method in pool.FindServiceByName(name).methods
        }
        self.called: set[str] = set()

    def call(self, path: str, request: dict, key: str | None = KEY, **more):
        """What the method answers: a message as a dictionary, or a list of them."""
        call = self.begin(path, request, key, **more)
        if self.methods[path].server_streaming:
            answer = [as_dict(one) for one in call]
        else:
            answer = as_dict(call.result())
        self.called.add(path)
        return answer

    def begin(self, path: str, request: dict, key: str | None = KEY, headers=(), **more):
        method = self.methods[path]
        of = message_factory.GetMessageClass
        message = json_format.ParseDict(request, of(method.input_type)())
        kind = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        stub = kind(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=of(method.output_type).FromString,
        )
        metadata = [*headers, *([("authorization", f"Bearer {key}")] if key else [])]
        begin = stub if method.server_streaming else stub.future
        return begin(message, metadata=metadata, **more)

    def code(self, path: str, request: dict, **more) -> str:
        """What a refused call says. OpenFGA's own numbers come as `UNKNOWN` here, with their text."""
        try:
            answer = self.call(path, request, **more)
        except grpc.RpcError as error:
            name = error.code().name
            return error.details() if name == "UNKNOWN" else name
        raise AssertionError(f"{path}: no error but {answer}")


def as_dict(message) -> dict:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


FGA = "/openfga.v1.OpenFGAService"
AUTHZEN = "/authzen.v1.AuthZenService"
HEALTH = "/grpc.health.v1.Health"


def described(use: Client, show: Checks) -> None:
    show.equal(set(SERVICES) <= set(use.database.get_services()), True, "the list of services")
    count = {name: sum(path.startswith(f"/{name}/") for path in use.methods) for name in SERVICES}
    show.equal(list(count.values()), [19, 6, 2], "methods of each")


def store(use: Client, name: str, tuples=()) -> tuple[dict, str]:
    """The request's member that names a new store with the model, and the model's id."""
    of_store = {"store_id": use.call(f"{FGA}/CreateStore", {"name": name})["id"]}
    model = use.call(f"{FGA}/WriteAuthorizationModel", of_store | MODEL)["authorization_model_id"]
    if tuples:
        use.call(f"{FGA}/Write", of_store | {"writes": {"tuple_keys": tuples}})
    return of_store, model


def openfga(use: Client, show: Checks) -> None:
    of_store, model = store(use, "by grpcio", TUPLES)
    key = {"user": "user:bob", "relation": "can_view", "object": "doc:plan"}

    def ask(method: str, **request):
        return use.call(f"{FGA}/{method}", of_store | request)

    show.equal(ask("GetStore")["name"], "by grpcio", "a store")
    listed = use.call(f"{FGA}/ListStores", {"name": "by grpcio"})["stores"]
    show.equal([one["id"] for one in listed], [of_store["store_id"]], "by its name")
    found = ask("ReadAuthorizationModel", id=model)["authorization_model"]
    show.equal(found["conditions"]["until"]["expression"], "now < end", "a model")
    found = ask("ReadAuthorizationModels", page_size=1)["authorization_models"]
    show.equal([one["id"] for one in found], [model], "models")
    show.equal(ask("Check", tuple_key=key), {"allowed": True}, "a check")
    found = ask("BatchCheck", checks=[{"tuple_key": key, "correlation_id": "one"}])["result"]
    show.equal(found, {"one": {"allowed": True}}, "a batch")
    found = ask("Expand", tuple_key={"relation": "owner", "object": "doc:plan"})["tree"]["root"]
    show.equal(found["leaf"], {"users": {"users": ["user:ann"]}}, "a tree")
    question = {"user": "user:bob", "relation": "can_view", "type": "doc"}
    both = ["doc:handbook", "doc:plan"]
    show.equal(sorted(ask("ListObjects", **question)["objects"]), both, "objects")
    found = ask("StreamedListObjects", **question)
    show.equal(sorted(one["object"] for one in found), both, "and as a stream")
    found = ask(
        "ListUsers",
        object={"type": "doc", "id": "plan"},
        relation="can_view",
        user_filters=[{"type": "user"}],
    )["users"]
    show.equal(sorted(one["object"]["id"] for one in found), ["ann", "bob"], "users")
    found = ask("Read", tuple_key={"object": "doc:plan", "relation": "viewer"})["tuples"]
    show.equal([one["key"]["user"] for one in found], ["group:eng#member"], "tuples")
    found = ask("ReadChanges", type="group")["changes"]
    show.equal([one["tuple_key"]["object"] for one in found], ["group:eng"], "changes")
    expected = [{"tuple_key": key, "expectation": True}]
    ask("WriteAssertions", authorization_model_id=model, assertions=expected)
    found = ask("ReadAssertions", authorization_model_id=model)["assertions"]
    show.equal(found, expected, "assertions")
    show.equal(use.code(f"{FGA}/UpdateStore", of_store), "UNIMPLEMENTED", "as in OpenFGA")
    use.called.add(f"{FGA}/UpdateStore")
    ask("DeleteStore")
    show.equal(use.code(f"{FGA}/GetStore", of_store), "Store ID not found", "a deleted store")


def authzen(use: Client, show: Checks) -> None:
    of_store, _ = store(use, "authzen", TUPLES)
    subject = {"type": "user", "id": "bob"}
    resource, action = {"type": "doc", "id": "plan"}, {"name": "can_view"}
    one = {"subject": subject, "resource": resource, "action": action}

    def ask(method: str, **request):
        return use.call(f"{AUTHZEN}/{method}", of_store | request)

    show.equal(ask("Evaluation", **one)["decision"], True, "an evaluation")
    other = {"resource": {"type": "doc", "id": "secret"}}
    found = ask("Evaluations", **one, evaluations=[{}, other])["evaluations"]
    show.equal([each.get("decision", False) for each in found], [True, False], "two")
    found = ask("SubjectSearch", subject={"type": "user"}, action=action, resource=resource)
    show.equal(sorted(each["id"] for each in found["results"]), ["ann", "bob"], "subjects")
    found = ask("ResourceSearch", subject=subject, action=action, resource={"type": "doc"})
    show.equal([each["id"] for each in found["results"]], ["handbook", "plan"], "resources")
    found = ask("ActionSearch", subject=subject, resource=resource)
    names = [each["name"] for each in found["results"]]
    show.equal(names, ["can_view", "viewer"], "actions")
    found = use.call(f"{AUTHZEN}/GetConfiguration", of_store, key=None)
    show.equal("access_evaluation_endpoint" in found, True, "the addresses")


def health(use: Client, show: Checks) -> None:
    for service in ("", "openfga.v1.OpenFGAService"):
        found = use.call(f"{HEALTH}/Check", {"service": service}, key=None)
        show.equal(found, {"status": "SERVING"}, f"health of `{service}`")
    unknown = use.code(f"{HEALTH}/Check", {"service": "nobody"}, key=None)
    show.equal(unknown, "NOT_FOUND", "of what is not there")
    watch = use.begin(f"{HEALTH}/Watch", {}, None)
    show.equal(as_dict(next(watch)), {"status": "SERVING"}, "how it goes on")
    watch.cancel()
    use.called.add(f"{HEALTH}/Watch")


def errors(use: Client, show: Checks) -> None:
    of_store, _ = store(use, "errors", TUPLES)
    key = {"user": "user:bob", "relation": "can_view", "object": "doc:plan"}
    check, request = f"{FGA}/Check", of_store | {"tuple_key": key}
    no_relation = of_store | {"tuple_key": key | {"relation": "no"}}
    wrong = {"tuple_keys": [{"user": "doc:x", "relation": "viewer", "object": "doc:plan"}]}
    bad_field = of_store | {"tuple_key": key | {"object": "x"}}
    for request_of, says in [
        (no_relation, "relation 'doc#no' not found"),
        (request | {"contextual_tuples": wrong}, "Invalid tuple"),
        (bad_field, "INVALID_ARGUMENT"),
    ]:
        show.contains(use.code(check, request_of), says)
    show.contains(use.code(check, request, key=None), "token is missing")
    show.contains(use.code(check, request, key="wrong"), "token")
    nowhere = of_store | {"user": "user:bob", "relation": "can_view", "type": "ship"}
    show.contains(use.code(f"{FGA}/StreamedListObjects", nowhere), "type 'ship' not found")
    large = request | {"context": {"note": "x" * LIMIT}}
    show.equal(use.code(check, large), "RESOURCE_EXHAUSTED", "more than the limit")
    below = request | {"context": {"note": "x" * (LIMIT - 1_000)}}
    show.equal(use.call(check, below), {"allowed": True}, "less than the limit")
    zipped = use.code(check, below, compression=grpc.Compression.Gzip)
    show.equal(zipped, "UNIMPLEMENTED", "compression")
    # The revision is not there; the server would wait for a second.
    ahead = [("behalf-min-revision", "99")]
    late = use.code(check, request, headers=ahead, timeout=0.1)
    show.equal(late, "DEADLINE_EXCEEDED", "a deadline")
    show.equal(use.code(check, request, headers=ahead), "UNAVAILABLE", "a revision that never comes")


def many(use: Client, show: Checks) -> None:
    of_store, _ = store(use, "many", TUPLES)
    named = [f"doc:{at}-{'x' * 200}" for at in range(1_000)]
    for at in range(0, len(named), 100):
        keys = [
            {"user": "user:ann", "relation": "owner", "object": one}
            for one in named[at : at + 100]
        ]
        use.call(f"{FGA}/Write", of_store | {"writes": {"tuple_keys": keys}})
    question = of_store | {"user": "user:ann", "relation": "owner", "type": "doc"}
    for _ in range(20):
        stream = use.begin(f"{FGA}/StreamedListObjects", question)
        next(stream)
        stream.cancel()
    keys = [{"user": "user:ann", "relation": "owner", "object": one} for one in named[:300]]
    calls = [use.begin(f"{FGA}/Check", of_store | {"tuple_key": key}) for key in keys]
    show.equal(all(call.result().allowed for call in calls), True, "calls at once")
    found = use.call(f"{FGA}/StreamedListObjects", question)
    show.equal(len(found), len(named) + 1, "a whole stream after some were given up")


AREAS = [described, openfga, authzen, health, errors, many]

if __name__ == "__main__":
    tls = free_port()
    with tempfile.TemporaryDirectory(prefix="behalf-grpc-") as folder, Server(
        BINARY, Path(folder), setup, ["--tls", f"127.0.0.1:{tls}"]
    ) as server:
        certificate = (server.data / "dev-ca" / "ca.pem").read_bytes()
        ways = {
            "plain": grpc.insecure_channel(f"127.0.0.1:{server.port}"),
            "TLS": grpc.secure_channel(
                f"localhost:{tls}", grpc.ssl_channel_credentials(certificate)
            ),
        }
        for name, channel in ways.items():
            use, show = Client(channel), Checks(f"grpcio, {name}")
            for area in AREAS:
                area(use, show)
            show.equal(sorted(set(use.methods) - use.called), [], "methods that no area calls")
            print(f"grpcio, {name}: {len(use.called)} of {len(use.methods)} methods exercised")
            show.done()
            channel.close()
