//! Questions: why, which of these, and complete lists in pages, now or at an earlier revision.

use axum::extract::Path;
use behalf_authz::engine::{
    CheckRequest, FilterRequest, ListObjectsRequest, ListUsersRequest, Listing, PageRequest,
    RequestContext, UserFilter,
};
use behalf_authz::{At, from_hex};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Answered, bitmap};
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::error::FgaError;
use crate::fga::json::{Ask, Explain, FgaBody, Filter, ObjectsPage, Page, UsersPage};
use crate::fga::ops::in_the_background;
use crate::fga::rules::{self, In};

/// Ids in one filter at most.
const MAX_IDS: usize = 10_000;
/// Results of a page, unless the request says how many, and at most.
const PAGE: i32 = 1_000;
const MAX_PAGE: i32 = 10_000;

impl Ask {
    /// The version that the question is asked of.
    pub(super) async fn at(&self, call: &Call, store_id: &str) -> Result<At, FgaError> {
        let is = In("BehalfRequest");
        is.store_id(store_id)?;
        is.model_id(&self.model_id)?;
        call.at_revision(store_id, &self.model_id, self.at_revision).await
    }

    pub(super) fn request(&self) -> RequestContext<'_> {
        RequestContext {
            contextual_tuples: &self.contextual,
            context: self.context.as_ref(),
            ..RequestContext::default()
        }
    }
}

pub(super) async fn explain(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Explain>,
) -> Answered {
    let is = In("ExplainRequest");
    let key = is.required("TupleKey", body.key)?;
    is.nested("TupleKey", rules::check_key(&key))?;
    let ask = body.ask;
    let at = ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let explanation = in_the_background(move || {
        at.explain(&CheckRequest {
            user: &key.user,
            relation: &key.relation,
            object: &key.object,
            request: ask.request(),
        })
    });
    let json = serde_json::to_value(explanation.await?).unwrap_or_default();
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

/// The ids that are allowed, or a bitmap of their places in the request.
pub(super) async fn filter(
    call: Call,
    Path(store_id): Path<String>,
    headers: HeaderMap,
    FgaBody(body): FgaBody<Filter>,
) -> Answered {
    if body.ids.len() > MAX_IDS {
        let text = format!("The number of ids exceeds the allowed limit of {MAX_IDS}");
        return Err(FgaError::new(2053, text));
    }
    let at = body.ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let answers = in_the_background(move || {
        let ids: Vec<&str> = body.ids.iter().map(String::as_str).collect();
        let answers = at.filter(&FilterRequest {
            user: &body.user,
            relation: &body.relation,
            object_type: &body.object_type,
            ids: &ids,
            request: body.ask.request(),
        })?;
        Ok((body.ids, answers))
    });
    let (ids, answers) = answers.await?;
    if bitmap::is_wanted(&headers) {
        return bitmap::response(bitmap::of_places(&answers), &stamp);
    }
    let allowed = ids.into_iter().zip(answers).filter(|(_, is_allowed)| *is_allowed);
    let answer = Answer::new(allowed.map(|(id, _)| id).collect::<Vec<_>>(), stamp);
    Ok(answer.http(StatusCode::OK, |allowed| json!({"allowed": allowed})))
}

/// A page of objects, or a bitmap of them all where their ids are numbers.
pub(super) async fn list_objects(
    call: Call,
    Path(store_id): Path<String>,
    headers: HeaderMap,
    FgaBody(mut body): FgaBody<ObjectsPage>,
) -> Answered {
    if bitmap::is_wanted(&headers) {
        return list_numbers(&call, store_id, body).await;
    }
    let (size, after) = body.page.place(&mut body.ask)?;
    let at = body.ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let listing = in_the_background(move || {
        let list = ListObjectsRequest {
            user: &body.user,
            relation: &body.relation,
            object_type: &body.object_type,
            request: body.ask.request(),
        };
        let page = PageRequest { after: after.as_deref(), max_results: Some(size) };
        at.list_objects_page(&list, &page)
    });
    let listing = listing.await?;
    let json = page_json("objects", &listing, stamp.revision);
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

async fn list_numbers(call: &Call, store_id: String, body: ObjectsPage) -> Answered {
    if body.page.size.is_some() || !body.page.token.is_empty() {
        return Err(FgaError::validation(
            "a bitmap has no pages: leave out page_size and page_token",
        ));
    }
    let at = body.ask.at(call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let numbers = in_the_background(move || {
        let objects = at.list_objects(&ListObjectsRequest {
            user: &body.user,
            relation: &body.relation,
            object_type: &body.object_type,
            request: body.ask.request(),
        })?;
        Ok(bitmap::of_objects(&objects))
    });
    bitmap::response(numbers.await??, &stamp)
}

pub(super) async fn list_users(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(mut body): FgaBody<UsersPage>,
) -> Answered {
    let (size, after) = body.page.place(&mut body.ask)?;
    let at = body.ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let listing = in_the_background(move || {
        let page = PageRequest { after: after.as_deref(), max_results: Some(size) };
        let Listing { items, is_complete, next } = at.list_users(&body.list(), &page)?;
        let items = items.iter().map(ToString::to_string).collect();
        Ok(Listing::<String> { items, is_complete, next })
    });
    let listing = listing.await?;
    let json = page_json("users", &listing, stamp.revision);
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

impl UsersPage {
    pub(super) fn list(&self) -> ListUsersRequest<'_> {
        ListUsersRequest {
            object: &self.object,
            relation: &self.relation,
            filter: UserFilter {
                type_name: &self.user_type,
                relation: Some(self.user_relation.as_str()).filter(|name| !name.is_empty()),
            },
            request: self.ask.request(),
        }
    }
}

impl Page {
    /// The size, and behind what the page begins. A token pins the revision of the first page.
    pub(super) fn place(&self, ask: &mut Ask) -> Result<(usize, Option<String>), FgaError> {
        let size = self.size.unwrap_or(PAGE);
        let reason = || format!("value must be inside range [1, {MAX_PAGE}]");
        In("PageRequest").holds("PageSize", (1..=MAX_PAGE).contains(&size), reason)?;
        let size = usize::try_from(size).unwrap_or(1);
        if self.token.is_empty() {
            return Ok((size, None));
        }
        let bad = || FgaError::new(2007, "Invalid continuation token");
        let text = from_hex(&self.token).and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(bad)?;
        let (revision, after) = text.split_once('|').ok_or_else(bad)?;
        ask.at_revision = Some(revision.parse().map_err(|_| bad())?);
        Ok((size, Some(after.to_owned())))
    }
}

fn page_json(member: &str, listing: &Listing<String>, revision: Option<u64>) -> Value {
    let revision = revision.unwrap_or_default();
    let token = |next: &String| behalf_verify::hex(format!("{revision}|{next}").as_bytes());
    json!({
        member: listing.items,
        "complete": listing.is_complete,
        "next_page_token": listing.next.as_ref().map(token).unwrap_or_default(),
        "revision": revision,
    })
}
