//! GitHub's REST calls that agents make: who am I, search, Gists.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_core::{Timestamp, random_bytes};
use behalf_http::Params;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::state::{Access, Gist};
use super::{Shared, repositories};

/// Requests in an hour that GitHub admits.
const RATE_LIMIT: u32 = 5_000;
/// The most items of a page.
const PER_PAGE_MAX: usize = 100;

/// `GET /user`.
pub(super) async fn user(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match caller(&shared, &headers) {
        Ok(access) => {
            let body = owner(&shared, &access.login);
            answer(&shared, StatusCode::OK, &body, Some(&access))
        }
        Err(refused) => *refused,
    }
}

/// `GET /search/repositories`.
pub(super) async fn search_repositories(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let access = match caller(&shared, &headers) {
        Ok(access) => access,
        Err(refused) => return *refused,
    };
    let mut params = params(query);
    let Some(words) = params.take("q") else {
        let body = json!({
            "message": "Validation Failed",
            "errors": [{"resource": "Search", "field": "q", "code": "missing"}],
        });
        return answer(&shared, StatusCode::UNPROCESSABLE_ENTITY, &body, Some(&access));
    };
    let found = repositories::search(&words);
    let (from, count) = page(&mut params);
    let items: Vec<Value> =
        found.iter().skip(from).take(count).map(|repository| repository.to_json()).collect();
    let body = json!({
        "total_count": found.len(),
        "incomplete_results": false,
        "items": items,
    });
    answer(&shared, StatusCode::OK, &body, Some(&access))
}

/// `GET /gists`: one's own, newest first.
pub(super) async fn list_gists(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let access = match caller(&shared, &headers) {
        Ok(access) => access,
        Err(refused) => return *refused,
    };
    let mut params = params(query);
    let since = params.take("since").unwrap_or_default();
    let (from, count) = page(&mut params);
    let gists: Vec<Value> = {
        let state = shared.state();
        let own = state.gists.iter().rev().filter(|gist| gist.login == access.login);
        // RFC 3339 in UTC with whole seconds sorts as text.
        let new = own.filter(|gist| since.is_empty() || seconds(gist.created_at) >= since);
        new.skip(from).take(count).map(|gist| gist.body.clone()).collect()
    };
    answer(&shared, StatusCode::OK, &Value::from(gists), Some(&access))
}

/// `GET /gists/{id}`.
pub(super) async fn gist(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let access = match caller(&shared, &headers) {
        Ok(access) => access,
        Err(refused) => return *refused,
    };
    let found =
        shared.state().gists.iter().find(|gist| gist.id == id).map(|gist| gist.body.clone());
    match found {
        Some(body) => answer(&shared, StatusCode::OK, &body, Some(&access)),
        None => missing(&shared, Some(&access)),
    }
}

/// `POST /gists`: needs the scope `gist`; without it GitHub says that there is nothing here.
pub(super) async fn create_gist(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let access = match caller(&shared, &headers) {
        Ok(access) => access,
        Err(refused) => return *refused,
    };
    if !access.scopes.iter().any(|scope| scope == "gist") {
        return missing(&shared, Some(&access));
    }
    let Ok(asked) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        let body = json!({"message": "Problems parsing JSON"});
        return answer(&shared, StatusCode::BAD_REQUEST, &body, Some(&access));
    };
    let Some(gist) = new_gist(&shared, &access, &asked) else {
        let body = json!({
            "message": "Validation Failed",
            "errors": [{"resource": "Gist", "code": "missing_field", "field": "files"}],
        });
        return answer(&shared, StatusCode::UNPROCESSABLE_ENTITY, &body, Some(&access));
    };
    let body = gist.body.clone();
    shared.state().gists.push(gist);
    let mut response = answer(&shared, StatusCode::CREATED, &body, Some(&access));
    let location = body.get("url").and_then(Value::as_str).unwrap_or_default();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn new_gist(shared: &Shared, access: &Access, asked: &Map<String, Value>) -> Option<Gist> {
    let id = behalf_verify::hex(&random_bytes::<16>(&*shared.options.rng));
    let base = &shared.base_url;
    let mut files = Map::new();
    for (name, file) in asked.get("files")?.as_object()? {
        let content = file.get("content")?.as_str().filter(|content| !content.is_empty())?;
        let file = json!({
            "filename": name,
            "type": if is_markdown(name) { "text/markdown" } else { "text/plain" },
            "language": if is_markdown(name) { "Markdown" } else { "Text" },
            "raw_url": format!("{base}gist/{}/{id}", access.login),
            "size": content.len(),
            "truncated": false,
            "content": content,
            "encoding": "utf-8",
        });
        files.insert(name.clone(), file);
    }
    if files.is_empty() {
        return None;
    }
    let now = shared.now();
    let body = json!({
        "url": format!("{base}gists/{id}"),
        "id": id,
        "node_id": format!("G_{id}"),
        "html_url": format!("{base}gist/{}/{id}", access.login),
        "files": files,
        "public": asked.get("public").and_then(Value::as_bool).unwrap_or(false),
        "created_at": seconds(now),
        "updated_at": seconds(now),
        "description": asked.get("description").and_then(Value::as_str),
        "comments": 0,
        "user": null,
        "owner": owner(shared, &access.login),
        "truncated": false,
    });
    Some(Gist { id, login: access.login.clone(), created_at: now, body })
}

