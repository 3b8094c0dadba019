//! Access control: who may call the API of the stores is itself a question to a store, the access
//! control store. Relations, objects and users have OpenFGA's names, so that its model of them fits.

use behalf_fga::{AuthorizationModel, CheckRequest, RequestContext, TupleKey};
use thiserror::Error;

use crate::Authz;
use crate::error::AuthzError;
use crate::query::{At, Query};

/// What stands for the server itself.
const SYSTEM: &str = "system:fga";
/// The relation of a store to `system:fga`, which every question brings along.
const OF_SYSTEM: &str = "system";
/// The relation of a module to its store, likewise.
const OF_STORE: &str = "store";

/// What a method of the API needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each right is to call OpenFGA's method of its name, or its like")]
pub enum ApiRight {
    Check,
    Read,
    Write,
    ListObjects,
    ListUsers,
    Expand,
    ReadChanges,
    ReadModels,
    WriteModels,
    ReadAssertions,
    WriteAssertions,
    GetStore,
    DeleteStore,
    CreateStores,
    ListStores,
}

impl ApiRight {
    /// Every right.
    pub const ALL: [Self; 15] = [
        Self::Check,
        Self::Read,
        Self::Write,
        Self::ListObjects,
        Self::ListUsers,
        Self::Expand,
        Self::ReadChanges,
        Self::ReadModels,
        Self::WriteModels,
        Self::ReadAssertions,
        Self::WriteAssertions,
        Self::GetStore,
        Self::DeleteStore,
        Self::CreateStores,
        Self::ListStores,
    ];

    /// The relation that gives it.
    pub const fn relation(self) -> &'static str {
        match self {
            Self::Check => "can_call_check",
            Self::Read => "can_call_read",
            Self::Write => "can_call_write",
            Self::ListObjects => "can_call_list_objects",
            Self::ListUsers => "can_call_list_users",
            Self::Expand => "can_call_expand",
            Self::ReadChanges => "can_call_read_changes",
            Self::ReadModels => "can_call_read_authorization_models",
            Self::WriteModels => "can_call_write_authorization_models",
            Self::ReadAssertions => "can_call_read_assertions",
            Self::WriteAssertions => "can_call_write_assertions",
            Self::GetStore => "can_call_get_store",
            Self::DeleteStore => "can_call_delete_store",
            Self::CreateStores => "can_call_create_stores",
            Self::ListStores => "can_call_list_stores",
        }
    }

    /// The object that the relation is to, for a request that names this store.
    pub fn object(self, store_id: &str) -> String {
        match self {
            Self::CreateStores | Self::ListStores => SYSTEM.to_owned(),
            _ => format!("store:{store_id}"),
        }
    }

    const fn type_name(self) -> &'static str {
        match self {
            Self::CreateStores | Self::ListStores => "system",
            _ => "store",
        }
    }
}

/// Which store says who may call the API, and by which of its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessControl {
    /// The store's id.
    pub store_id: String,
    /// The model's id. Only this one decides, also when the store has a later one.
    pub model_id: String,
}

/// The access control store cannot say who may call the API.
#[derive(Debug, Error)]
pub enum AccessControlError {
    /// There is no such store.
    #[error("there is no FGA store `{0}`")]
    NoStore(String),
    /// The store has no such model.
    #[error("FGA store `{store_id}` has no model `{model_id}`")]
    NoModel {
        /// The store.
        store_id: String,
        /// The model.
        model_id: String,
    },
    /// The model cannot be asked what access control asks.
    #[error("model `{model_id}` lacks {what}")]
    Lacks {
        /// The model.
        model_id: String,
        /// The relation.
        what: String,
    },
    /// It could not be looked up.
    #[error(transparent)]
    Authz(#[from] AuthzError),
}

/// One version of the access control store: several questions asked of it agree with each other.
#[derive(Clone, Debug)]
pub struct Access(At);

impl Access {
    /// May the application call what needs this right, for the store?
    pub fn may(&self, application: &str, right: ApiRight, store_id: &str) -> bool {
        let object = right.object(store_id);
        let contextual: &[TupleKey] = match right.type_name() {
            "system" => &[],
            _ => &[of_system(store_id)],
        };
        self.ask(application, right.relation(), &object, contextual)
    }

    /// May the application write tuples of this module of the store?
    pub fn may_write_module(&self, application: &str, store_id: &str, module: &str) -> bool {
        let object = module_object(store_id, module);
        let contextual = [of_system(store_id), of_store(store_id, module)];
        self.ask(application, ApiRight::Write.relation(), &object, &contextual)
    }

