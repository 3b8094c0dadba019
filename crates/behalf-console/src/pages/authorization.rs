//! Authorization: the stores, and the pages of one: the playground (a check with its way, the
//! model as text and drawing), the model's editor, tuples, lists, tests, and the log.

pub(crate) mod changes;
pub(crate) mod colour;
mod effect;
pub(crate) mod graph;
pub(crate) mod lists;
pub(crate) mod model;
pub(crate) mod playground;
pub(crate) mod question;
mod samples;
pub(crate) mod stores;
pub(crate) mod tests;
pub(crate) mod tuples;
mod visit;
pub(crate) mod way;

use axum::response::Response;
use behalf_authz::engine::AuthorizationModel;
use behalf_authz::{Authz, AuthzError, KnownNames};
use behalf_core::Actor;
use behalf_http::HttpContext;
use behalf_identity::{Browser, Resource, Right, Session, User, right};
use behalf_store::StoreError;
use http::StatusCode;

use crate::error_page;
use crate::frame::Frame;

/// Names that a field suggests.
const SUGGESTED: usize = 60;
/// The store of samples.
const SAMPLE_ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// The pages of a store: label and last part of the address.
const TABS: [(&str, &str); 6] = [
    ("Playground", ""),
    ("Model", "/model"),
    ("Tuples", "/tuples"),
    ("Who and what", "/lists"),
    ("Tests", "/tests"),
    ("Changes", "/changes"),
];

/// What stands at the top of each page of a store.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) store_id: String,
    pub(crate) name: String,
    pub(crate) revision: i64,
    pub(crate) may_write: bool,
    /// The page's title.
    pub(crate) title: String,
    tab: &'static str,
}

/// A page of the store.
#[derive(Clone, Debug)]
pub(crate) struct Tab {
    pub(crate) label: &'static str,
    pub(crate) href: String,
    pub(crate) is_current: bool,
}

impl Head {
    /// The head of the page `tab` of a store, and the frame around it.
    ///
    /// # Errors
    /// `StoreNotFound`, or when the database fails.
    pub(crate) async fn load(
        context: &HttpContext,
        (session, browser): (&Session, &Browser),
        store_id: &str,
        tab: &'static str,
    ) -> Result<(Self, Frame), AuthzError> {
        let store = context.authz.load_store(store_id).await?;
        let frame = Frame::new(context, session, browser, "/console/authorization");
        let label = TABS.iter().find(|(_, known)| *known == tab).map_or("", |(label, _)| label);
        let head = Self {
            title: format!("{label} of {}", store.name),
            store_id: store.id,
            name: store.name,
            revision: store.revision,
            may_write: may_write(&session.user),
            tab,
        };
        Ok((head, frame))
    }

    /// A head for samples.
    pub(crate) fn sample(tab: &'static str) -> (Self, Frame) {
        let head = Self {
            store_id: SAMPLE_ID.to_owned(),
            name: "documents".to_owned(),
            revision: 12,
            may_write: true,
            title: "documents".to_owned(),
            tab,
        };
        (head, Frame::sample("/console/authorization/1"))
    }

    /// The store's address.
    pub(crate) fn path(&self) -> String {
        format!("/console/authorization/{}", self.store_id)
    }

    /// The store's pages.
    pub(crate) fn tabs(&self) -> Vec<Tab> {
        let tab = |(label, part): &(&'static str, &'static str)| Tab {
            label,
            href: format!("{}{part}", self.path()),
            is_current: *part == self.tab,
        };
        TABS.iter().map(tab).collect()
    }

    /// The store's id, shortened in the middle.
    pub(crate) fn short_id(&self) -> String {
        shortened(&self.store_id)
    }
}

/// An id, shortened in the middle.
fn shortened(id: &str) -> String {
    match (id.get(..4), id.len().checked_sub(4).and_then(|from| id.get(from..))) {
        (Some(start), Some(end)) if id.len() > 12 => format!("{start}…{end}"),
        _ => id.to_owned(),
    }
}