fn is_markdown(name: &str) -> bool {
    let extension = std::path::Path::new(name).extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
}

/// Nothing has that address.
pub(super) async fn not_found(State(shared): State<Arc<Shared>>) -> Response {
    missing(&shared, None)
}

fn missing(shared: &Shared, access: Option<&Access>) -> Response {
    let body = json!({"message": "Not Found", "status": "404"});
    answer(shared, StatusCode::NOT_FOUND, &body, access)
}

/// Whose token the request bears.
fn caller(shared: &Shared, headers: &HeaderMap) -> Result<Access, Box<Response>> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let access = shared.state().find_access(token, shared.now()).cloned();
    access.ok_or_else(|| {
        let message = if given.is_some() { "Bad credentials" } else { "Requires authentication" };
        let body = json!({"message": message, "status": "401"});
        Box::new(answer(shared, StatusCode::UNAUTHORIZED, &body, None))
    })
}

fn owner(shared: &Shared, login: &str) -> Value {
    let position = shared.options.people.iter().position(|known| known == login).unwrap_or(0);
    json!({
        "login": login,
        "id": 583_231_usize.saturating_add(position),
        "node_id": format!("U_{position}"),
        "type": "User",
        "name": login,
        "html_url": format!("{}{login}", shared.base_url),
        "site_admin": false,
    })
}

fn answer(shared: &Shared, status: StatusCode, body: &Value, access: Option<&Access>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    let mut response = (status, headers, body.to_string()).into_response();
    let used = u32::try_from(shared.faults().received().len()).unwrap_or(RATE_LIMIT);
    let numbers: [(&'static str, i64); 4] = [
        ("x-ratelimit-limit", RATE_LIMIT.into()),
        ("x-ratelimit-remaining", RATE_LIMIT.saturating_sub(used).into()),
        ("x-ratelimit-used", used.into()),
        ("x-ratelimit-reset", shared.now().as_secs().saturating_add(3_600)),
    ];
    let headers = response.headers_mut();
    for (name, number) in numbers {
        headers.insert(HeaderName::from_static(name), number.into());
    }
    let scopes = access.map(|access| access.scopes.join(", ")).unwrap_or_default();
    if let Ok(scopes) = HeaderValue::from_str(&scopes) {
        headers.insert(HeaderName::from_static("x-oauth-scopes"), scopes);
    }
    headers
        .insert(HeaderName::from_static("x-scripted-provider"), HeaderValue::from_static("true"));
    response
}

fn params(query: Option<String>) -> Params {
    Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default()
}

/// Where the page begins and how many items it has.
fn page(params: &mut Params) -> (usize, usize) {
    let mut number = |name: &str, otherwise: usize| {
        params.take(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let count = number("per_page", 30).clamp(1, PER_PAGE_MAX);
    (number("page", 1).saturating_sub(1).saturating_mul(count), count)
}

/// RFC 3339 with whole seconds, as GitHub writes it.
fn seconds(time: Timestamp) -> String {
    let text = Timestamp::from_secs(time.as_secs()).to_rfc3339();
    text.replace(".000000Z", "Z")
}