    /// What cannot be asked is denied.
    fn ask(
        &self,
        application: &str,
        relation: &str,
        object: &str,
        contextual_tuples: &[TupleKey],
    ) -> bool {
        // A client's id may be any text; none may be read as a group or as everybody.
        if application.is_empty() || application == "*" || application.contains('#') {
            return false;
        }
        let user = format!("application:{application}");
        let request = RequestContext { contextual_tuples, ..RequestContext::default() };
        let check = CheckRequest { user: &user, relation, object, request };
        self.0.check(&check).unwrap_or_else(|error| {
            tracing::warn!(%error, user, relation, object, "access control denies");
            false
        })
    }
}

impl Authz {
    /// The newest version of the access control store.
    ///
    /// # Errors
    /// When it is gone, or cannot be read.
    pub async fn access(&self, control: &AccessControl) -> Result<Access, AuthzError> {
        let query = Query { store_id: &control.store_id, model_id: Some(&control.model_id) };
        Ok(Access(self.at(query).await?))
    }

    /// Looks whether the access control store can be asked what access control asks.
    ///
    /// # Errors
    /// When the store or its model is not there, or the model lacks a relation.
    pub async fn verify_access_control(
        &self,
        control: &AccessControl,
    ) -> Result<(), AccessControlError> {
        let AccessControl { store_id, model_id } = control;
        let access = self.access(control).await.map_err(|error| match error {
            AuthzError::StoreNotFound => AccessControlError::NoStore(store_id.clone()),
            AuthzError::ModelNotFound(_) | AuthzError::NoModel(_) => AccessControlError::NoModel {
                store_id: store_id.clone(),
                model_id: model_id.clone(),
            },
            error => AccessControlError::Authz(error),
        })?;
        let lacks = |what| AccessControlError::Lacks { model_id: model_id.clone(), what };
        let bound = access.0.model();
        let model = bound.model();
        if !model.type_definitions.iter().any(|of| of.type_name == "application") {
            return Err(lacks("the type `application`".to_owned()));
        }
        let needed = ApiRight::ALL.map(|right| (right.type_name(), right.relation()));
        for (of, relation) in needed.into_iter().chain([("module", ApiRight::Write.relation())]) {
            if !has_relation(model, of, relation) {
                return Err(lacks(format!("the relation `{relation}` of the type `{of}`")));
            }
        }
        for (tuple, what) in [
            (of_system(store_id), "`define system: [system]` in the type `store`"),
            (of_store(store_id, "x"), "`define store: [store]` in the type `module`"),
        ] {
            bound.validate_tuple(&tuple).map_err(|_| lacks(what.to_owned()))?;
        }
        Ok(())
    }
}

/// The module that a relation of a type belongs to: its own, else the type's. `None` when the model
/// has no such relation, empty when it belongs to none.
pub(crate) fn module_of<'m>(
    model: &'m AuthorizationModel,
    object_type: &str,
    relation: &str,
) -> Option<&'m str> {
    let of = model.type_definitions.iter().find(|of| of.type_name == object_type)?;
    of.relations.get(relation)?;
    let Some(metadata) = &of.metadata else { return Some("") };
    let own = metadata.relations.as_ref().and_then(|relations| relations.get(relation));
    let own = own.map(|of| of.module.as_str()).filter(|module| !module.is_empty());
    Some(own.unwrap_or(&metadata.module))
}

impl At {
    /// The modules that the relations of these objects belong to, each once; `None` when one of them
    /// belongs to no module, or is not in the model.
    pub fn modules<'t>(
        &self,
        tuples: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Option<Vec<&str>> {
        let mut modules: Vec<&str> = Vec::new();
        for (object, relation) in tuples {
            let (object_type, _) = object.split_once(':')?;
            let module = module_of(self.model().model(), object_type, relation)?;
            if module.is_empty() {
                return None;
            }
            if !modules.contains(&module) {
                modules.push(module);
            }
        }
        Some(modules)
    }
}

fn has_relation(model: &AuthorizationModel, type_name: &str, relation: &str) -> bool {
    let mut definitions = model.type_definitions.iter();
    definitions.any(|of| of.type_name == type_name && of.relations.contains_key(relation))
}

fn module_object(store_id: &str, module: &str) -> String {
    format!("module:{store_id}|{module}")
}

fn of_system(store_id: &str) -> TupleKey {
    TupleKey::new(SYSTEM, OF_SYSTEM, format!("store:{store_id}"))
}

fn of_store(store_id: &str, module: &str) -> TupleKey {
    TupleKey::new(format!("store:{store_id}"), OF_STORE, module_object(store_id, module))
}
