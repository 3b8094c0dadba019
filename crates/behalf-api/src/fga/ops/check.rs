//! Check and batch check.

use std::collections::{BTreeMap, HashSet};

use behalf_authz::AuthzError;
use behalf_authz::engine::{CheckRequest, RequestContext, TupleKey};
use serde_json::{Map, Value};

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{contextual_of, map_of};
use crate::fga::error::FgaError;
use crate::fga::rules::{self, In};
use crate::fga::wire::openfga_v1 as pb;
use pb::batch_check_single_result::CheckResult;
use pb::check_error::Code;

impl Call {
    pub(in crate::fga) async fn check(
        &self,
        request: pb::CheckRequest,
    ) -> Result<Answer<pb::CheckResponse>, FgaError> {
        let is = In("CheckRequest");
        is.store_id(&request.store_id)?;
        let key = is.required("TupleKey", request.tuple_key)?;
        is.nested("TupleKey", rules::check_key(&key))?;
        is.contextual(request.contextual_tuples.as_ref())?;
        is.model_id(&request.authorization_model_id)?;
        is.consistency(request.consistency)?;
        let asked = Asked {
            key,
            contextual: contextual_of(request.contextual_tuples),
            context: request.context.map(map_of),
        };
        let at = self.at(&request.store_id, &request.authorization_model_id).await?;
        let allowed = at.check(&asked.request()).map_err(AuthzError::from)?;
        let answer = pb::CheckResponse { allowed, resolution: String::new() };
        Ok(Answer::new(answer, Stamp::of(request.store_id, &at)))
    }

    pub(in crate::fga) async fn batch_check(
        &self,
        request: pb::BatchCheckRequest,
    ) -> Result<Answer<pb::BatchCheckResponse>, FgaError> {
        let is = In("BatchCheckRequest");
        is.store_id(&request.store_id)?;
        is.at_least_one("Checks", request.checks.len())?;
        for (index, item) in request.checks.iter().enumerate() {
            is.item("Checks", index, check_item(item))?;
        }
        is.model_id(&request.authorization_model_id)?;
        is.consistency(request.consistency)?;
        let most = self.context.fga_limits.max_checks_per_batch;
        if request.checks.len() > most {
            return Err(FgaError::validation(format!(
                "batchCheck received {} checks, the maximum allowed is {most}",
                request.checks.len()
            )));
        }
        let mut ids = HashSet::new();
        for item in &request.checks {
            if !ids.insert(item.correlation_id.as_str()) {
                let text = format!("received duplicate correlation id: {}", item.correlation_id);
                return Err(FgaError::validation(text));
            }
        }
        let asked: Vec<(String, Asked)> = request
            .checks
            .into_iter()
            .map(|item| (item.correlation_id.clone(), item.into()))
            .collect();
        let requests: Vec<_> = asked.iter().map(|(_, asked)| asked.request()).collect();
        let at = self.at(&request.store_id, &request.authorization_model_id).await?;
        let answers = at.batch_check(&requests);
        let result: BTreeMap<_, _> = asked
            .iter()
            .zip(answers)
            .map(|((id, _), answer)| {
                let result = match answer {
                    Ok(is_allowed) => CheckResult::Allowed(is_allowed),
                    Err(error) => CheckResult::Error(check_error(&AuthzError::from(error).into())),
                };
                (id.clone(), pb::BatchCheckSingleResult { check_result: Some(result) })
            })
            .collect();
        let answer = pb::BatchCheckResponse { result };
        Ok(Answer::new(answer, Stamp::of(request.store_id, &at)))
    }
}

/// A check as it is put to the engine.
struct Asked {
    key: pb::CheckRequestTupleKey,
    contextual: Vec<TupleKey>,
    context: Option<Map<String, Value>>,
}

impl Asked {
    fn request(&self) -> CheckRequest<'_> {
        CheckRequest {
            user: &self.key.user,
            relation: &self.key.relation,
            object: &self.key.object,
            request: RequestContext {
                contextual_tuples: &self.contextual,
                context: self.context.as_ref(),
                ..RequestContext::default()
            },
        }
    }
}

impl From<pb::BatchCheckItem> for Asked {
    fn from(item: pb::BatchCheckItem) -> Self {
        Self {
            key: item.tuple_key.unwrap_or_default(),
            contextual: contextual_of(item.contextual_tuples),
            context: item.context.map(map_of),
        }
    }
}

fn check_item(item: &pb::BatchCheckItem) -> Result<(), FgaError> {
    let is = In("BatchCheckItem");
    let key = is.required("TupleKey", item.tuple_key.as_ref())?;
    is.nested("TupleKey", rules::check_key(key))?;
    is.contextual(item.contextual_tuples.as_ref())?;
    rules::correlation_id(&item.correlation_id)
}

fn check_error(error: &FgaError) -> pb::CheckError {
    let number = i32::from(error.number());
    let code =
        if error.is_input() { Code::InputError(number) } else { Code::InternalError(number) };
    pb::CheckError { message: error.message().to_owned(), code: Some(code) }
}
