//! Writing and deleting a tuple, for administrators.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_authz::engine::{OnConflict, TupleKey, WriteRequest};
use behalf_core::Actor;
use behalf_http::{HttpContext, Params, PersonForm};
use http::{StatusCode, header};

use super::{failed, is_refusal, store};

pub(crate) async fn write(
    state: State<HttpContext>,
    store_id: Path<String>,
    form: PersonForm,
) -> Response {
    change(state, store_id, form, |tuple| WriteRequest {
        writes: vec![tuple],
        ..WriteRequest::default()
    })
    .await
}

pub(crate) async fn delete(
    state: State<HttpContext>,
    store_id: Path<String>,
    form: PersonForm,
) -> Response {
    change(state, store_id, form, |tuple| WriteRequest {
        deletes: vec![tuple.delete_key()],
        on_missing: OnConflict::Ignore,
        ..WriteRequest::default()
    })
    .await
}

async fn change(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
    request: fn(TupleKey) -> WriteRequest,
) -> Response {
    let mut take = |name| fields.take(name).unwrap_or_default().trim().to_owned();
    let tuple = TupleKey::new(take("user"), take("relation"), take("object"));
    let actor = Actor::User { sub: session.user.user_id.to_string() };
    match context.authz.write(&store_id, None, &request(tuple), &actor).await {
        Ok(_) => {
            let place = format!("/console/authorization/{store_id}#tuples");
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        Err(error) if is_refusal(&error) => {
            let problem = Some(error.to_string());
            store::page(&context, &session, &browser, &store_id, Params::default(), problem).await
        }
        Err(error) => failed(&error),
    }
}
