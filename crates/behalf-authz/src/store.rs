//! Stores: created, named, listed, deleted.

use behalf_core::{Actor, Event, EventKind, Timestamp, UserId};
use behalf_fga::Semantics;
use behalf_store::UnitOfWork;
use behalf_store::fga::{self, FgaStoreRow};
use serde::{Deserialize, Serialize};

use crate::Authz;
use crate::error::AuthzError;

/// How Behalf itself names a person as a user of a store (DESIGN §6). Strings from clients stay
/// opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectName {
    /// `user:<sub>`.
    #[default]
    Sub,
    /// `user:<email>`, while the address is verified.
    Email,
}

impl SubjectName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Email => "email",
        }
    }

    fn from_text(text: &str) -> Self {
        if text == "email" { Self::Email } else { Self::Sub }
    }

    /// The FGA user that is this person, or `None` when she has no name in such a store: then she
    /// sees only what is public.
    pub fn user(self, user_id: &UserId, verified_email: Option<&str>) -> Option<String> {
        let name = match self {
            Self::Sub => user_id.as_str().to_owned(),
            Self::Email => verified_email?.to_lowercase(),
        };
        let is_plain = !name.contains(['#', ':', '*', ' ']);
        is_plain.then(|| format!("user:{name}"))
    }
}

/// A store, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaStoreInfo {
    /// Its ULID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How Behalf names people in it.
    pub subject: SubjectName,
    /// Whose answers it gives to checks.
    pub semantics: Semantics,
    /// How many writes it has had.
    pub revision: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its name last changed.
    pub updated_at: Timestamp,
}

impl From<FgaStoreRow> for FgaStoreInfo {
    fn from(row: FgaStoreRow) -> Self {
        Self {
            id: row.store_id,
            name: row.name,
            subject: SubjectName::from_text(&row.subject),
            semantics: semantics_of(&row.semantics),
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What a row says; an older node's word for something that this one does not know is v1.
pub(crate) fn semantics_of(text: &str) -> Semantics {
    Semantics::find(text).unwrap_or_default()
}

/// True if the text fits OpenFGA's pattern for store and model ids.
pub(crate) fn is_ulid(id: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b));
    id.len() == 26 && id.bytes().all(is_digit)
}

/// OpenFGA's rule for store names.
pub(crate) fn check_name(name: &str) -> Result<(), AuthzError> {
    let is_allowed =
        |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "-./^_&@".contains(c);
    if (3..=64).contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(AuthzError::Invalid(
        "invalid CreateStoreRequest.Name: value does not match regex pattern \
         \"^[a-zA-Z0-9\\\\s\\\\.\\\\-\\\\/^_&@]{3,64}$\""
            .to_owned(),
    ))
}

impl Authz {
    /// Creates a store.
    ///
    /// # Errors
    /// When the name is not allowed.
    pub async fn create_store(
        &self,
        name: &str,
        actor: &Actor,
    ) -> Result<FgaStoreInfo, AuthzError> {
        check_name(name)?;
        let mut unit = self.unit();
        let row = self.plan_store(&mut unit, self.new_id(), name, SubjectName::Sub, actor);
        self.storage().commit(unit).await?;
        Ok(row.into())
    }

