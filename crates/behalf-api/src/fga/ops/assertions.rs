//! Assertions of models.

use behalf_authz::{Assertion, Query};

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{map_of, message_of, struct_of, tuples_of};
use crate::fga::error::FgaError;
use crate::fga::rules::In;
use crate::fga::wire::openfga_v1 as pb;

/// Assertions of one model at most.
const MAX_ASSERTIONS: usize = 100;
/// Contextual tuples of one assertion at most.
const MAX_CONTEXTUAL: usize = 20;

impl Call {
    pub(in crate::fga) async fn write_assertions(
        &self,
        request: pb::WriteAssertionsRequest,
    ) -> Result<Answer<pb::WriteAssertionsResponse>, FgaError> {
        let is = In("WriteAssertionsRequest");
        is.store_id(&request.store_id)?;
        is.id("AuthorizationModelId", &request.authorization_model_id)?;
        is.at_most_items("Assertions", request.assertions.len(), MAX_ASSERTIONS)?;
        let mut assertions = Vec::with_capacity(request.assertions.len());
        for (index, assertion) in request.assertions.into_iter().enumerate() {
            let field = format!("Assertions[{index}]");
            let checked = assertion_of(assertion);
            assertions.push(checked.map_err(|error| error.within(is.0, &field))?);
        }
        self.enter(&request.store_id).await?;
        let model_id = Some(request.authorization_model_id.as_str());
        let query = Query { store_id: &request.store_id, model_id };
        let actor = self.author().actor;
        self.context.authz.write_assertions(query, &assertions, actor).await?;
        let stamp =
            Stamp { model_id: request.authorization_model_id, ..Stamp::store(request.store_id) };
        Ok(Answer::new(pb::WriteAssertionsResponse {}, stamp))
    }

    pub(in crate::fga) async fn read_assertions(
        &self,
        request: pb::ReadAssertionsRequest,
    ) -> Result<Answer<pb::ReadAssertionsResponse>, FgaError> {
        let is = In("ReadAssertionsRequest");
        let (store_id, model_id) = (request.store_id, request.authorization_model_id);
        is.store_id(&store_id)?;
        is.id("AuthorizationModelId", &model_id)?;
        self.enter(&store_id).await?;
        let assertions = self.context.authz.read_assertions(&store_id, &model_id).await?;
        let answer = pb::ReadAssertionsResponse {
            authorization_model_id: model_id.clone(),
            assertions: assertions.into_iter().map(message).collect(),
        };
        Ok(Answer::new(answer, Stamp { model_id, ..Stamp::store(store_id) }))
    }
}

fn assertion_of(assertion: pb::Assertion) -> Result<Assertion, FgaError> {
    let is = In("Assertion");
    let key = is.required("TupleKey", assertion.tuple_key)?;
    let of_key = In("AssertionTupleKey");
    is.nested("TupleKey", of_key.object(&key.object))?;
    is.nested("TupleKey", of_key.relation(&key.relation))?;
    is.nested("TupleKey", of_key.at_most_bytes("User", &key.user, 512))?;
    is.flat_contextual(&assertion.contextual_tuples, MAX_CONTEXTUAL)?;
    Ok(Assertion {
        user: key.user,
        relation: key.relation,
        object: key.object,
        expectation: assertion.expectation,
        contextual_tuples: tuples_of(assertion.contextual_tuples),
        context: assertion.context.map(map_of),
    })
}

fn message(assertion: Assertion) -> pb::Assertion {
    let Assertion { user, relation, object, expectation, contextual_tuples, context } = assertion;
    pb::Assertion {
        tuple_key: Some(pb::AssertionTupleKey { object, relation, user }),
        expectation,
        contextual_tuples: contextual_tuples.into_iter().map(message_of).collect(),
        context: context.map(struct_of),
    }
}
