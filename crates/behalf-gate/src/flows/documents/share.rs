//! Sharing: tuples that an owner writes and takes back.

use behalf_authz::engine::{DeleteKey, OnConflict, TupleKey, WriteRequest};
use behalf_authz::{AuthzError, FgaStoreInfo, TupleFilter};
use behalf_core::{Actor, Event, EventKind};
use behalf_identity::User;
use serde::{Deserialize, Serialize};

use super::{ATTEMPTS, DocumentError, DocumentParts, OWNER, fits, object};
use crate::readers::name_in;

/// Tuples of one document that are shown at most.
const MAX_SHARES: usize = 200;

/// As what somebody gets a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareRelation {
    /// To read it.
    Viewer,
    /// To decide about it.
    Owner,
}

impl ShareRelation {
    /// The relation's name in the model.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Owner => OWNER,
        }
    }
}

/// With whom a document is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// `user:…`, `group:…#member`, `user:*`; or a person's `sub`, address or user name alone.
    pub user: String,
    /// As what.
    pub relation: ShareRelation,
    /// True to say that everybody is meant.
    pub public: bool,
}

/// Shares a document of the caller's.
///
/// # Errors
/// See [`DocumentError`].
pub async fn share(
    parts: DocumentParts<'_>,
    user: &User,
    document_id: &str,
    share: &Share,
    actor: &Actor,
) -> Result<TupleKey, DocumentError> {
    let is_public = share.user.ends_with(":*");
    if is_public != share.public {
        return Err(DocumentError::InvalidShare(if is_public {
            "everybody can read what is shared with `user:*`; say so with `public: true`".to_owned()
        } else {
            "`public` goes with the user `user:*`".to_owned()
        }));
    }
    if is_public && share.relation == ShareRelation::Owner {
        let text = "everybody cannot be the owner of a document";
        return Err(DocumentError::InvalidShare(text.to_owned()));
    }
    write(parts, user, document_id, share, Direction::Share, actor).await
}

/// Takes a share back. One that is not there is none.
///
/// # Errors
/// See [`DocumentError`].
pub async fn unshare(
    parts: DocumentParts<'_>,
    user: &User,
    document_id: &str,
    share: &Share,
    actor: &Actor,
) -> Result<TupleKey, DocumentError> {
    write(parts, user, document_id, share, Direction::Unshare, actor).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Share,
    Unshare,
}

async fn write(
    parts: DocumentParts<'_>,
    user: &User,
    document_id: &str,
    share: &Share,
    direction: Direction,
    actor: &Actor,
) -> Result<TupleKey, DocumentError> {
    let DocumentParts { authz, retrieval, identity } = parts;
    let store = parts.store().await?;
    for _attempt in 0..ATTEMPTS {
        let revision = parts.owned_at(&store, user, document_id).await?;
        let grantee = grantee(parts, &store, &share.user).await?;
        let tuple = TupleKey::new(grantee, share.relation.as_str(), object(document_id));
        if direction == Direction::Unshare
            && share.relation == ShareRelation::Owner
            && is_last_owner(parts, &store, &tuple).await?
        {
            return Err(DocumentError::LastOwner);
        }
        let planned = authz.plan_write(&store.id, None, &request(&tuple, direction), actor).await;
        let planned = planned.map_err(|error| match error {
            AuthzError::Write(error) => DocumentError::InvalidShare(error.to_string()),
            error => error.into(),
        })?;
        // It is so already.
        let Some(planned) = planned else { return Ok(tuple) };
        if !fits(&planned, revision) {
            continue;
        }
        let kind = match direction {
            Direction::Share => EventKind::DocumentShared,
            Direction::Unshare => EventKind::DocumentUnshared,
        };
        let mut unit = retrieval.unit();
        retrieval.plan_expect(&mut unit, document_id);
        unit.record(
            &Event::new(identity.tenant(), kind, actor.clone())
                .with("document_id", document_id)
                .with("user", tuple.user.as_str())
                .with("relation", tuple.relation.as_str()),
        );
        if parts.commit(unit, vec![planned]).await?.is_some() {
            return Ok(tuple);
        }
    }
    Err(AuthzError::Contention.into())
}

fn request(tuple: &TupleKey, direction: Direction) -> WriteRequest {
    let (writes, deletes): (Vec<TupleKey>, Vec<DeleteKey>) = match direction {
        Direction::Share => (vec![tuple.clone()], Vec::new()),
        Direction::Unshare => (Vec::new(), vec![tuple.delete_key()]),
    };
    WriteRequest {
        writes,
        deletes,
        on_duplicate: OnConflict::Ignore,
        on_missing: OnConflict::Ignore,
        ..WriteRequest::default()
    }
}

/// The FGA user that `text` means: one with a type stands as it is, anything else is a person.
async fn grantee(
    parts: DocumentParts<'_>,
    store: &FgaStoreInfo,
    text: &str,
) -> Result<String, DocumentError> {
    if text.contains(':') {
        return Ok(text.to_owned());
    }
    let person = parts.identity.find_user_by_any_name(text).await?;
    // An address that nobody has shown to be hers could be anybody's.
    let person = person.filter(|person| {
        let is_address = person.profile.email_key() == Some(text.trim().to_lowercase());
        person.profile.email_verified || !is_address
    });
    person.and_then(|person| name_in(store, &person)).ok_or_else(|| {
        DocumentError::InvalidShare(format!(
            "nobody with the name `{text}` can be given a document here"
        ))
    })
}

async fn is_last_owner(
    parts: DocumentParts<'_>,
    store: &FgaStoreInfo,
    tuple: &TupleKey,
) -> Result<bool, DocumentError> {
    let filter = TupleFilter {
        relation: OWNER.to_owned(),
        object: tuple.object.clone(),
        ..TupleFilter::default()
    };
    let owners = parts.authz.read(&store.id, &filter, 2, "").await?.items;
    Ok(matches!(owners.as_slice(), [only] if only.user == tuple.user))
}

/// The tuples of a document of the caller's: with whom it is shared, and as what.
///
/// # Errors
/// See [`DocumentError`].
pub async fn list_shares(
    parts: DocumentParts<'_>,
    user: &User,
    document_id: &str,
) -> Result<Vec<TupleKey>, DocumentError> {
    let store = parts.store().await?;
    parts.owned_at(&store, user, document_id).await?;
    let filter = TupleFilter { object: object(document_id), ..TupleFilter::default() };
    Ok(parts.authz.read(&store.id, &filter, MAX_SHARES, "").await?.items)
}
