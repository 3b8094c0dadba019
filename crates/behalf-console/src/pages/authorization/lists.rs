//! `/console/authorization/{store_id}/lists`: what a user may reach, and who may reach an object,
//! now or at an earlier revision, in pages.

use askama::Template;
use axum::response::Response;
use behalf_authz::engine::{
    ListObjectsRequest, ListUsersRequest, Listing, PageRequest, RequestError, UserFilter,
};
use behalf_authz::{At, AuthzError, KnownNames};
use behalf_http::Params;

use super::question::{Question, With};
use super::visit::{Visit, shown};
use super::{Head, find_model, is_refusal, known_names, relation_names};
use crate::address::with_query;
use crate::frame::Frame;

/// Names on a page.
const SIZE: usize = 50;

/// The question: of a user, or of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    of: Of,
    question: Question,
    object_type: String,
    /// `type` or `type#relation`: whom the list of users is about.
    users: String,
    after: String,
}

/// What is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Of {
    #[default]
    Nothing,
    Objects,
    Users,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Names { items: Vec<Item>, revision: u64, next: Option<String>, is_whole: bool, is_first: bool },
    Refused(String),
}

/// A name, and where the page says why.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    name: String,
    why: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/lists.html")]
pub(crate) struct Lists {
    frame: Frame,
    head: Head,
    asked: Asked,
    known: KnownNames,
    relations: Vec<String>,
    types: Vec<String>,
    found: Option<Found>,
}

impl Asked {
    fn take(params: &mut Params) -> Self {
        let question = Question::take(params);
        let mut take = |name| params.take(name).unwrap_or_default().trim().to_owned();
        let (object_type, users, after) = (take("type"), take("users"), take("after"));
        let of = match (question.user.is_empty(), question.object.is_empty()) {
            (false, true) => Of::Objects,
            (true, false) => Of::Users,
            _ => Of::Nothing,
        };
        Self { of, question, object_type, users, after }
    }

    fn is_of_objects(&self) -> bool {
        self.of == Of::Objects
    }

    fn is_of_users(&self) -> bool {
        self.of == Of::Users
    }

    /// The page behind the one that ends with `after`, of the same revision.
    fn next(&self, path: &str, revision: u64, after: &str) -> String {
        let pinned = Question { revision: revision.to_string(), ..self.question.clone() };
        let more = [("type", &*self.object_type), ("users", &*self.users), ("after", after)];
        with_query(&pinned.address(&format!("{path}/lists")), more)
    }
}

pub(crate) async fn get(mut visit: Visit) -> Response {
    let asked = Asked::take(&mut visit.params);
    shown(load(&visit, asked).await, |page| matches!(page.found, Some(Found::Refused(_))))
}

async fn load(visit: &Visit, mut asked: Asked) -> Result<Lists, AuthzError> {
    let (authz, store_id) = (visit.authz(), visit.store_id.as_str());
    let (head, frame) = visit.head("/lists").await?;
    let model = find_model(authz, store_id, None).await?.map(|(_, model)| model);
    let definitions = || model.iter().flat_map(|model| &model.type_definitions);
    let types: Vec<String> = definitions().map(|of| of.type_name.clone()).collect();
    if asked.users.is_empty() {
        // Most models call their people so.
        let is_there = types.iter().any(|name| name == "user");
        asked.users =
            if is_there { "user".to_owned() } else { types.first().cloned().unwrap_or_default() };
    }
    if asked.object_type.is_empty() {
        // What has most relations is most likely what is asked about.
        let richest = definitions().max_by_key(|of| of.relations.len());
        asked.object_type = richest.map(|of| of.type_name.clone()).unwrap_or_default();
    }
    let found = match asked.of {
        Of::Nothing => None,
        Of::Objects | Of::Users => Some(find(visit, &asked, &head.path()).await?),
    };
    Ok(Lists {
        frame,
        asked,
        known: known_names(authz, store_id).await?,
        relations: model.as_ref().map(relation_names).unwrap_or_default(),
        types,
        found,
        head,
    })
}

