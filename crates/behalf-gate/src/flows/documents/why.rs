//! Why a person can see a document, as reasons that a page can put into words.

use behalf_authz::engine::{CheckRequest, RequestContext};
use behalf_authz::{Query, TupleFilter};
use behalf_identity::User;

use super::{DocumentError, DocumentParts, object};
use crate::readers::{CAN_VIEW, name_in};

/// Tuples of the document that are looked at.
const MAX_TUPLES: usize = 200;

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// She herself has this relation.
    Direct {
        /// The relation.
        relation: String,
    },
    /// Everybody has this relation.
    Everybody {
        /// The relation.
        relation: String,
    },
    /// She is one of those who have this relation.
    Member {
        /// The relation.
        relation: String,
        /// Those, as `group:eng#member`.
        of: String,
    },
    /// The model lets her, through more than one step.
    Model,
}

/// Why the person can see the document: every reason that is one step away, or else the model.
///
/// # Errors
/// `NotFound` when she cannot.
pub async fn why(
    parts: DocumentParts<'_>,
    user: &User,
    document_id: &str,
) -> Result<Vec<Reason>, DocumentError> {
    if parts.retrieval.find(&user.user_id, document_id).await?.is_none() {
        return Err(DocumentError::NotFound);
    }
    let store = parts.store().await?;
    let at = parts.authz.at(Query { store_id: &store.id, model_id: None }).await?;
    let filter = TupleFilter { object: object(document_id), ..TupleFilter::default() };
    let tuples = parts.authz.read(&store.id, &filter, MAX_TUPLES, "").await?.items;
    let name = name_in(&store, user);
    let request = RequestContext::default();
    let mut reasons = Vec::new();
    for tuple in tuples {
        let relation = tuple.relation;
        // Who has the relation can see the document only if that relation leads there.
        let leads =
            CheckRequest { user: &tuple.user, relation: CAN_VIEW, object: &tuple.object, request };
        if !at.check(&leads).unwrap_or(false) {
            continue;
        }
        if Some(&tuple.user) == name.as_ref() {
            reasons.push(Reason::Direct { relation });
        } else if tuple.user == "user:*" {
            reasons.push(Reason::Everybody { relation });
        } else if let (Some(name), Some((group, member))) = (&name, tuple.user.split_once('#')) {
            let check = CheckRequest { user: name, relation: member, object: group, request };
            if at.check(&check).unwrap_or(false) {
                reasons.push(Reason::Member { relation, of: tuple.user });
            }
        }
    }
    if reasons.is_empty() {
        reasons.push(Reason::Model);
    }
    Ok(reasons)
}
