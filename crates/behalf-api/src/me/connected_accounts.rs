//! `/me/v1/connected-accounts`: connect, complete, list, delete, as Auth0's clients do it.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_core::{Actor, ClientId, Secret, UserId};
use behalf_gate::flows;
use behalf_http::{Caller, HttpContext, Services};
use behalf_vault::{Account, ApplicationRequest, ConnectCompletion, ConnectError, VaultError};
use bytes::Bytes;
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::problem::Problem;

#[derive(Deserialize)]
struct Connect {
    connection: String,
    redirect_uri: String,
    state: Option<String>,
    code_challenge: String,
    code_challenge_method: String,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Complete {
    auth_session: Secret<String>,
    connect_code: Secret<String>,
    redirect_uri: String,
    code_verifier: Secret<String>,
}

/// `POST …/connect`: a ticket for the page on which the person decides.
pub(super) async fn connect(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (user_id, client_id) = person(caller)?;
    let body: Connect = read(&body)?;
    if body.code_challenge_method != "S256" {
        return Err(Problem::invalid("`code_challenge_method` is S256"));
    }
    let client = context.identity.find_client(client_id.as_str()).await?;
    let is_registered =
        client.is_some_and(|client| client.registered_redirect_uri(&body.redirect_uri));
    if !is_registered {
        return Err(Problem::invalid("`redirect_uri` is none of the application's callbacks"));
    }
    let request = ApplicationRequest {
        connection: body.connection.parse().map_err(|_invalid| unknown_connection())?,
        redirect_uri: body.redirect_uri,
        state: body.state,
        code_challenge: body.code_challenge,
        scopes: body.scopes,
    };
    let vault = &context.vault;
    let started = vault.begin_application_connect(&user_id, &client_id, &request).await;
    let started = started.map_err(problem)?;
    let body = json!({
        "auth_session": started.auth_session.expose(),
        "connect_uri": context.identity.issuer().join("account/connect"),
        "connect_params": {"ticket": started.ticket.expose()},
        "expires_in": started.expires_in,
    });
    Ok(answer(StatusCode::CREATED, &body))
}

/// `POST …/complete`: the account, once the person has connected it.
pub(super) async fn complete(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (user_id, client_id) = person(caller)?;
    let body: Complete = read(&body)?;
    let completion = ConnectCompletion {
        auth_session: body.auth_session,
        connect_code: body.connect_code,
        redirect_uri: body.redirect_uri,
        code_verifier: body.code_verifier,
    };
    let Services { identity, vault, gate, .. } = &*context;
    let account = flows::complete_connect(identity, vault, gate, &user_id, &client_id, &completion);
    let account = account.await.map_err(problem)?;
    Ok(answer(StatusCode::CREATED, &shown(&account)))
}

/// `GET …/accounts`.
pub(super) async fn list(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let (user_id, _) = person(caller)?;
    let accounts = context.vault.list_accounts(&user_id).await?;
    let accounts: Vec<Value> = accounts.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &json!({"accounts": accounts})))
}

/// `DELETE …/accounts/{id}`.
pub(super) async fn delete(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (user_id, client_id) = person(caller)?;
    let actor = Actor::Client { client_id: client_id.to_string(), sub: Some(user_id.to_string()) };
    match context.vault.disconnect(&user_id, &id, &actor).await {
        Ok(Some(_)) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(None) => Err(Problem::not_found()),
        Err(VaultError::Store(error)) => Err(error.into()),
        Err(error) => Err(internal(&error)),
    }
}

/// `GET …/connections`: what can be connected.
pub(super) async fn connections(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    person(caller)?;
    let connections: Vec<Value> = context
        .vault
        .list_connections()
        .await?
        .iter()
        .map(|connection| {
            json!({
                "name": connection.name.as_str(),
                "strategy": connection.strategy.as_str(),
                "scopes": connection.scope,
            })
        })
        .collect();
    Ok(answer(StatusCode::OK, &json!({"connections": connections})))
}

/// The person that the token is about, and the application that bears it.
fn person(caller: Caller) -> Result<(UserId, ClientId), Problem> {
    match caller {
        Caller::Token(token, Some(user)) => Ok((user.user_id, token.client_id)),
        _ => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "this access token is about no person",
        )),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid(format!("the body is not what this takes: {error}")))
}

fn shown(account: &Account) -> Value {
    let mut shown = json!({
        "id": account.account_id,
        "connection": account.connection.as_str(),
        "access_type": if account.has_refresh_token { "offline" } else { "online" },
        "scopes": account.scopes,
        "created_at": account.created_at.to_rfc3339(),
    });
    if let (Some(expires_at), Value::Object(members)) = (account.expires_at, &mut shown) {
        members.insert("expires_at".into(), expires_at.to_rfc3339().into());
    }
    shown
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

fn unknown_connection() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no connection of that name")
}

fn problem(error: ConnectError) -> Problem {
    match error {
        ConnectError::ConnectionNotFound => unknown_connection(),
        ConnectError::NotSetUp => {
            Problem::new(StatusCode::CONFLICT, "not_set_up", "the connection is not set up")
        }
        ConnectError::Over => Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_connect",
            "session, code, verifier and redirect address do not belong together, or are used or \
             expired",
        ),
        ConnectError::Invalid(text) => Problem::invalid(text),
        ConnectError::Changed => Problem::new(
            StatusCode::CONFLICT,
            "conflict",
            "the account was changed at the same moment; begin again",
        ),
        ConnectError::Store(error) => error.into(),
        error @ (ConnectError::Refused { .. }
        | ConnectError::Unavailable
        | ConnectError::Internal(_)) => internal(&error),
    }
}

fn internal(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a connected account could not be served");
    let detail = "the server cannot answer now; nothing was stored";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}
