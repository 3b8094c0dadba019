//! Names that a store knows, for those who ask it by hand.

use std::collections::BTreeSet;

use crate::Authz;
use crate::error::AuthzError;

/// Tuples that are looked at.
const MAX_TUPLES: usize = 20_000;

/// Some users and objects of a store, each once, by name.
#[derive(Clone, Debug, Default)]
pub struct KnownNames {
    /// Users, also usersets and wildcards.
    pub users: Vec<String>,
    /// Objects.
    pub objects: Vec<String>,
}

impl Authz {
    /// Up to `limit` users and as many objects that the store's tuples name.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn known_names(
        &self,
        store_id: &str,
        limit: usize,
    ) -> Result<KnownNames, AuthzError> {
        let snapshot = self.snapshot(store_id).await?;
        let (mut users, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for tuple in snapshot.tuples().take(MAX_TUPLES) {
            if users.len() < limit {
                users.insert(tuple.user);
            }
            if objects.len() < limit {
                objects.insert(tuple.object);
            }
            if users.len() >= limit && objects.len() >= limit {
                break;
            }
        }
        Ok(KnownNames {
            users: users.into_iter().collect(),
            objects: objects.into_iter().collect(),
        })
    }
}
