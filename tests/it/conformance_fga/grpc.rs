//! The same assertions over gRPC: exact numbers in `grpc-status`, and the stream beside the list.

use std::collections::BTreeSet;

use behalf_api::fga::wire::openfga_v1 as pb;
use behalf_tests::{GrpcClient, GrpcError, TestServer};
use prost_types::value::Kind;
use serde_json::{Value, json};

use super::data::{Said, Stage, Tally, contextual, expected, list, run, tests, text};
use super::{Http, SETUP, post, user_filter};

struct Grpc<'a> {
    client: &'a GrpcClient,
    store: &'a str,
    model_id: &'a str,
}

fn said<T>(answer: Result<T, GrpcError>, is: impl FnOnce(T) -> Said) -> Said {
    answer.map_or_else(|error| Said::Code(u64::from(error.number)), is)
}

fn value(json: &Value) -> prost_types::Value {
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.iter().map(value).collect() })
        }
        Value::Object(_) => Kind::StructValue(fields(json).unwrap()),
    };
    prost_types::Value { kind: Some(kind) }
}

pub(crate) fn fields(json: &Value) -> Option<prost_types::Struct> {
    let members = json.as_object()?;
    let fields = members.iter().map(|(name, member)| (name.clone(), value(member)));
    Some(prost_types::Struct { fields: fields.collect() })
}

pub(crate) fn tuples(tuples: &[Value]) -> Vec<pb::TupleKey> {
    let tuple = |tuple: &Value| pb::TupleKey {
        user: text(tuple, "user").to_owned(),
        relation: text(tuple, "relation").to_owned(),
        object: text(tuple, "object").to_owned(),
        condition: tuple["condition"].as_object().map(|condition| pb::RelationshipCondition {
            name: condition["name"].as_str().unwrap().to_owned(),
            context: condition.get("context").and_then(fields),
        }),
        ..Default::default()
    };
    tuples.iter().map(tuple).collect()
}