    /// The store with that id, created if there is none; true if it was. A store that exists keeps
    /// its name.
    ///
    /// # Errors
    /// When the id or the name is not allowed.
    pub async fn ensure_store(
        &self,
        store_id: &str,
        name: &str,
        actor: &Actor,
    ) -> Result<(FgaStoreInfo, bool), AuthzError> {
        if !is_ulid(store_id) {
            return Err(AuthzError::Invalid(format!("`{store_id}` is no store's id")));
        }
        check_name(name)?;
        let mut unit = self.unit();
        let row = self.plan_store(&mut unit, store_id.to_owned(), name, SubjectName::Sub, actor);
        match self.storage().commit(unit).await {
            Ok(_) => Ok((row.into(), true)),
            Err(error) if error.is_conflict("store exists") => {
                Ok((self.load_store(store_id).await?, false))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn plan_store(
        &self,
        unit: &mut UnitOfWork,
        store_id: String,
        name: &str,
        subject: SubjectName,
        actor: &Actor,
    ) -> FgaStoreRow {
        let row = FgaStoreRow {
            store_id,
            name: name.to_owned(),
            subject: subject.as_str().to_owned(),
            semantics: Semantics::default().as_str().to_owned(),
            revision: 0,
            created_at: self.now(),
            updated_at: self.now(),
        };
        unit.add(fga::insert_store(self.tenant(), &row));
        unit.record(
            &Event::new(self.tenant(), EventKind::FgaStoreCreated, actor.clone())
                .with("store_id", row.store_id.as_str())
                .with("name", name),
        );
        row
    }

    /// The store with that id.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn load_store(&self, store_id: &str) -> Result<FgaStoreInfo, AuthzError> {
        let row = fga::find_store(self.storage(), self.tenant(), store_id).await?;
        row.map(Into::into).ok_or(AuthzError::StoreNotFound)
    }

    /// The oldest store with that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_store_by_name(&self, name: &str) -> Result<Option<FgaStoreInfo>, AuthzError> {
        let rows = fga::list_stores_by_name(self.storage(), self.tenant(), name).await?;
        Ok(rows.into_iter().next().map(Into::into))
    }

    /// Up to `limit` stores after the id `after`, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_stores(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<FgaStoreInfo>, AuthzError> {
        let rows = fga::list_stores(self.storage(), self.tenant(), after, limit).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Says whose answers a store gives to checks from now on; true if they were others before.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn set_semantics(
        &self,
        store_id: &str,
        semantics: Semantics,
        actor: &Actor,
    ) -> Result<bool, AuthzError> {
        let store = self.open_store(store_id).await?;
        if store.semantics() == semantics {
            return Ok(false);
        }
        let mut unit = self.unit();
        self.plan_semantics(&mut unit, store_id, semantics, actor);
        // Not on the caller's future: a caller who goes away must not leave the memory behind.
        let storage = self.storage().clone();
        let task = tokio::spawn(async move {
            storage.commit(unit).await?;
            store.set_semantics(semantics);
            Ok(true)
        });
        match task.await.unwrap_or(Err(AuthzError::Contention)) {
            Err(AuthzError::Store(error)) if error.is_conflict("store is gone") => {
                Err(AuthzError::StoreNotFound)
            }
            outcome => outcome,
        }
    }

    pub(crate) fn plan_semantics(
        &self,
        unit: &mut UnitOfWork,
        store_id: &str,
        semantics: Semantics,
        actor: &Actor,
    ) {
        unit.add(fga::set_semantics(self.tenant(), store_id, semantics.as_str()));
        unit.record(
            &Event::new(self.tenant(), EventKind::FgaSemanticsSet, actor.clone())
                .with("store_id", store_id)
                .with("semantics", semantics.as_str()),
        );
    }

    /// Deletes a store with its models and tuples.
    ///
    /// # Errors
    /// `StoreNotFound`.
    pub async fn delete_store(&self, store_id: &str, actor: &Actor) -> Result<(), AuthzError> {
        let mut unit = self.unit();
        for statement in fga::delete_store(self.tenant(), store_id) {
            unit.add(statement);
        }
        unit.record(
            &Event::new(self.tenant(), EventKind::FgaStoreDeleted, actor.clone())
                .with("store_id", store_id),
        );
        match self.storage().commit(unit).await {
            Ok(_) => {
                // Whoever began to load it before finishes first.
                let _nobody_loads = self.0.loads.enter(store_id).await;
                self.forget(store_id).await;
                Ok(())
            }
            Err(error) if error.is_conflict("store is gone") => Err(AuthzError::StoreNotFound),
            Err(error) => Err(error.into()),
        }
    }
}
