//! The log of changes.

use behalf_authz::ChangesQuery;

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{message_of, time_of, timestamp_of};
use crate::fga::error::FgaError;
use crate::fga::rules::In;
use crate::fga::wire::openfga_v1 as pb;

impl Call {
    pub(in crate::fga) async fn read_changes(
        &self,
        request: pb::ReadChangesRequest,
    ) -> Result<Answer<pb::ReadChangesResponse>, FgaError> {
        let is = In("ReadChangesRequest");
        is.store_id(&request.store_id)?;
        if !request.r#type.is_empty() {
            is.type_name(&request.r#type)?;
        }
        let is_positive = request.page_size.is_none_or(|size| size > 0);
        is.holds("PageSize", is_positive, || "value must be greater than or equal to 1")?;
        let size = is.page_size(request.page_size)?;
        is.token(&request.continuation_token)?;
        let start = match &request.start_time {
            None => None,
            Some(time) => {
                let start =
                    timestamp_of(time).ok_or_else(|| FgaError::new(2059, "Invalid start time"))?;
                let is_past = start < self.context.identity.now();
                is.holds("StartTime", is_past, || "value must be less than now")?;
                Some(start)
            }
        };
        self.enter(&request.store_id).await?;
        let horizon = self.context.fga_limits.changelog_horizon;
        let until = self.context.identity.now().minus(horizon);
        let query = ChangesQuery {
            object_type: &request.r#type,
            size: size as usize,
            token: &request.continuation_token,
            start,
            until: (!horizon.is_zero()).then_some(until),
        };
        let changes = self.context.authz.read_changes(&request.store_id, query).await?;
        let message = |change: behalf_authz::TupleChange| {
            let operation = if change.is_delete {
                pb::TupleOperation::Delete
            } else {
                pb::TupleOperation::Write
            };
            pb::TupleChange {
                tuple_key: Some(message_of(change.tuple)),
                operation: operation.into(),
                timestamp: Some(time_of(change.at)),
            }
        };
        let answer = pb::ReadChangesResponse {
            changes: changes.items.into_iter().map(message).collect(),
            continuation_token: changes.token,
        };
        let revision = u64::try_from(changes.revision).unwrap_or_default();
        Ok(Answer::new(answer, Stamp::at(request.store_id, revision)))
    }
}
