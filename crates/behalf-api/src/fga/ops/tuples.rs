//! Tuples: written, deleted, read.

use behalf_authz::TupleFilter;
use behalf_authz::engine::{OnConflict, WriteRequest};

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{delete_key_of, message_of, time_of, tuples_of};
use crate::fga::error::FgaError;
use crate::fga::rules::{self, In};
use crate::fga::wire::openfga_v1 as pb;

impl Call {
    pub(in crate::fga) async fn write(
        &self,
        request: pb::WriteRequest,
    ) -> Result<Answer<pb::WriteResponse>, FgaError> {
        let is = In("WriteRequest");
        is.store_id(&request.store_id)?;
        if let Some(writes) = &request.writes {
            is.nested("Writes", check_writes(writes))?;
        }
        if let Some(deletes) = &request.deletes {
            is.nested("Deletes", check_deletes(deletes))?;
        }
        is.model_id(&request.authorization_model_id)?;
        let (writes, deletes) =
            (request.writes.unwrap_or_default(), request.deletes.unwrap_or_default());
        let write = WriteRequest {
            on_duplicate: on_conflict(&writes.on_duplicate, "on_duplicate")?,
            on_missing: on_conflict(&deletes.on_missing, "on_missing")?,
            writes: tuples_of(writes.tuple_keys),
            deletes: deletes.tuple_keys.into_iter().map(delete_key_of).collect(),
            now_micros: None,
            max_tuples: Some(self.context.fga_limits.max_tuples_per_write),
        };
        let model_id = Some(request.authorization_model_id).filter(|id| !id.is_empty());
        let model_id = self.enter_to_write(&request.store_id, model_id, &write).await?;
        let authz = &self.context.authz;
        let revision =
            authz.write(&request.store_id, model_id.as_deref(), &write, self.author()).await?;
        let stamp = Stamp {
            store_id: request.store_id,
            model_id: model_id.unwrap_or_default(),
            revision: u64::try_from(revision).ok(),
            is_cut: false,
        };
        Ok(Answer::new(pb::WriteResponse {}, stamp))
    }

    /// The seven shapes of OpenFGA's Read: with a key, the object's type is needed; `type:` alone
    /// needs a user.
    pub(in crate::fga) async fn read(
        &self,
        request: pb::ReadRequest,
    ) -> Result<Answer<pb::ReadResponse>, FgaError> {
        let is = In("ReadRequest");
        is.store_id(&request.store_id)?;
        if let Some(key) = &request.tuple_key {
            is.nested("TupleKey", rules::read_key(key))?;
        }
        let size = is.page_size(request.page_size)?;
        is.token(&request.continuation_token)?;
        is.consistency(request.consistency)?;
        if let Some(key) = &request.tuple_key
            && !is_shape(key)
        {
            let text = "the 'tuple_key' field was provided but the object type field is required \
                        and both the object id and user cannot be empty";
            return Err(FgaError::validation(text));
        }
        let pb::ReadRequestTupleKey { user, relation, object } =
            request.tuple_key.unwrap_or_default();
        self.enter(&request.store_id).await?;
        let filter = TupleFilter { user, relation, object };
        let authz = &self.context.authz;
        let (size, after) = (size as usize, &request.continuation_token);
        let (page, revision) =
            authz.read_with_times(&request.store_id, &filter, size, after).await?;
        let tuples = page.items.into_iter().map(|(tuple, time)| pb::Tuple {
            key: Some(message_of(tuple)),
            timestamp: Some(time_of(time)),
        });
        let answer = pb::ReadResponse {
            tuples: tuples.collect(),
            continuation_token: page.next.unwrap_or_default(),
        };
        Ok(Answer::new(answer, Stamp::at(request.store_id, revision)))
    }
}

fn check_writes(writes: &pb::WriteRequestWrites) -> Result<(), FgaError> {
    let is = In("WriteRequestWrites");
    is.at_least_one("TupleKeys", writes.tuple_keys.len())?;
    writes
        .tuple_keys
        .iter()
        .enumerate()
        .try_for_each(|(index, tuple)| is.item("TupleKeys", index, rules::tuple_key(tuple)))
}

fn check_deletes(deletes: &pb::WriteRequestDeletes) -> Result<(), FgaError> {
    let is = In("WriteRequestDeletes");
    is.at_least_one("TupleKeys", deletes.tuple_keys.len())?;
    deletes
        .tuple_keys
        .iter()
        .enumerate()
        .try_for_each(|(index, key)| is.item("TupleKeys", index, rules::delete_key(key)))
}

fn on_conflict(value: &str, option: &str) -> Result<OnConflict, FgaError> {
    match value {
        "" | "error" => Ok(OnConflict::Error),
        "ignore" => Ok(OnConflict::Ignore),
        _ => Err(FgaError::validation(format!("invalid {option} option: {value}"))),
    }
}

/// True if the key names an object, or a type and a user. An empty key is none at all: some clients
/// send one when they mean everything.
fn is_shape(key: &pb::ReadRequestTupleKey) -> bool {
    if key.user.is_empty() && key.relation.is_empty() && key.object.is_empty() {
        return true;
    }
    match key.object.split_once(':') {
        Some((name, "")) => !name.is_empty() && !key.user.is_empty(),
        Some((name, _)) => !name.is_empty(),
        None => false,
    }
}