impl Grpc<'_> {
    async fn check(&self, tuple: &Value, along: &[Value], context: &Value) -> Said {
        let request = pb::CheckRequest {
            store_id: self.store.to_owned(),
            authorization_model_id: self.model_id.to_owned(),
            tuple_key: Some(pb::CheckRequestTupleKey {
                user: text(tuple, "user").to_owned(),
                relation: text(tuple, "relation").to_owned(),
                object: text(tuple, "object").to_owned(),
            }),
            contextual_tuples: Some(pb::ContextualTupleKeys { tuple_keys: tuples(along) }),
            context: fields(context),
            trace: true,
            ..Default::default()
        };
        let path = "/openfga.v1.OpenFGAService/Check";
        let answer = self.client.unary::<_, pb::CheckResponse>(path, request).await;
        said(answer, |(answer, _)| Said::Check(answer.allowed))
    }

    async fn list_objects(&self, asked: &Value, along: &[Value], context: &Value) -> [Said; 2] {
        let request = pb::ListObjectsRequest {
            store_id: self.store.to_owned(),
            authorization_model_id: self.model_id.to_owned(),
            r#type: text(asked, "type").to_owned(),
            relation: text(asked, "relation").to_owned(),
            user: text(asked, "user").to_owned(),
            contextual_tuples: Some(pb::ContextualTupleKeys { tuple_keys: tuples(along) }),
            context: fields(context),
            ..Default::default()
        };
        let distinct = |objects: Vec<String>| {
            let set: BTreeSet<String> = objects.iter().cloned().collect();
            assert_eq!(set.len(), objects.len(), "an object is listed twice: {asked}");
            Said::List(set)
        };
        let path = "/openfga.v1.OpenFGAService/ListObjects";
        let answer = self.client.unary::<_, pb::ListObjectsResponse>(path, request.clone()).await;
        let listed = said(answer, |(answer, _)| distinct(answer.objects));
        // The two requests are the same on the wire.
        let path = "/openfga.v1.OpenFGAService/StreamedListObjects";
        let stream =
            self.client.streaming::<_, pb::StreamedListObjectsResponse>(path, vec![request]).await;
        let streamed = said(stream, |stream| {
            distinct(stream.into_iter().map(|answer| answer.object).collect())
        });
        [listed, streamed]
    }

    async fn list_users(&self, asked: &Value, along: &[Value], context: &Value) -> Said {
        let (type_name, relation) = user_filter(asked);
        let (object_type, id) = text(asked, "object").split_once(':').unwrap();
        let request = pb::ListUsersRequest {
            store_id: self.store.to_owned(),
            authorization_model_id: self.model_id.to_owned(),
            object: Some(pb::Object { r#type: object_type.to_owned(), id: id.to_owned() }),
            relation: text(asked, "relation").to_owned(),
            user_filters: vec![pb::UserTypeFilter {
                r#type: type_name.to_owned(),
                relation: relation.to_owned(),
            }],
            contextual_tuples: tuples(along),
            context: fields(context),
            ..Default::default()
        };
        let path = "/openfga.v1.OpenFGAService/ListUsers";
        let answer = self.client.unary::<_, pb::ListUsersResponse>(path, request).await;
        said(answer, |(answer, _)| {
            let users = answer.users.iter().map(|user| match user.user.as_ref().unwrap() {
                pb::user::User::Object(of) => format!("{}:{}", of.r#type, of.id),
                pb::user::User::Wildcard(of) => format!("{}:*", of.r#type),
                pb::user::User::Userset(of) => format!("{}:{}#{}", of.r#type, of.id, of.relation),
            });
            let set: BTreeSet<String> = users.collect();
            assert_eq!(set.len(), answer.users.len(), "a user is listed twice: {asked}");
            Said::List(set)
        })
    }

    async fn ask(&self, stage: &Stage<'_>, tally: &mut Tally) {
        for assertion in list(&stage.stage["checkAssertions"]) {
            let along = contextual(assertion, stage.along);
            let said = self.check(&assertion["tuple"], &along, &assertion["context"]).await;
            let expected = expected(assertion, &Said::Check(false));
            tally.add(&stage.place, assertion, &expected, &said);
        }
        for assertion in list(&stage.stage["listObjectsAssertions"]) {
            let along = contextual(assertion, stage.along);
            let asked = &assertion["request"];
            let [listed, streamed] = self.list_objects(asked, &along, &assertion["context"]).await;
            let expected = expected(assertion, &Said::List(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &listed);
            assert_eq!(listed, streamed, "{}: {assertion}", stage.place);
            let Said::List(objects) = listed else { continue };
            for object in objects {
                let tuple =
                    json!({"user": asked["user"], "relation": asked["relation"], "object": object});
                let said = self.check(&tuple, &along, &assertion["context"]).await;
                assert_eq!(said, Said::Check(true), "{}: {assertion}: {object}", stage.place);
            }
        }
        for assertion in list(&stage.stage["listUsersAssertions"]) {
            let along = contextual(assertion, stage.along);
            let asked = &assertion["request"];
            let said = self.list_users(asked, &along, &assertion["context"]).await;
            let expected = expected(assertion, &Said::List(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
            let Said::List(users) = said else { continue };
            for user in users {
                let tuple =
                    json!({"user": user, "relation": asked["relation"], "object": asked["object"]});
                let said = self.check(&tuple, &along, &assertion["context"]).await;
                assert_eq!(said, Said::Check(true), "{}: {assertion}: {user}", stage.place);
            }
        }
    }
}

#[tokio::test]
async fn openfgas_assertions_hold_over_grpc() {
    let Some(tests) = tests() else {
        println!("conformance: NOT RUN, the data is absent (BEHALF_CONFORMANCE)");
        return;
    };
    let server = TestServer::start(SETUP).await;
    let client = GrpcClient::new(&server.server.router, "key-of-all-stores");
    let mut runs = Vec::new();
    run(&tests, |is_stored, stages| {
        let owned = stages
            .iter()
            .map(|stage| (stage.place.clone(), stage.stage.clone(), stage.along.to_vec()));
        runs.push((is_stored, owned.collect::<Vec<_>>()));
    });
    let mut tally = Tally::default();
    for (is_stored, stages) in &runs {
        let (status, body) = post(&server, "/stores", json!({"name": "conformance"})).await;
        assert_eq!(status, 201, "{body}");
        for (place, stage, along) in stages {
            let http = Http::write(&server, text(&body, "id"), stage, *is_stored).await;
            let grpc = Grpc { client: &client, store: &http.store, model_id: &http.model_id };
            let stage = Stage { place: place.clone(), stage, along };
            grpc.ask(&stage, &mut tally).await;
        }
    }
    tally.finish("over gRPC");
}
