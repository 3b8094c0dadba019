//! AuthZEN's requests and answers as JSON.

use serde_json::{Value, json};

use super::body::Read;
use super::object::Object;
use super::read::context;
use crate::fga::convert::map_of;
use crate::fga::error::FgaError;
use crate::fga::wire::authzen_v1 as az;

type Result<T> = std::result::Result<T, FgaError>;

fn subject(of: &Object<'_>) -> Result<Option<az::Subject>> {
    let Some(of) = of.object("subject")? else { return Ok(None) };
    Ok(Some(az::Subject {
        r#type: of.text("type")?,
        id: of.text("id")?,
        properties: context(&of, "properties")?,
    }))
}

fn resource(of: &Object<'_>) -> Result<Option<az::Resource>> {
    let Some(of) = of.object("resource")? else { return Ok(None) };
    Ok(Some(az::Resource {
        r#type: of.text("type")?,
        id: of.text("id")?,
        properties: context(&of, "properties")?,
    }))
}

fn action(of: &Object<'_>) -> Result<Option<az::Action>> {
    let Some(of) = of.object("action")? else { return Ok(None) };
    Ok(Some(az::Action { name: of.text("name")?, properties: context(&of, "properties")? }))
}

fn page(of: &Object<'_>) -> Result<Option<az::PageRequest>> {
    let Some(of) = of.object("page")? else { return Ok(None) };
    let limit = of.int("limit")?.map(u32::try_from).transpose();
    Ok(Some(az::PageRequest {
        token: of.optional_text("token")?,
        limit: limit.map_err(|_| FgaError::validation("invalid value for uint32 field limit"))?,
    }))
}

impl Read for az::EvaluationRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            store_id: String::new(),
            subject: subject(of)?,
            resource: resource(of)?,
            action: action(of)?,
            context: context(of, "context")?,
        })
    }
}

impl Read for az::EvaluationsRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let item = |of: &Object<'_>| {
            Ok(az::EvaluationsItemRequest {
                subject: subject(of)?,
                resource: resource(of)?,
                action: action(of)?,
                context: context(of, "context")?,
            })
        };
        let options = of.object("options")?.map(|options| {
            let semantic = options.variant("evaluations_semantic", |name| {
                az::EvaluationsSemantic::from_str_name(name).map(|semantic| semantic as i32)
            });
            semantic.map(|evaluations_semantic| az::EvaluationsOptions { evaluations_semantic })
        });
        Ok(Self {
            store_id: String::new(),
            subject: subject(of)?,
            action: action(of)?,
            resource: resource(of)?,
            context: context(of, "context")?,
            evaluations: of.list("evaluations", item)?,
            options: options.transpose()?,
        })
    }
}

impl Read for az::SubjectSearchRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let filter = subject(of)?.map(|az::Subject { r#type, id, properties }| az::SubjectFilter {
            r#type,
            id: Some(id),
            properties,
        });
        Ok(Self {
            store_id: String::new(),
            resource: resource(of)?,
            action: action(of)?,
            subject: filter,
            context: context(of, "context")?,
            page: page(of)?,
        })
    }
}

impl Read for az::ResourceSearchRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let filter = resource(of)?.map(|az::Resource { r#type, id, properties }| {
            az::ResourceFilter { r#type, id: Some(id), properties }
        });
        Ok(Self {
            store_id: String::new(),
            subject: subject(of)?,
            action: action(of)?,
            resource: filter,
            context: context(of, "context")?,
            page: page(of)?,
        })
    }
}

impl Read for az::ActionSearchRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            store_id: String::new(),
            subject: subject(of)?,
            resource: resource(of)?,
            context: context(of, "context")?,
            page: page(of)?,
        })
    }
}

pub(in crate::fga) fn evaluation_json(answer: &az::EvaluationResponse) -> Value {
    match &answer.context {
        None => json!({"decision": answer.decision}),
        Some(context) => json!({"decision": answer.decision, "context": map_of(context.clone())}),
    }
}

pub(in crate::fga) fn evaluations_json(answer: &az::EvaluationsResponse) -> Value {
    let evaluations: Vec<Value> = answer.evaluations.iter().map(evaluation_json).collect();
    json!({"evaluations": evaluations})
}

fn page_json(page: Option<&az::PageResponse>) -> Value {
    page.map_or(
        Value::Null,
        |page| json!({"next_token": page.next_token, "count": page.count, "total": page.total}),
    )
}

pub(in crate::fga) fn subjects_json(answer: &az::SubjectSearchResponse) -> Value {
    let one = |subject: &az::Subject| json!({"type": subject.r#type, "id": subject.id});
    let results: Vec<Value> = answer.results.iter().map(one).collect();
    json!({"results": results, "page": page_json(answer.page.as_ref())})
}

pub(in crate::fga) fn resources_json(answer: &az::ResourceSearchResponse) -> Value {
    let one = |resource: &az::Resource| json!({"type": resource.r#type, "id": resource.id});
    let results: Vec<Value> = answer.results.iter().map(one).collect();
    json!({"results": results, "page": page_json(answer.page.as_ref())})
}

pub(in crate::fga) fn actions_json(answer: &az::ActionSearchResponse) -> Value {
    let one = |action: &az::Action| json!({"name": action.name});
    let results: Vec<Value> = answer.results.iter().map(one).collect();
    json!({"results": results, "page": page_json(answer.page.as_ref())})
}

pub(in crate::fga) fn configuration_json(answer: &az::GetConfigurationResponse) -> Value {
    json!({
        "policy_decision_point": answer.policy_decision_point,
        "access_evaluation_endpoint": answer.access_evaluation_endpoint,
        "access_evaluations_endpoint": answer.access_evaluations_endpoint,
        "search_subject_endpoint": answer.search_subject_endpoint,
        "search_resource_endpoint": answer.search_resource_endpoint,
        "search_action_endpoint": answer.search_action_endpoint,
        "capabilities": answer.capabilities,
    })
}
