//! Writing and deleting tuples, for administrators. What is refused comes back with what was typed.

use axum::response::Response;
use behalf_authz::engine::{TupleCondition, TupleKey, Validity, WriteRequest};
use behalf_authz::{Author, AuthzError};
use behalf_core::{Timestamp, counted};
use behalf_http::Params;

use super::super::question::read_context;
use super::super::visit::Form;
use super::super::{failed, is_refusal};
use super::{Draft, Filter, Outcome, PATIENCE, page};
use crate::address::with_query;

/// The longest reason, in bytes, as the API has it.
pub(in super::super) const MAX_REASON: usize = 500;

/// Says what writing the tuple would change; nothing is written.
pub(crate) async fn preview(Form(mut visit): Form) -> Response {
    let draft = Draft::take(&mut visit.params);
    let previewed = match (draft.request(), read_context(&draft.ask_context)) {
        (Ok(request), Ok(context)) => {
            let (authz, store_id) = (visit.authz(), visit.store_id.as_str());
            match authz.preview_write(store_id, &request, context, PATIENCE).await {
                Ok(preview) => Ok(preview),
                Err(error) if is_refusal(&error) => Err(error.to_string()),
                Err(error) => return failed(&error),
            }
        }
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    visit.params = draft.params();
    let outcome = match previewed {
        Ok(preview) => Outcome { effect: Some(preview.into()), ..Outcome::default() },
        Err(problem) => Outcome { problem: Some(problem), ..Outcome::default() },
    };
    page(visit, outcome).await
}

pub(crate) async fn write(Form(mut visit): Form) -> Response {
    let draft = Draft::take(&mut visit.params);
    let problem = match draft.request() {
        Err(problem) => problem,
        Ok(request) => {
            let actor = visit.actor();
            let author = Author { actor: &actor, reason: &draft.reason };
            match visit.authz().write(&visit.store_id, None, &request, author).await {
                Ok(_) => {
                    let pairs = [("object", draft.object.as_str()), ("done", "written")];
                    return visit.see(&with_query("/tuples", pairs));
                }
                Err(error) if is_refusal(&error) => error.to_string(),
                Err(error) => return failed(&error),
            }
        }
    };
    visit.params = draft.params();
    page(visit, Outcome { problem: Some(problem), ..Outcome::default() }).await
}

/// Deletes what the filter admits, if it is not more than the person was told.
pub(crate) async fn delete_matching(Form(mut visit): Form) -> Response {
    let filter = Filter::take(&mut visit.params);
    let told: usize = visit.take("count").parse().unwrap_or(0);
    let (reason, back) = (visit.take("reason"), visit.take("back"));
    let wanted = filter.wanted(visit.context.identity.now());
    let refusal = if filter.is_empty() {
        Some("choose a filter first".to_owned())
    } else if reason.len() > MAX_REASON {
        Some(format!("the reason is longer than {MAX_REASON} bytes"))
    } else {
        None
    };
    let deleted = async {
        if let Some(problem) = refusal {
            return Ok::<_, AuthzError>(Err(problem));
        }
        let count = visit.authz().count_in_table(&visit.store_id, &wanted).await?;
        if count > told {
            let count = counted(count, "tuple matches", "tuples match");
            let problem = format!("meanwhile {count}, not {told}; look at them first");
            return Ok(Err(problem));
        }
        let author = Author { actor: &visit.actor(), reason: &reason };
        Ok(Ok(visit.authz().delete_in_table(&visit.store_id, &wanted, author).await?))
    };
    let problem = match deleted.await {
        Ok(Ok(count)) => {
            let mut back = Params::from_urlencoded(back.as_bytes()).unwrap_or_default();
            let (filter, count) = (Filter::take(&mut back), count.to_string());
            let pairs = filter.pairs().into_iter().chain([("done", count.as_str())]);
            return visit.see(&with_query("/tuples", pairs));
        }
        Ok(Err(problem)) => problem,
        Err(error) if is_refusal(&error) => error.to_string(),
        Err(error) => return failed(&error),
    };
    visit.params = params(filter.pairs().into_iter().chain([("confirm", "delete")]));
    page(visit, Outcome { problem: Some(problem), ..Outcome::default() }).await
}

/// Parameters as the page takes them.
fn params<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Params {
    let query = with_query("", pairs);
    Params::from_urlencoded(query.trim_start_matches('?').as_bytes()).unwrap_or_default()
}

impl Draft {
    /// The write of what was typed.
    fn request(&self) -> Result<WriteRequest, String> {
        Ok(WriteRequest { writes: vec![self.tuple()?], ..WriteRequest::default() })
    }

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
        params([
            ("new_user", self.user.as_str()),
            ("new_relation", &self.relation),
            ("new_object", &self.object),
            ("new_condition", &self.condition),
            ("new_context", &self.context),
            ("new_not_before", &self.not_before),
            ("new_expires", &self.expires),
            ("new_reason", &self.reason),
            ("new_ask_context", &self.ask_context),
        ])
    }
}
