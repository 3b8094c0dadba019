//! What a change gives and takes: the same question asked of two versions.

use std::collections::BTreeSet;

use serde::Serialize;

use super::plan::StoreModel;
use super::request::{ListObjectsRequest, PageRequest};
use super::users::ListUsersRequest;
use crate::error::RequestError;
use crate::store::Snapshot;

/// A version of a store and a model to read it by.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The version.
    pub snapshot: &'a Snapshot,
    /// The model.
    pub model: &'a StoreModel,
}

/// What one side lists and the other does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccessDiff {
    /// Only after the change.
    pub gained: Vec<String>,
    /// Only before the change.
    pub lost: Vec<String>,
}

impl AccessDiff {
    /// The objects that a user gains and loses.
    ///
    /// # Errors
    /// Those of [`Snapshot::list_objects`], of either side.
    pub fn of_objects(
        before: Side<'_>,
        after: Side<'_>,
        list: &ListObjectsRequest<'_>,
    ) -> Result<Self, RequestError> {
        let objects = |side: Side<'_>| side.snapshot.list_objects(side.model, list);
        Ok(Self::between(objects(before)?, objects(after)?))
    }

    /// The users who gain and lose a relation to an object; with a wildcard among them, all users
    /// of its type who are not named.
    ///
    /// # Errors
    /// Those of [`Snapshot::list_users`], of either side.
    pub fn of_users(
        before: Side<'_>,
        after: Side<'_>,
        list: &ListUsersRequest<'_>,
    ) -> Result<Self, RequestError> {
        let users = |side: Side<'_>| {
            let listing = side.snapshot.list_users(side.model, list, &PageRequest::default())?;
            if !listing.is_complete {
                return Err(RequestError::Stopped);
            }
            Ok(listing.items.iter().map(ToString::to_string).collect())
        };
        Ok(Self::between(users(before)?, users(after)?))
    }

    fn between(before: Vec<String>, after: Vec<String>) -> Self {
        let before: BTreeSet<String> = before.into_iter().collect();
        let after: BTreeSet<String> = after.into_iter().collect();
        Self {
            gained: after.difference(&before).cloned().collect(),
            lost: before.difference(&after).cloned().collect(),
        }
    }
}
