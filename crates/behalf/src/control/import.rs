//! `POST /documents`: a batch of documents to import.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use behalf_core::Actor;
use behalf_gate::flows::documents::{self, DocumentParts, ImportOutcome, ImportedDocument};
use behalf_retrieval::{ContentType, NewDocument};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::wiring::Server;

/// A batch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportRequest {
    /// Whose documents they become: a `sub`, an address or a user name.
    pub(crate) owner: Option<String>,
    /// The documents.
    pub(crate) documents: Vec<ImportItem>,
}

/// A document of a batch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportItem {
    /// Its id.
    pub(crate) document_id: String,
    /// Its title.
    pub(crate) title: String,
    /// What its content is written in.
    pub(crate) content_type: String,
    /// Its content.
    pub(crate) content: String,
}

/// Imports a batch into `server`.
pub(crate) async fn import(
    server: &Server,
    request: ImportRequest,
    actor: &Actor,
) -> anyhow::Result<ImportOutcome> {
    let Server { identity, authz, retrieval, .. } = server;
    let owner = match &request.owner {
        None => None,
        Some(name) => {
            let user = identity.find_user_by_any_name(name).await?;
            Some(user.with_context(|| format!("there is no user `{name}`"))?)
        }
    };
    let batch = request.documents.into_iter().map(|item| {
        let content_type = ContentType::parse(&item.content_type)
            .ok_or_else(|| anyhow!("`{}` is not a known type", item.content_type))?;
        let new = NewDocument { title: item.title, content_type, content: item.content };
        Ok(ImportedDocument { document_id: item.document_id, new })
    });
    let batch = batch.collect::<anyhow::Result<Vec<_>>>()?;
    let parts = DocumentParts { identity, authz, retrieval };
    Ok(documents::import(parts, batch, owner.as_ref(), actor).await?)
}

/// The route.
pub(super) async fn post(
    State(server): State<Arc<Server>>,
    Extension(actor): Extension<Actor>,
    Json(request): Json<ImportRequest>,
) -> Response {
    match import(&server, request, &actor).await {
        Ok(outcome) => Json(outcome).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// Asks the server that holds `dir` to import a batch.
pub(crate) async fn request(dir: &Path, request: &ImportRequest) -> anyhow::Result<ImportOutcome> {
    super::ask(dir, "/documents", request).await
}
