//! Who may read which document: the store named `documents` says, asked with the name that the
//! person has in it.

use behalf_authz::engine::{CheckRequest, ListObjectsRequest, RequestContext};
use behalf_authz::{At, Authz, AuthzError, DOCUMENTS, FgaStoreInfo, Query};
use behalf_core::{Checked, DecidedAt, MayRead, MayReadError, PortFuture, Readable, UserId};
use behalf_identity::{Identity, User};
use behalf_store::StoreError;
use serde_json::{Map, Value};

/// The type of documents in the store's model.
pub const DOCUMENT_TYPE: &str = "doc";
/// The relation that lets a person read.
pub const CAN_VIEW: &str = "can_view";

/// The readers of documents, as the authorization store knows them.
#[derive(Clone, Debug)]
pub struct DocumentReaders {
    identity: Identity,
    authz: Authz,
}

/// A person as the store `documents` names her.
#[derive(Clone, Debug)]
pub struct StoreSubject {
    /// The store.
    pub store: FgaStoreInfo,
    /// Her name; `user:*` when she has none there and sees only what is public.
    pub fga_user: String,
}

impl DocumentReaders {
    /// The readers that `authz` knows, who are `identity`'s people.
    pub const fn new(identity: Identity, authz: Authz) -> Self {
        Self { identity, authz }
    }

    /// The person's name in the store; `None` when there is no store, or no such person, or she is
    /// kept out: then she reads nothing.
    async fn subject(&self, user_id: &UserId) -> Result<Option<StoreSubject>, AuthzError> {
        let user = self.identity.find_user(user_id).await?;
        let Some(user) = user.filter(|user| !user.blocked) else { return Ok(None) };
        let store = self.authz.find_store_by_name(DOCUMENTS).await?;
        Ok(store.map(|store| {
            let name = name_in(&store, &user);
            StoreSubject { store, fga_user: name.unwrap_or_else(|| "user:*".to_owned()) }
        }))
    }

    async fn view(&self, subject: &StoreSubject) -> Result<(At, DecidedAt), AuthzError> {
        let store_id = subject.store.id.as_str();
        let at = self.authz.at(Query { store_id, model_id: None }).await?;
        let decided_at = DecidedAt {
            store_id: store_id.to_owned(),
            model_id: at.model_id.to_string(),
            revision: at.revision(),
        };
        Ok((at, decided_at))
    }

    async fn list(&self, user_id: &UserId) -> Result<Readable, AuthzError> {
        let Some(subject) = self.subject(user_id).await? else { return Ok(Readable::default()) };
        let (at, decided_at) = self.view(&subject).await?;
        let document_ids = at.list_candidates(&ListObjectsRequest {
            user: &subject.fga_user,
            relation: CAN_VIEW,
            object_type: DOCUMENT_TYPE,
            request: RequestContext::default(),
        })?;
        Ok(Readable { document_ids, decided_at })
    }

    async fn answer(&self, user_id: &UserId, ids: &[&str]) -> Result<Checked, AuthzError> {
        let Some(subject) = self.subject(user_id).await? else {
            return Ok(Checked { may_read: vec![false; ids.len()], ..Checked::default() });
        };
        let (at, decided_at) = self.view(&subject).await?;
        let context = self.context();
        let objects: Vec<String> = ids.iter().map(|id| format!("{DOCUMENT_TYPE}:{id}")).collect();
        let request = RequestContext { context: Some(&context), ..RequestContext::default() };
        let checks: Vec<CheckRequest<'_>> = objects
            .iter()
            .map(|object| CheckRequest {
                user: &subject.fga_user,
                relation: CAN_VIEW,
                object,
                request,
            })
            .collect();
        let answers = at.batch_check(&checks).into_iter().zip(&objects);
        let may_read = answers.map(|(answer, object)| {
            answer.unwrap_or_else(|error| {
                tracing::debug!(%error, object, "a document cannot be decided and is withheld");
                false
            })
        });
        Ok(Checked { may_read: may_read.collect(), decided_at })
    }

    /// What conditions may ask for.
    fn context(&self) -> Map<String, Value> {
        let now = Value::from(self.identity.now().to_rfc3339());
        Map::from_iter([("current_time".to_owned(), now)])
    }
}

/// How `store` names the person, if she has a name in it.
pub fn name_in(store: &FgaStoreInfo, user: &User) -> Option<String> {
    let email = user.profile.email.as_deref().filter(|_| user.profile.email_verified);
    store.subject.user(&user.user_id, email)
}

impl MayRead for DocumentReaders {
    fn list_readable<'a>(
        &'a self,
        user_id: &'a UserId,
    ) -> PortFuture<'a, Result<Readable, MayReadError>> {
        Box::pin(async { self.list(user_id).await.map_err(unanswered) })
    }

    fn check<'a>(
        &'a self,
        user_id: &'a UserId,
        document_ids: &'a [&'a str],
    ) -> PortFuture<'a, Result<Checked, MayReadError>> {
        Box::pin(async { self.answer(user_id, document_ids).await.map_err(unanswered) })
    }
}

fn unanswered(error: AuthzError) -> MayReadError {
    match error {
        AuthzError::Store(StoreError::Unavailable { reason, .. }) => {
            MayReadError::Unavailable(reason)
        }
        AuthzError::Contention => MayReadError::Unavailable(error.to_string()),
        error => MayReadError::Failed(error.to_string()),
    }
}
