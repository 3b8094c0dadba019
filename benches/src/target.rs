//! An OpenFGA address, Behalf's or another's, asked over HTTP or gRPC by one connection.

use anyhow::{Context, bail, ensure};
use behalf_api::fga::wire::openfga_v1 as pb;
use behalf_fga::TupleKey;
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pb::batch_check_single_result::CheckResult;
use prost::Message;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use crate::load::{Connection, post};
use crate::scenario::{Answer, Ask};

/// Where to ask, and what to show there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port` of HTTP.
    pub(crate) http: String,
    /// `host:port` of gRPC.
    pub(crate) grpc: String,
    /// A preshared key.
    pub(crate) token: Option<String>,
}

/// A store on a target with its model.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) target: Target,
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) context: Map<String, Value>,
}

impl Store {
    /// Makes a store.
    pub(crate) async fn create(
        target: &Target,
        name: &str,
        model: &str,
        context: Map<String, Value>,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(&target.http).await?;
        let answer = send(&mut connection, target, "/stores", &json!({"name": name})).await?;
        let id = text_of(&answer, "id")?;
        let model = behalf_fga::AuthorizationModel::validate_dsl(model)?.to_json()?;
        let model: Value = serde_json::from_str(&model)?;
        let path = format!("/stores/{id}/authorization-models");
        let answer = send(&mut connection, target, &path, &model).await?;
        let model = text_of(&answer, "authorization_model_id")?;
        Ok(Self { target: target.clone(), id, model, context })
    }

    /// Writes tuples, at most a hundred.
    pub(crate) async fn write(
        &self,
        connection: &mut Connection,
        tuples: &[TupleKey],
    ) -> anyhow::Result<()> {
        let keys: Vec<Value> = tuples.iter().map(tuple_json).collect();
        let body = json!({
            "writes": {"tuple_keys": keys},
            "authorization_model_id": self.model,
        });
        let path = format!("/stores/{}/write", self.id);
        send(connection, &self.target, &path, &body).await.map(drop)
    }

    /// A request over HTTP, ready to be sent.
    pub(crate) fn http_request(&self, ask: &Ask) -> Vec<u8> {
        let (operation, mut body) = match ask {
            Ask::Check { user, relation, object } => {
                let key = json!({"user": user, "relation": relation, "object": object});
                ("check", json!({"tuple_key": key, "context": self.context}))
            }
            Ask::Batch { relation, pairs } => {
                let check = |(at, (user, object)): (usize, &(String, String))| {
                    json!({
                        "tuple_key": {"user": user, "relation": relation, "object": object},
                        "context": self.context,
                        "correlation_id": correlation(at),
                    })
                };
                let checks: Vec<Value> = pairs.iter().enumerate().map(check).collect();
                ("batch-check", json!({"checks": checks}))
            }
            Ask::Objects { user, relation, of } => {
                let body = json!({
                    "type": of, "relation": relation, "user": user, "context": self.context,
                });
                ("list-objects", body)
            }
            Ask::Users { object: (kind, id), relation, of } => {
                let body = json!({
                    "object": {"type": kind, "id": id},
                    "relation": relation,
                    "user_filters": [{"type": of}],
                    "context": self.context,
                });
                ("list-users", body)
            }
        };
        if let Some(members) = body.as_object_mut() {
            members.insert("authorization_model_id".to_owned(), self.model.clone().into());
        }
        let path = format!("/stores/{}/{operation}", self.id);
        request(&self.target, &path, &body)
    }

