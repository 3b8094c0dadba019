//! The same assertions over gRPC: exact numbers in `grpc-status`, and the stream beside the list.

use behalf_api::fga::wire::openfga_v1 as pb;
use behalf_fga::AuthorizationModel;
use behalf_tests::{GrpcClient, GrpcError};
use prost_types::value::Kind;
use serde_json::Value;

use super::Http;
use super::runner::{Question, Said, Way, run, text_of};

struct Grpc {
    client: GrpcClient,
    /// Stores and models are written over HTTP.
    http: Http,
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

fn fields(json: &Value) -> Option<prost_types::Struct> {
    let members = json.as_object()?;
    let fields = members.iter().map(|(name, member)| (name.clone(), value(member)));
    Some(prost_types::Struct { fields: fields.collect() })
}

fn keys(tuples: &[Value]) -> Vec<pb::TupleKey> {
    let key = |tuple: &Value| pb::TupleKey {
        user: text_of(tuple, "user").to_owned(),
        relation: text_of(tuple, "relation").to_owned(),
        object: text_of(tuple, "object").to_owned(),
        condition: tuple["condition"].as_object().map(|condition| pb::RelationshipCondition {
            name: condition["name"].as_str().unwrap().to_owned(),
            context: condition.get("context").and_then(fields),
        }),
        ..Default::default()
    };
    tuples.iter().map(key).collect()
}

impl Way for Grpc {
    async fn new_store(&mut self) {
        self.http.new_store().await;
    }

    async fn write(&mut self, model: AuthorizationModel, tuples: &[Value]) {
        self.http.write(model, tuples).await;
    }

    async fn check(&self, Question { asked, tuples, context }: Question<'_>) -> Said {
        let request = pb::CheckRequest {
            store_id: self.http.store.clone(),
            authorization_model_id: self.http.model_id.clone(),
            tuple_key: Some(pb::CheckRequestTupleKey {
                user: text_of(asked, "user").to_owned(),
                relation: text_of(asked, "relation").to_owned(),
                object: text_of(asked, "object").to_owned(),
            }),
            contextual_tuples: Some(pb::ContextualTupleKeys { tuple_keys: keys(tuples) }),
            context: fields(context),
            trace: true,
            ..Default::default()
        };
        let path = "/openfga.v1.OpenFGAService/Check";
        let answer = self.client.unary::<_, pb::CheckResponse>(path, request).await;
        said(answer, |(answer, _)| Said::Check(answer.allowed))
    }

    async fn list_objects(&self, Question { asked, tuples, context }: Question<'_>) -> Said {
        let request = pb::ListObjectsRequest {
            store_id: self.http.store.clone(),
            authorization_model_id: self.http.model_id.clone(),
            r#type: text_of(asked, "type").to_owned(),
            relation: text_of(asked, "relation").to_owned(),
            user: text_of(asked, "user").to_owned(),
            contextual_tuples: Some(pb::ContextualTupleKeys { tuple_keys: keys(tuples) }),
            context: fields(context),
            ..Default::default()
        };
        let path = "/openfga.v1.OpenFGAService/ListObjects";
        let answer = self.client.unary::<_, pb::ListObjectsResponse>(path, request.clone()).await;
        let listed = said(answer, |(answer, _)| Said::list(answer.objects));
        // The two requests are the same on the wire.
        let path = "/openfga.v1.OpenFGAService/StreamedListObjects";
        let stream =
            self.client.streaming::<_, pb::StreamedListObjectsResponse>(path, vec![request]).await;
        let streamed = said(stream, |stream| {
            Said::list(stream.into_iter().map(|answer| answer.object).collect())
        });
        assert_eq!(listed, streamed, "{asked}");
        listed
    }

    async fn list_users(&self, question: Question<'_>) -> Said {
        let Question { asked, tuples, context } = question;
        let (type_name, relation) = question.user_filter();
        let (object_type, id) = text_of(asked, "object").split_once(':').unwrap();
        let request = pb::ListUsersRequest {
            store_id: self.http.store.clone(),
            authorization_model_id: self.http.model_id.clone(),
            object: Some(pb::Object { r#type: object_type.to_owned(), id: id.to_owned() }),
            relation: text_of(asked, "relation").to_owned(),
            user_filters: vec![pb::UserTypeFilter {
                r#type: type_name.to_owned(),
                relation: relation.to_owned(),
            }],
            contextual_tuples: keys(tuples),
            context: fields(context),
            ..Default::default()
        };
        let path = "/openfga.v1.OpenFGAService/ListUsers";
        let answer = self.client.unary::<_, pb::ListUsersResponse>(path, request).await;
        said(answer, |(answer, _)| Said::list(answer.users.iter().map(user).collect()))
    }
}

fn user(user: &pb::User) -> String {
    match user.user.as_ref().unwrap() {
        pb::user::User::Object(of) => format!("{}:{}", of.r#type, of.id),
        pb::user::User::Wildcard(of) => format!("{}:*", of.r#type),
        pb::user::User::Userset(of) => format!("{}:{}#{}", of.r#type, of.id, of.relation),
    }
}

#[tokio::test]
async fn openfgas_assertions_hold_over_grpc() {
    let http = Http::start().await;
    let client = GrpcClient::new(&http.server.server.router, "key-of-all-stores");
    run("over gRPC", &mut Grpc { client, http }).await;
}