async fn find(visit: &Visit, asked: &Asked, path: &str) -> Result<Found, AuthzError> {
    let with = match asked.question.with() {
        Ok(with) => with,
        Err(wrong) => return Ok(Found::Refused(format!("{}.", wrong.text))),
    };
    let at = match asked.question.at(visit.authz(), &visit.store_id, &with).await {
        Ok(at) => at,
        Err(error) if is_refusal(&error) => return Ok(Found::Refused(format!("{error}."))),
        Err(error) => return Err(error),
    };
    let revision = at.revision();
    let question = asked.clone();
    let listed = tokio::task::spawn_blocking(move || list(&at, &question, &with));
    let listed = listed.await.map_err(|_panicked| AuthzError::Contention)?;
    let listing = match listed {
        Ok(listing) => listing,
        Err(error) => return Ok(Found::Refused(format!("{error}."))),
    };
    let why = |name: &str| {
        let mut question = asked.question.clone();
        match asked.of {
            Of::Objects => name.clone_into(&mut question.object),
            _ => name.clone_into(&mut question.user),
        }
        question.address(path)
    };
    Ok(Found::Names {
        items: listing.items.into_iter().map(|name| Item { why: why(&name), name }).collect(),
        next: listing.next.map(|after| asked.next(path, revision, &after)),
        is_whole: listing.is_complete,
        is_first: asked.after.is_empty(),
        revision,
    })
}

fn list(at: &At, asked: &Asked, with: &With) -> Result<Listing<String>, RequestError> {
    let after = Some(asked.after.as_str()).filter(|after| !after.is_empty());
    let page = PageRequest { after, max_results: Some(SIZE) };
    let Question { user, relation, object, .. } = &asked.question;
    if asked.of == Of::Objects {
        let object_type = &asked.object_type;
        let list = ListObjectsRequest { user, relation, object_type, request: with.request() };
        return at.list_objects_page(&list, &page);
    }
    let (type_name, of) = match asked.users.split_once('#') {
        Some((type_name, relation)) => (type_name, Some(relation)),
        None => (asked.users.as_str(), None),
    };
    let filter = UserFilter { type_name, relation: of };
    let list = ListUsersRequest { object, relation, filter, request: with.request() };
    let Listing { items, is_complete, next } = at.list_users(&list, &page)?;
    let items = items.iter().map(ToString::to_string).collect();
    Ok(Listing { items, is_complete, next })
}

pub(crate) fn samples() -> Vec<Lists> {
    let (head, frame) = Head::sample("/lists");
    let item = |name: &str| Item { name: name.to_owned(), why: "/console".to_owned() };
    let page = Lists {
        frame,
        head,
        asked: Asked {
            of: Of::Objects,
            question: Question { object: String::new(), ..super::samples::question() },
            object_type: "doc".to_owned(),
            users: "user".to_owned(),
            after: String::new(),
        },
        known: KnownNames::default(),
        relations: vec!["can_view".to_owned()],
        types: vec!["doc".to_owned(), "user".to_owned()],
        found: Some(Found::Names {
            items: vec![item("doc:plan"), item("doc:<i>hi")],
            revision: 12,
            next: Some("?after=doc".to_owned()),
            is_whole: false,
            is_first: true,
        }),
    };
    let nobody = Found::Names {
        items: Vec::new(),
        revision: 12,
        next: None,
        is_whole: true,
        is_first: true,
    };
    let users = Lists {
        asked: Asked { of: Of::Users, ..page.asked.clone() },
        found: Some(nobody),
        ..page.clone()
    };
    let refused = Found::Refused("type 'x' not found.".to_owned());
    let refused = Lists { found: Some(refused), ..page.clone() };
    let fresh = Lists { asked: Asked::default(), found: None, ..page.clone() };
    vec![page, users, refused, fresh]
}
