//! Every object that a user has any relation to: all types and all relations in one call.

use std::time::{Duration, Instant};

use axum::extract::Path;
use behalf_authz::engine::{ListObjectsRequest, PageRequest, RequestError};
use behalf_authz::{At, AuthzError};
use http::StatusCode;
use serde_json::{Value, json};

use super::Answered;
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::error::FgaError;
use crate::fga::json::{AllObjects, FgaBody};
use crate::fga::ops::in_the_background;

/// Relations of types that one call looks at.
const MAX_PLACES: usize = 1_000;
/// When a page has taken so long, it ends where the next relation begins.
const PAGE_TIME: Duration = Duration::from_secs(5);

pub(super) async fn list_all_objects(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(mut body): FgaBody<AllObjects>,
) -> Answered {
    let (size, after) = body.page.place(&mut body.ask)?;
    let begin = after.as_deref().map_or_else(|| Ok(Begin::default()), Begin::read)?;
    // The pages of one list are of one model, as they are of one revision.
    if !begin.model_id.is_empty() {
        body.ask.model_id.clone_from(&begin.model_id);
    }
    let at = body.ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let places = body.places(&at)?;
    let found = in_the_background(move || Ok(body.list(&at, &places, begin, size))).await??;
    let json = found.json(stamp.revision);
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

/// Where a page begins: at which relation of which model, and behind which of its objects.
#[derive(Debug, Default)]
struct Begin {
    place: usize,
    model_id: String,
    after: Option<String>,
}

impl Begin {
    fn read(text: &str) -> Result<Self, FgaError> {
        let mut parts = text.splitn(3, '|');
        let (Some(place), Some(model_id), Some(after)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(bad_token());
        };
        Ok(Self {
            place: place.parse().map_err(|_| bad_token())?,
            model_id: model_id.to_owned(),
            after: Some(after.to_owned()).filter(|after| !after.is_empty()),
        })
    }
}

fn bad_token() -> FgaError {
    FgaError::new(2007, "Invalid continuation token")
}

/// One page.
#[derive(Debug, Default)]
struct Found {
    results: Vec<Value>,
    /// Where the next page begins.
    next: Option<String>,
    /// Every relation was answered to its end.
    is_answered: bool,
}

impl AllObjects {
    /// The relations to look at, in the order of the model.
    fn places(&self, at: &At) -> Result<Vec<(String, String)>, FgaError> {
        let definitions = &at.model().model().type_definitions;
        for wanted in &self.types {
            if !definitions.iter().any(|of| of.type_name == *wanted) {
                return Err(AuthzError::from(RequestError::TypeNotFound(wanted.clone())).into());
            }
        }
        let is_wanted = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        let chosen = definitions.iter().filter(|of| is_wanted(&self.types, &of.type_name));
        let places: Vec<_> = chosen
            .flat_map(|of| {
                of.relations.keys().map(move |name| (of.type_name.clone(), name.clone()))
            })
            .filter(|(_, relation)| is_wanted(&self.relations, relation))
            .collect();
        for wanted in &self.relations {
            if !places.iter().any(|(_, relation)| relation == wanted) {
                let (object_type, relation) = (String::from("*"), wanted.clone());
                let error = RequestError::RelationNotFound { object_type, relation };
                return Err(AuthzError::from(error).into());
            }
        }
        if places.len() > MAX_PLACES {
            let text = format!(
                "The number of relations to look at exceeds the allowed limit of {MAX_PLACES}: \
                 name types or relations"
            );
            return Err(FgaError::new(2053, text));
        }
        Ok(places)
    }

    /// At most `size` objects from there on.
    fn list(
        &self,
        at: &At,
        places: &[(String, String)],
        begin: Begin,
        size: usize,
    ) -> Result<Found, FgaError> {
        let started = Instant::now();
        let mut found = Found { is_answered: true, ..Found::default() };
        let mut left = size;
        let token = |index: usize, last: &str| Some(format!("{index}|{}|{last}", at.model_id));
        if begin.place > places.len() {
            return Err(bad_token());
        }
        let mut after = begin.after;
        for (index, (object_type, relation)) in places.iter().enumerate().skip(begin.place) {
            if left == 0 || (index > begin.place && started.elapsed() >= PAGE_TIME) {
                found.next = token(index, "");
                return Ok(found);
            }
            let list = ListObjectsRequest {
                user: &self.user,
                relation,
                object_type,
                request: self.ask.request(),
            };
            let behind = after.take();
            let page = PageRequest { after: behind.as_deref(), max_results: Some(left) };
            let place = |member: &str, value: Value| json!({"type": object_type, "relation": relation, member: value});
            match at.list_objects_page(&list, &page) {
                Ok(listing) => {
                    left = left.saturating_sub(listing.items.len());
                    if !listing.items.is_empty() {
                        found.results.push(place("objects", json!(listing.items)));
                    }
                    if let Some(last) = listing.next {
                        found.next = token(index, &last);
                        return Ok(found);
                    }
                    found.is_answered &= listing.is_complete;
                }
                // What one relation lacks or costs is no reason to keep the others back.
                Err(
                    error @ (RequestError::Condition { .. }
                    | RequestError::TooComplex
                    | RequestError::BudgetExceeded(_)),
                ) => {
                    let error = FgaError::from(AuthzError::from(error));
                    let error = json!({"code": error.code(), "message": error.message()});
                    found.results.push(place("error", error));
                    found.is_answered = false;
                }
                Err(error) => return Err(AuthzError::from(error).into()),
            }
        }
        Ok(found)
    }
}

impl Found {
    fn json(self, revision: Option<u64>) -> Value {
        let revision = revision.unwrap_or_default();
        let token = |next: &String| behalf_verify::hex(format!("{revision}|{next}").as_bytes());
        json!({
            "results": self.results,
            "complete": self.is_answered && self.next.is_none(),
            "next_page_token": self.next.as_ref().map(token).unwrap_or_default(),
            "revision": revision,
        })
    }
}
