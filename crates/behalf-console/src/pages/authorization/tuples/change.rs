//! Writing and deleting tuples, for administrators. What is refused comes back with what was typed.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_authz::engine::{OnConflict, TupleCondition, TupleKey, Validity, WriteRequest};
use behalf_authz::{Author, AuthzError};
use behalf_core::Timestamp;
use behalf_http::{HttpContext, Params, PersonForm};
use http::{StatusCode, header};

use super::super::question::read_context;
use super::super::{actor, failed, is_refusal};
use super::{Draft, Filter, Outcome, page};
use crate::address::with_query;

/// The longest reason, in bytes, as the API has it.
pub(in super::super) const MAX_REASON: usize = 500;

pub(crate) async fn write(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let draft = Draft::take(&mut fields);
    let problem = match draft.tuple() {
        Err(problem) => problem,
        Ok(tuple) => {
            let object = tuple.object.clone();
            let request = WriteRequest { writes: vec![tuple], ..WriteRequest::default() };
            let actor = actor(&session);
            let author = Author { actor: &actor, reason: &draft.reason };
            match context.authz.write(&store_id, None, &request, author).await {
                Ok(_) => {
                    let pairs = [("object", object.as_str()), ("done", "written")];
                    return see(&store_id, pairs);
                }
                Err(error) if is_refusal(&error) => error.to_string(),
                Err(error) => return failed(&error),
            }
        }
    };
    let typed = draft.params();
    let outcome = Outcome { problem: Some(problem), done: None };
    page(&context, (&session, &browser), &store_id, typed, outcome).await
}

pub(crate) async fn delete(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let mut take = |name| fields.take(name).unwrap_or_default();
    let tuple = TupleKey::new(take("user"), take("relation"), take("object"));
    let back = take("back");
    let request = WriteRequest {
        deletes: vec![tuple.delete_key()],
        on_missing: OnConflict::Ignore,
        ..WriteRequest::default()
    };
    match context.authz.write(&store_id, None, &request, &actor(&session)).await {
        Ok(_) => {
            let mut filter = Params::from_urlencoded(back.as_bytes()).unwrap_or_default();
            let filter = Filter::take(&mut filter);
            see(&store_id, filter.pairs().into_iter().chain([("done", "deleted")]))
        }
        Err(error) if is_refusal(&error) => {
            let outcome = Outcome { problem: Some(error.to_string()), done: None };
            page(&context, (&session, &browser), &store_id, Params::default(), outcome).await
        }
        Err(error) => failed(&error),
    }
}

/// Deletes what the filter admits, if it is not more than the person was told.
pub(crate) async fn delete_matching(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let filter = Filter::take(&mut fields);
    let told: usize = fields.take("count").and_then(|count| count.parse().ok()).unwrap_or(0);
    let reason = fields.take("reason").unwrap_or_default();
    let wanted = filter.wanted(context.identity.now());
    let refuse = async |problem: String| {
        let path = with_query("?confirm=delete", filter.pairs());
        let query = path.trim_start_matches('?').as_bytes();
        let params = Params::from_urlencoded(query).unwrap_or_default();
        let outcome = Outcome { problem: Some(problem), done: None };
        page(&context, (&session, &browser), &store_id, params, outcome).await
    };
    if filter.is_empty() {
        return refuse("choose a filter first".to_owned()).await;
    }
    if reason.len() > MAX_REASON {
        return refuse(format!("the reason is longer than {MAX_REASON} bytes")).await;
    }
    let deleted = async {
        let count = context.authz.count_in_table(&store_id, &wanted).await?;
        if count > told {
            return Ok::<_, AuthzError>(Err(count));
        }
        let author = Author { actor: &actor(&session), reason: reason.trim() };
        let deleted = context.authz.delete_in_table(&store_id, &wanted, author).await?;
        Ok(Ok(deleted))
    };
    match deleted.await {
        Ok(Ok(count)) => see(&store_id, [("done", count.to_string().as_str())]),
        Ok(Err(count)) => {
            refuse(format!("meanwhile {count} tuples match, not {told}; look at them first")).await
        }
        Err(error) if is_refusal(&error) => refuse(error.to_string()).await,
        Err(error) => failed(&error),
    }
}

/// Back to the table.
fn see<'a>(store_id: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Response {
    let place = with_query(&format!("/console/authorization/{store_id}/tuples"), pairs);
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

impl Draft {
    /// The tuple that was typed.
    fn tuple(&self) -> Result<TupleKey, String> {
        if self.reason.len() > MAX_REASON {
            return Err(format!("the reason is longer than {MAX_REASON} bytes"));
        }
        let time = |text: &str| match text {
            "" => Ok(None),
            text => Timestamp::from_rfc3339(text)
                .map(|time| Some(time.as_micros()))
                .ok_or_else(|| format!("write `{text}` as 2026-12-01T09:00:00Z")),
        };
        let mut tuple = TupleKey::new(&*self.user, &*self.relation, &*self.object);
        tuple.validity = Validity {
            not_before_micros: time(&self.not_before)?,
            expires_at_micros: time(&self.expires)?,
        };
        let context = read_context(&self.context)?;
        if !self.condition.is_empty() {
            let context = context.unwrap_or_default();
            tuple.condition = Some(TupleCondition { name: self.condition.clone(), context });
        } else if context.is_some() {
            return Err("values belong to a condition: choose one".to_owned());
        }
        Ok(tuple)
    }

    /// What was typed, as the page takes it.
    fn params(&self) -> Params {
        let pairs = [
            ("new_user", self.user.as_str()),
            ("new_relation", &self.relation),
            ("new_object", &self.object),
            ("new_condition", &self.condition),
            ("new_context", &self.context),
            ("new_not_before", &self.not_before),
            ("new_expires", &self.expires),
            ("new_reason", &self.reason),
        ];
        let query = with_query("", pairs);
        Params::from_urlencoded(query.trim_start_matches('?').as_bytes()).unwrap_or_default()
    }
}
