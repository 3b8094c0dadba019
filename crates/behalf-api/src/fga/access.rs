//! Access control: what the client of a call may ask of a store, by the store that says so
//! (`--fga-access-control-store`). Every call comes by here before a store is touched.

use behalf_authz::engine::WriteRequest;
use behalf_authz::{Access, ApiRight, AuthzError, Query};
use behalf_identity::FgaPrincipal;
use behalf_store::StoreError;

use super::call::Call;
use super::error::FgaError;

/// Which stores a call may see.
#[derive(Debug)]
pub(super) enum Visible<'c> {
    All,
    Of(Access, &'c str),
}

impl Visible<'_> {
    /// True if the call could get this store.
    pub(super) fn admits(&self, store_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(access, client) => access.may(client, ApiRight::GetStore, store_id),
        }
    }
}

impl Call {
    /// Access control lets the caller ask this of the store.
    pub(super) async fn authorize(&self, store_id: &str) -> Result<(), FgaError> {
        let Some((access, client)) = self.access().await? else { return Ok(()) };
        if access.may(client, self.right, store_id) {
            return Ok(());
        }
        Err(self.lacks(client, &self.right.object(store_id)))
    }

    /// Which stores access control lets the caller see.
    pub(super) async fn visible(&self) -> Result<Visible<'_>, FgaError> {
        let access = self.access().await?;
        Ok(access.map_or(Visible::All, |(access, client)| Visible::Of(access, client)))
    }

    /// As [`Call::enter`], for a write: who may not write the whole store may write one module of
    /// it. Then the write must be made with the model whose modules were looked at.
    pub(super) async fn enter_to_write(
        &self,
        store_id: &str,
        model_id: Option<String>,
        write: &WriteRequest,
    ) -> Result<Option<String>, FgaError> {
        self.reach(store_id)?;
        let model_id = match self.access().await? {
            Some((access, client)) if !access.may(client, self.right, store_id) => {
                Some(self.admit_module(&access, client, store_id, model_id, write).await?)
            }
            _ => model_id,
        };
        self.wait(store_id).await?;
        Ok(model_id)
    }

    /// The model by which the write belongs to one module that the client may write.
    async fn admit_module(
        &self,
        access: &Access,
        client: &str,
        store_id: &str,
        model_id: Option<String>,
        write: &WriteRequest,
    ) -> Result<String, FgaError> {
        let lacks = || self.lacks(client, &self.right.object(store_id));
        let query = Query { store_id, model_id: model_id.as_deref() };
        // A client without rights does not learn which stores and models there are.
        let at = self.context.authz.at(query).await.map_err(|error| match error {
            AuthzError::Store(_) => FgaError::from(error),
            _ => lacks(),
        })?;
        let writes = write.writes.iter().map(|of| (of.object.as_str(), of.relation.as_str()));
        let deletes = write.deletes.iter().map(|of| (of.object.as_str(), of.relation.as_str()));
        let modules = at.modules(writes.chain(deletes)).unwrap_or_default();
        match modules.as_slice() {
            [first, others @ ..] if access.may_write_module(client, store_id, first) => {
                if others.is_empty() {
                    return Ok(at.model_id.to_string());
                }
                Err(FgaError::forbidden(format!(
                    "a write without `{}` on the store touches one module, not {}",
                    self.right.relation(),
                    modules.len()
                )))
            }
            _ => Err(lacks()),
        }
    }

    /// What decides, and for which client; `None` where access control decides nothing.
    async fn access(&self) -> Result<Option<(Access, &str)>, FgaError> {
        let Some(control) = &self.context.fga_access_control else { return Ok(None) };
        let client = match &self.caller.principal {
            FgaPrincipal::Local => return Ok(None),
            FgaPrincipal::Client(client) => client,
            FgaPrincipal::Nobody => {
                let text = "access control is on: only a client's access token opens this";
                return Err(FgaError::forbidden(text));
            }
        };
        let access = self.context.authz.access(control).await.map_err(|error| {
            tracing::error!(%error, store_id = control.store_id, "access control cannot be asked");
            match error {
                AuthzError::Store(StoreError::Unavailable { .. }) => FgaError::from(error),
                _ => FgaError::internal("access control cannot be asked"),
            }
        })?;
        Ok(Some((access, client)))
    }

    fn lacks(&self, client: &str, object: &str) -> FgaError {
        let relation = self.right.relation();
        FgaError::forbidden(format!("`application:{client}` lacks `{relation}` on `{object}`"))
    }
}
