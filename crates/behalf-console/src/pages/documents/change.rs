//! What an owner does with a document: share, take back, delete.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_gate::flows::documents::{self, DocumentError, Share, ShareRelation};
use behalf_http::{FormError, HttpContext, PersonForm};
use http::{StatusCode, header};

use super::{actor, address, parts, show, words};
use crate::pages::sign_in::bad_form;

#[derive(Clone, Copy)]
enum Change {
    Share,
    Unshare,
    Delete,
}

pub(crate) async fn share(
    state: State<HttpContext>,
    id: Path<String>,
    form: PersonForm,
) -> Response {
    change(state, id, form, Change::Share).await
}

pub(crate) async fn unshare(
    state: State<HttpContext>,
    id: Path<String>,
    form: PersonForm,
) -> Response {
    change(state, id, form, Change::Unshare).await
}

pub(crate) async fn delete(
    state: State<HttpContext>,
    id: Path<String>,
    form: PersonForm,
) -> Response {
    change(state, id, form, Change::Delete).await
}

async fn change(
    State(context): State<HttpContext>,
    Path(id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
    change: Change,
) -> Response {
    let (user, actor) = (&session.user, actor(&session.user));
    let relation = match fields.take("relation").as_deref() {
        Some("owner") => ShareRelation::Owner,
        Some("viewer") | None => ShareRelation::Viewer,
        Some(_) => return bad_form(FormError::Malformed),
    };
    let grantee = fields.take("user").unwrap_or_default();
    // The button that shares with everybody says so; a name typed into the field does not.
    let public = fields.take("public").is_some();
    let share = Share { user: grantee, relation, public };
    let parts = parts(&context);
    let done: Result<(), DocumentError> = match change {
        Change::Share => documents::share(parts, user, &id, &share, &actor).await.map(drop),
        Change::Unshare => documents::unshare(parts, user, &id, &share, &actor).await.map(drop),
        Change::Delete => documents::delete(parts, user, &id, &actor).await,
    };
    match done {
        // Whoever gave up her own ownership may have nothing left to see there.
        Ok(()) => {
            let still = context.retrieval.find(&user.user_id, &id).await;
            let place = match still {
                Ok(Some(_)) => address(&id),
                _ => "/console/documents".to_owned(),
            };
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        Err(error) => match words(&error) {
            Ok(problem) => show::page(&context, &session, &browser, &id, Some(problem)).await,
            Err(page) => *page,
        },
    }
}