/// A model as it is stored, read: its id and itself. `None` if the store has none yet.
///
/// # Errors
/// `StoreNotFound`, `ModelNotFound`, or when the database fails.
async fn find_model(
    authz: &Authz,
    store_id: &str,
    model_id: Option<&str>,
) -> Result<Option<(String, AuthorizationModel)>, AuthzError> {
    match authz.load_model(store_id, model_id).await {
        Ok((id, json)) => match AuthorizationModel::from_json(&json) {
            Ok(model) => Ok(Some((id, model))),
            Err(_) => Err(StoreError::Corrupt { what: "fga_models.model".to_owned() }.into()),
        },
        Err(AuthzError::NoModel(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A model's text as its author wrote it, if there is one that still says this model; else the
/// model as text.
async fn text_of(
    authz: &Authz,
    store_id: &str,
    (id, model): &(String, AuthorizationModel),
) -> Result<String, AuthzError> {
    let source = authz.load_model_source(store_id, id).await?;
    let is_it = || AuthorizationModel::from_dsl(&source).is_ok_and(|read| read == *model);
    Ok(if !source.is_empty() && is_it() { source } else { plain_text_of(model) })
}

/// A model as text; its JSON if the text form cannot say it.
fn plain_text_of(model: &AuthorizationModel) -> String {
    model.to_dsl().or_else(|_| serde_json::to_string_pretty(model)).unwrap_or_default()
}

/// Every relation's name, once.
fn relation_names(model: &AuthorizationModel) -> Vec<String> {
    let all = model.type_definitions.iter().flat_map(|definition| definition.relations.keys());
    let names: std::collections::BTreeSet<&String> = all.collect();
    names.into_iter().take(SUGGESTED).cloned().collect()
}

/// Names for the fields of a store's pages.
async fn known_names(authz: &Authz, store_id: &str) -> Result<KnownNames, AuthzError> {
    authz.known_names(store_id, SUGGESTED).await
}

/// Who does it.
fn actor(session: &Session) -> Actor {
    Actor::User { sub: session.user.user_id.to_string() }
}

/// Somebody who did something, in words.
fn who(actor: &Actor) -> String {
    match actor {
        Actor::User { sub } => sub.clone(),
        Actor::Client { client_id, sub: None } => format!("application {client_id}"),
        Actor::Client { client_id, sub: Some(sub) } => format!("{client_id} for {sub}"),
        Actor::ApiKey { name } => format!("key {name}"),
        Actor::Local { uid } => format!("command line (uid {uid})"),
        Actor::System => "Behalf itself".to_owned(),
        Actor::Anonymous => "nobody known".to_owned(),
    }
}

/// True if one of her roles may write and delete tuples.
fn may_write(user: &User) -> bool {
    user.roles.iter().any(|role| right(*role, Resource::Authorization) == Right::Write)
}

/// A page for what failed, or for a store that is not there.
fn failed(error: &AuthzError) -> Response {
    match error {
        AuthzError::StoreNotFound => {
            let text = "There is no authorization store at this address. It may have been deleted.";
            return error_page(StatusCode::NOT_FOUND, "Store not found", text);
        }
        AuthzError::ModelNotFound(_) => {
            let text = "The store has no model with this id. Choose one from its versions.";
            return error_page(StatusCode::NOT_FOUND, "Model not found", text);
        }
        _ => {}
    }
    tracing::error!(%error, "a page of authorization failed");
    let text = "Authorization cannot be reached right now. Try again in a moment; if you changed \
                something, look first whether it is there.";
    error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
}

/// True if the caller is to blame, so that the words are for her.
const fn is_refusal(error: &AuthzError) -> bool {
    match error {
        AuthzError::Store(StoreError::Conflict { .. })
        | AuthzError::Write(_)
        | AuthzError::Request(_)
        | AuthzError::Model(_)
        | AuthzError::Invalid(_)
        | AuthzError::NoModel(_)
        | AuthzError::ModelNotFound(_)
        | AuthzError::BadContinuationToken
        | AuthzError::TokenOfAnotherType
        | AuthzError::NotReached { .. }
        | AuthzError::TooMany { .. } => true,
        AuthzError::StoreNotFound | AuthzError::Contention | AuthzError::Store(_) => false,
    }
}
