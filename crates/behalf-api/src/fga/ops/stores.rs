//! Stores.

use behalf_authz::{AuthzError, FgaStoreInfo};

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::time_of;
use crate::fga::error::FgaError;
use crate::fga::rules::In;
use crate::fga::wire::openfga_v1 as pb;

/// Stores read at once, while those out of reach or of another name are passed over.
const PAGE: u32 = 100;

impl Call {
    pub(in crate::fga) async fn create_store(
        &self,
        request: pb::CreateStoreRequest,
    ) -> Result<Answer<pb::Store>, FgaError> {
        let is_allowed =
            |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "-./^_&@".contains(c);
        let name = &request.name;
        let is_name = (3..=64).contains(&name.len()) && name.chars().all(is_allowed);
        let reason = r#"value does not match regex pattern "^[a-zA-Z0-9\\s\\.\\-\\/^_&@]{3,64}$""#;
        In("CreateStoreRequest").holds("Name", is_name, || reason)?;
        self.authorize("").await?;
        let store = self.context.authz.create_store(name, &self.caller.actor).await?;
        let stamp = Stamp::store(store.id.clone());
        Ok(Answer::new(message(store), stamp))
    }

    pub(in crate::fga) async fn get_store(
        &self,
        request: pb::GetStoreRequest,
    ) -> Result<Answer<pb::Store>, FgaError> {
        In("GetStoreRequest").store_id(&request.store_id)?;
        self.enter(&request.store_id).await?;
        let store = self.context.authz.load_store(&request.store_id).await?;
        Ok(Answer::new(message(store), Stamp::store(request.store_id)))
    }

    /// OpenFGA declares the method and does not have it.
    pub(in crate::fga) async fn update_store(&self, store_id: &str) -> FgaError {
        match self.authorize(store_id).await {
            Ok(()) => FgaError::unimplemented("method UpdateStore not implemented"),
            Err(error) => error,
        }
    }

    pub(in crate::fga) async fn delete_store(
        &self,
        request: pb::DeleteStoreRequest,
    ) -> Result<Answer<pb::DeleteStoreResponse>, FgaError> {
        In("DeleteStoreRequest").store_id(&request.store_id)?;
        self.enter(&request.store_id).await?;
        let deleted = self.context.authz.delete_store(&request.store_id, &self.caller.actor).await;
        // As in OpenFGA: whoever deletes a store twice is told twice that it is gone.
        if !matches!(deleted, Err(AuthzError::StoreNotFound)) {
            deleted?;
        }
        Ok(Answer::new(pb::DeleteStoreResponse {}, Stamp::store(request.store_id)))
    }

    /// Only the stores within the caller's reach are listed: those that she could get one by one.
    pub(in crate::fga) async fn list_stores(
        &self,
        request: pb::ListStoresRequest,
    ) -> Result<Answer<pb::ListStoresResponse>, FgaError> {
        let is = In("ListStoresRequest");
        let size = is.page_size(request.page_size)? as usize;
        is.token(&request.continuation_token)?;
        let mut after = request.continuation_token;
        if !after.is_empty() && is.id("ContinuationToken", &after).is_err() {
            return Err(FgaError::new(2007, "Invalid continuation token"));
        }
        self.authorize("").await?;
        let visible = self.visible().await?;
        let admits = |store: &FgaStoreInfo| {
            self.caller.may_reach(&store.id)
                && (request.name.is_empty() || request.name == store.name)
                && visible.admits(&store.id)
        };
        // One more than asked for, to know whether there is another page.
        let mut found = Vec::new();
        'all: loop {
            let stores = self.context.authz.list_stores(&after, PAGE).await?;
            let is_last = stores.len() < PAGE as usize;
            for store in stores {
                after.clone_from(&store.id);
                if admits(&store) {
                    found.push(store);
                }
                if found.len() > size {
                    break 'all;
                }
            }
            if is_last {
                break;
            }
        }
        let has_more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| has_more).map(|store| store.id.clone());
        let answer = pb::ListStoresResponse {
            stores: found.into_iter().map(message).collect(),
            continuation_token: next.unwrap_or_default(),
        };
        Ok(Answer::new(answer, Stamp::default()))
    }
}

fn message(store: FgaStoreInfo) -> pb::Store {
    pb::Store {
        id: store.id,
        name: store.name,
        created_at: Some(time_of(store.created_at)),
        updated_at: Some(time_of(store.updated_at)),
        deleted_at: None,
    }
}
