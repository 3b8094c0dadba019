//! Models: written, listed, never changed.

use behalf_authz::engine::AuthorizationModel;
use behalf_store::StoreError;
use prost::Message as _;

use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::error::FgaError;
use crate::fga::model_wire::{model_message, model_of};
use crate::fga::rules::{self, In};
use crate::fga::wire::openfga_v1 as pb;

/// Types of one model at most.
const MAX_TYPES: usize = 100;
/// A model as a message, in bytes.
const MAX_BYTES: usize = 256 * 1024;

impl Call {
    /// Writes a model that came as a message.
    pub(in crate::fga) async fn write_model_message(
        &self,
        request: pb::WriteAuthorizationModelRequest,
    ) -> Result<Answer<pb::WriteAuthorizationModelResponse>, FgaError> {
        let store_id = request.store_id.clone();
        let model = model_of(request)?;
        self.write_model(store_id, model).await
    }

    pub(in crate::fga) async fn write_model(
        &self,
        store_id: String,
        model: AuthorizationModel,
    ) -> Result<Answer<pb::WriteAuthorizationModelResponse>, FgaError> {
        self.check_model(&store_id, &model)?;
        self.enter(&store_id).await?;
        let authz = &self.context.authz;
        let model_id = authz.write_model(&store_id, model, self.author()).await?;
        let stamp = Stamp { model_id: model_id.clone(), ..Stamp::store(store_id) };
        let answer = pb::WriteAuthorizationModelResponse { authorization_model_id: model_id };
        Ok(Answer::new(answer, stamp))
    }

    /// The wire's rules for a model.
    pub(in crate::fga) fn check_model(
        &self,
        store_id: &str,
        model: &AuthorizationModel,
    ) -> Result<(), FgaError> {
        let is = In("WriteAuthorizationModelRequest");
        is.store_id(store_id)?;
        let message = model_message(String::new(), model.clone());
        rules::model(&message)?;
        if model.type_definitions.len() > MAX_TYPES {
            return Err(FgaError::new(
                2053,
                format!(
                    "The number of type definitions in an authorization model exceeds the allowed \
                     limit of {MAX_TYPES}"
                ),
            ));
        }
        let bytes = message.encoded_len();
        if bytes > MAX_BYTES {
            let text = format!("model exceeds size limit: {bytes} bytes vs {MAX_BYTES} bytes");
            return Err(FgaError::new(2053, text));
        }
        Ok(())
    }

    pub(in crate::fga) async fn read_model(
        &self,
        request: pb::ReadAuthorizationModelRequest,
    ) -> Result<Answer<pb::ReadAuthorizationModelResponse>, FgaError> {
        let is = In("ReadAuthorizationModelRequest");
        is.store_id(&request.store_id)?;
        is.id("Id", &request.id)?;
        self.enter(&request.store_id).await?;
        let authz = &self.context.authz;
        let (id, model) = authz.load_model(&request.store_id, Some(&request.id)).await?;
        let stamp = Stamp { model_id: id.clone(), ..Stamp::store(request.store_id) };
        let authorization_model = Some(stored(id, &model)?);
        Ok(Answer::new(pb::ReadAuthorizationModelResponse { authorization_model }, stamp))
    }

    /// Newest first.
    pub(in crate::fga) async fn read_models(
        &self,
        request: pb::ReadAuthorizationModelsRequest,
    ) -> Result<Answer<pb::ReadAuthorizationModelsResponse>, FgaError> {
        let is = In("ReadAuthorizationModelsRequest");
        is.store_id(&request.store_id)?;
        let size = is.page_size(request.page_size)?;
        is.token(&request.continuation_token)?;
        self.enter(&request.store_id).await?;
        let authz = &self.context.authz;
        let page = authz.list_models(&request.store_id, size, &request.continuation_token).await?;
        let models = page.items.into_iter().map(|(id, model)| stored(id, &model));
        let answer = pb::ReadAuthorizationModelsResponse {
            authorization_models: models.collect::<Result<_, _>>()?,
            continuation_token: page.next.unwrap_or_default(),
        };
        Ok(Answer::new(answer, Stamp::store(request.store_id)))
    }
}

fn stored(id: String, model: &str) -> Result<pb::AuthorizationModel, FgaError> {
    let model = AuthorizationModel::from_json(model).map_err(|_| {
        let what = "fga_models.model".to_owned();
        FgaError::from(behalf_authz::AuthzError::from(StoreError::Corrupt { what }))
    })?;
    Ok(model_message(id, model))
}