    /// A message of gRPC with its method, framed.
    pub(crate) fn grpc_request(&self, ask: &Ask) -> anyhow::Result<(&'static str, Bytes)> {
        let key = |user: &str, relation: &str, object: &str| {
            let (user, relation, object) = (user.into(), relation.into(), object.into());
            Some(pb::CheckRequestTupleKey { user, relation, object })
        };
        let context = Some(struct_of(&self.context)?);
        let (store_id, authorization_model_id) = (self.id.clone(), self.model.clone());
        Ok(match ask {
            Ask::Check { user, relation, object } => {
                let message = pb::CheckRequest {
                    store_id,
                    tuple_key: key(user, relation, object),
                    authorization_model_id,
                    context,
                    ..pb::CheckRequest::default()
                };
                ("Check", framed(&message))
            }
            Ask::Batch { relation, pairs } => {
                let checks =
                    pairs.iter().enumerate().map(|(at, (user, object))| pb::BatchCheckItem {
                        tuple_key: key(user, relation, object),
                        context: context.clone(),
                        correlation_id: correlation(at),
                        ..pb::BatchCheckItem::default()
                    });
                let checks = checks.collect();
                let (store_id, consistency) = (store_id, 0);
                let message =
                    pb::BatchCheckRequest { store_id, checks, authorization_model_id, consistency };
                ("BatchCheck", framed(&message))
            }
            Ask::Objects { user, relation, of } => {
                let message = pb::ListObjectsRequest {
                    store_id,
                    authorization_model_id,
                    r#type: (*of).to_owned(),
                    relation: (*relation).to_owned(),
                    user: user.clone(),
                    context,
                    ..pb::ListObjectsRequest::default()
                };
                ("ListObjects", framed(&message))
            }
            Ask::Users { object: (kind, id), relation, of } => {
                let object = pb::Object { r#type: (*kind).to_owned(), id: id.clone() };
                let filter = pb::UserTypeFilter { r#type: (*of).to_owned(), ..Default::default() };
                let message = pb::ListUsersRequest {
                    store_id,
                    authorization_model_id,
                    object: Some(object),
                    relation: (*relation).to_owned(),
                    user_filters: vec![filter],
                    context,
                    ..pb::ListUsersRequest::default()
                };
                ("ListUsers", framed(&message))
            }
        })
    }
}

/// Reads an answer of HTTP.
pub(crate) fn http_answer(ask: &Ask, body: &[u8]) -> anyhow::Result<Answer> {
    let body: Value = serde_json::from_slice(body)?;
    let is_allowed = |value: &Value| {
        value.get("allowed").and_then(Value::as_bool).with_context(|| format!("no answer: {value}"))
    };
    let count = |member: &str| {
        let items = body.get(member).and_then(Value::as_array);
        items.map(|items| Answer::Count(items.len())).with_context(|| format!("no {member}"))
    };
    match ask {
        Ask::Check { .. } => Ok(Answer::Is(is_allowed(&body)?)),
        Ask::Batch { pairs, .. } => {
            let results = body.get("result").context("no result")?;
            let each = (0..pairs.len())
                .map(|at| is_allowed(results.get(correlation(at)).context("a result is missing")?));
            Ok(Answer::Each(each.collect::<Result<_, _>>()?))
        }
        Ask::Objects { .. } => count("objects"),
        Ask::Users { .. } => count("users"),
    }
}

/// Reads an answer of gRPC.
pub(crate) fn grpc_answer(ask: &Ask, message: Bytes) -> anyhow::Result<Answer> {
    Ok(match ask {
        Ask::Check { .. } => Answer::Is(pb::CheckResponse::decode(message)?.allowed),
        Ask::Batch { pairs, .. } => {
            let response = pb::BatchCheckResponse::decode(message)?;
            let each = (0..pairs.len()).map(|at| {
                let result = response.result.get(&correlation(at));
                match result.and_then(|result| result.check_result.as_ref()) {
                    Some(CheckResult::Allowed(is_allowed)) => Ok(*is_allowed),
                    other => bail!("no answer: {other:?}"),
                }
            });
            Answer::Each(each.collect::<Result<_, _>>()?)
        }
        Ask::Objects { .. } => {
            Answer::Count(pb::ListObjectsResponse::decode(message)?.objects.len())
        }
        Ask::Users { .. } => Answer::Count(pb::ListUsersResponse::decode(message)?.users.len()),
    })
}

/// A connection of HTTP/2 that carries gRPC; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
}

impl Channel {
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&target.grpc).await?;
        stream.set_nodelay(true)?;
        let shaken =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = shaken.await?;
        tokio::spawn(connection);
        Ok(Self { sender, target: target.clone() })
    }

    /// Calls a method and gives its message.
    pub(crate) async fn call(&mut self, method: &str, message: Bytes) -> anyhow::Result<Bytes> {
        let uri = format!("http://{}/openfga.v1.OpenFGAService/{method}", self.target.grpc);
        let mut request = hyper::Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(token) = &self.target.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(message))?).await?;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().unwrap_or(&parts.headers);
        let status = trailers.get("grpc-status").context("no grpc-status")?;
        ensure!(status == "0", "grpc-status {status:?}: {:?}", trailers.get("grpc-message"));
        let body = collected.to_bytes();
        ensure!(body.len() >= 5, "no message");
        Ok(body.slice(5..))
    }
}

async fn send(
    connection: &mut Connection,
    target: &Target,
    path: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let answer = connection.ask(&request(target, path, body)).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!((200..300).contains(&answer.status), "{path}: {}: {text}", answer.status);
    Ok(serde_json::from_str(&text)?)
}

fn request(target: &Target, path: &str, body: &Value) -> Vec<u8> {
    let token = target.token.as_ref();
    let headers = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let headers = headers.unwrap_or_default();
    post(&target.http, path, "application/json", &headers, &body.to_string())
}

fn text_of(answer: &Value, member: &str) -> anyhow::Result<String> {
    let text = answer.get(member).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {member} in {answer}"))?.to_owned())
}

fn tuple_json(tuple: &TupleKey) -> Value {
    let TupleKey { user, relation, object, condition, .. } = tuple;
    match condition {
        None => json!({"user": user, "relation": relation, "object": object}),
        Some(condition) => json!({
            "user": user,
            "relation": relation,
            "object": object,
            "condition": {"name": condition.name, "context": condition.context},
        }),
    }
}

fn correlation(at: usize) -> String {
    format!("c{at}")
}

/// The context of a request; the datasets have texts only.
fn struct_of(context: &Map<String, Value>) -> anyhow::Result<prost_types::Struct> {
    let fields = context.iter().map(|(name, value)| {
        let text = value.as_str().context("a context with something else than texts")?;
        let kind = prost_types::value::Kind::StringValue(text.to_owned());
        anyhow::Ok((name.clone(), prost_types::Value { kind: Some(kind) }))
    });
    Ok(prost_types::Struct { fields: fields.collect::<Result<_, _>>()? })
}

/// The message behind gRPC's five bytes: not compressed, so long.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(length + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.extend(message.encode_to_vec());
    bytes.freeze()
}
