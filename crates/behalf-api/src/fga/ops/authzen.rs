//! AuthZEN 1.0: may this subject do this action to this resource, and who may do what to which.
//!
//! A subject is a user, an action a relation, a resource an object. Properties become values for
//! conditions, named `subject_…`, `resource_…` and `action_…`; the request's own context wins.

use behalf_authz::engine::{CheckRequest, ListObjectsRequest, RequestContext, User};
use behalf_authz::{At, AuthzError};
use prost_types::Struct;
use serde_json::{Map, Value, json};

use super::list::{Bounds, UsersOf, in_the_background};
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{map_of, struct_of};
use crate::fga::error::FgaError;
use crate::fga::rules::{self, In};
use crate::fga::wire::authzen_v1 as az;
use az::EvaluationsSemantic as Semantic;

/// Evaluations of one request at most.
const MAX_EVALUATIONS: usize = 50;
/// Results of a page, unless the request says how many.
const PAGE: u32 = 50;
/// Results of a page at most.
const MAX_PAGE: u32 = 1000;

impl Call {
    pub(in crate::fga) async fn evaluation(
        &self,
        request: az::EvaluationRequest,
    ) -> Result<Answer<az::EvaluationResponse>, FgaError> {
        let is = In("EvaluationRequest");
        is.store_id(&request.store_id)?;
        let subject = is.required("Subject", request.subject)?;
        let resource = is.required("Resource", request.resource)?;
        let action = is.required("Action", request.action)?;
        rules::access(is, Some(&subject), Some(&resource), Some(&action))?;
        let asked = Asked::new(&subject, &resource, &action, request.context);
        let at = self.at(&request.store_id, &self.model_header).await?;
        let decision = at.check(&asked.request()).map_err(AuthzError::from)?;
        let answer = az::EvaluationResponse { decision, context: None };
        Ok(Answer::new(answer, Stamp::of(request.store_id, &at)))
    }

    pub(in crate::fga) async fn evaluations(
        &self,
        request: az::EvaluationsRequest,
    ) -> Result<Answer<az::EvaluationsResponse>, FgaError> {
        let is = In("EvaluationsRequest");
        is.store_id(&request.store_id)?;
        let options = request.options.unwrap_or_default();
        let semantic = Semantic::try_from(options.evaluations_semantic).map_err(|_| {
            FgaError::field(
                "EvaluationsOptions",
                "EvaluationsSemantic",
                "value must be one of the defined enum values",
            )
            .within(is.0, "Options")
        })?;
        rules::access(
            is,
            request.subject.as_ref(),
            request.resource.as_ref(),
            request.action.as_ref(),
        )?;
        if request.evaluations.len() > MAX_EVALUATIONS {
            return Err(FgaError::validation(format!(
                "{} evaluations were received, the maximum allowed is {MAX_EVALUATIONS}",
                request.evaluations.len()
            )));
        }
        let mut items = request.evaluations;
        if items.is_empty() {
            items.push(az::EvaluationsItemRequest::default());
        }
        let mut asked = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let of_item = In("EvaluationsItemRequest");
            let parts = (item.subject.as_ref(), item.resource.as_ref(), item.action.as_ref());
            is.nested(
                &format!("Evaluations[{index}]"),
                rules::access(of_item, parts.0, parts.1, parts.2),
            )?;
            let missing =
                |what: &str| FgaError::validation(format!("evaluation {index}: missing {what}"));
            let subject = item.subject.or_else(|| request.subject.clone());
            let resource = item.resource.or_else(|| request.resource.clone());
            let action = item.action.or_else(|| request.action.clone());
            asked.push(Asked::new(
                &subject.ok_or_else(|| missing("subject"))?,
                &resource.ok_or_else(|| missing("resource"))?,
                &action.ok_or_else(|| missing("action"))?,
                item.context.or_else(|| request.context.clone()),
            ));
        }
        let at = self.at(&request.store_id, &self.model_header).await?;
        let answer = az::EvaluationsResponse { evaluations: evaluate(&at, &asked, semantic) };
        Ok(Answer::new(answer, Stamp::of(request.store_id, &at)))
    }

    pub(in crate::fga) async fn resource_search(
        &self,
        request: az::ResourceSearchRequest,
    ) -> Result<Answer<az::ResourceSearchResponse>, FgaError> {
        let is = In("ResourceSearchRequest");
        is.store_id(&request.store_id)?;
        let subject = is.required("Subject", request.subject)?;
        let action = is.required("Action", request.action)?;
        let filter = is.required("Resource", request.resource)?;
        rules::access(is, Some(&subject), None, Some(&action))?;
        is.nested("Resource", rules::filter(In("ResourceFilter"), &filter.r#type))?;
        let page = PageOf::new(is, request.page.as_ref())?;
        let context = context_of(
            request.context,
            [
                ("subject", subject.properties.as_ref()),
                ("resource", filter.properties.as_ref()),
                ("action", action.properties.as_ref()),
            ],
        );
        let at = self.at(&request.store_id, &self.model_header).await?;
        let stamp = Stamp::of(request.store_id, &at);
        let object_type = filter.r#type.clone();
        let objects = in_the_background(move || {
            at.list_objects(&ListObjectsRequest {
                user: &format!("{}:{}", subject.r#type, subject.id),
                relation: &action.name,
                object_type: &object_type,
                request: RequestContext { context: context.as_ref(), ..RequestContext::default() },
            })
        });
        let ids = objects
            .await?
            .into_iter()
            .filter_map(|object| object.split_once(':').map(|(_, id)| id.to_owned()));
        let (ids, page) = page.cut(ids.collect());
        let resource = |id| az::Resource { r#type: filter.r#type.clone(), id, properties: None };
        let results = ids.into_iter().map(resource).collect();
        let answer = az::ResourceSearchResponse { results, page: Some(page) };
        Ok(Answer::new(answer, stamp))
    }

    pub(in crate::fga) async fn subject_search(
        &self,
        request: az::SubjectSearchRequest,
    ) -> Result<Answer<az::SubjectSearchResponse>, FgaError> {
        let is = In("SubjectSearchRequest");
        is.store_id(&request.store_id)?;
        let resource = is.required("Resource", request.resource)?;
        let action = is.required("Action", request.action)?;
        let filter = is.required("Subject", request.subject)?;
        rules::access(is, None, Some(&resource), Some(&action))?;
        is.nested("Subject", rules::filter(In("SubjectFilter"), &filter.r#type))?;
        let page = PageOf::new(is, request.page.as_ref())?;
        let context = context_of(
            request.context,
            [
                ("subject", filter.properties.as_ref()),
                ("resource", resource.properties.as_ref()),
                ("action", action.properties.as_ref()),
            ],
        );
        let asked = UsersOf {
            object: format!("{}:{}", resource.r#type, resource.id),
            relation: action.name,
            type_name: filter.r#type.clone(),
            of_relation: None,
            contextual: Vec::new(),
            context,
        };
        let at = self.at(&request.store_id, &self.model_header).await?;
        let stamp = Stamp::of(request.store_id, &at);
        // A wildcard is the subject `*`: everybody of the type.
        let ids =
            asked.ask(at, Bounds::default()).await?.items.into_iter().filter_map(
                |user| match user {
                    User::Object { id, .. } => Some(id),
                    User::Wildcard { .. } => Some("*".to_owned()),
                    User::Userset { .. } => None,
                },
            );
        let (ids, page) = page.cut(ids.collect());
        let subject = |id| az::Subject { r#type: filter.r#type.clone(), id, properties: None };
        let results = ids.into_iter().map(subject).collect();
        Ok(Answer::new(az::SubjectSearchResponse { results, page: Some(page) }, stamp))
    }

    pub(in crate::fga) async fn action_search(
        &self,
        request: az::ActionSearchRequest,
    ) -> Result<Answer<az::ActionSearchResponse>, FgaError> {
        let is = In("ActionSearchRequest");
        is.store_id(&request.store_id)?;
        let subject = is.required("Subject", request.subject)?;
        let resource = is.required("Resource", request.resource)?;
        rules::access(is, Some(&subject), Some(&resource), None)?;
        let page = PageOf::new(is, request.page.as_ref())?;
        let at = self.at(&request.store_id, &self.model_header).await?;
        let definitions = &at.model().model().type_definitions;
        let definition = definitions.iter().find(|known| known.type_name == resource.r#type);
        let definition = definition
            .ok_or_else(|| FgaError::new(2021, format!("type '{}' not found", resource.r#type)))?;
        let asked: Vec<Asked> = definition
            .relations
            .keys()
            .map(|relation| {
                let action = az::Action { name: relation.clone(), properties: None };
                Asked::new(&subject, &resource, &action, request.context.clone())
            })
            .collect();
        let requests: Vec<_> = asked.iter().map(Asked::request).collect();
        // A relation whose check is an error is none that the subject is known to have.
        let allowed = asked.iter().zip(at.batch_check(&requests));
        let names = allowed.filter(|(_, answer)| matches!(answer, Ok(true)));
        let (names, page) = page.cut(names.map(|(asked, _)| asked.relation.clone()).collect());
        let results = names.into_iter().map(|name| az::Action { name, properties: None });
        let answer = az::ActionSearchResponse { results: results.collect(), page: Some(page) };
        Ok(Answer::new(answer, Stamp::of(request.store_id, &at)))
    }
}

/// An evaluation as it is put to the engine.
struct Asked {
    user: String,
    relation: String,
    object: String,
    context: Option<Map<String, Value>>,
}

impl Asked {
    fn new(
        subject: &az::Subject,
        resource: &az::Resource,
        action: &az::Action,
        context: Option<Struct>,
    ) -> Self {
        let properties = [
            ("subject", subject.properties.as_ref()),
            ("resource", resource.properties.as_ref()),
            ("action", action.properties.as_ref()),
        ];
        Self {
            user: format!("{}:{}", subject.r#type, subject.id),
            relation: action.name.clone(),
            object: format!("{}:{}", resource.r#type, resource.id),
            context: context_of(context, properties),
        }
    }

    fn request(&self) -> CheckRequest<'_> {
        CheckRequest {
            user: &self.user,
            relation: &self.relation,
            object: &self.object,
            request: RequestContext { context: self.context.as_ref(), ..RequestContext::default() },
        }
    }
}

fn context_of(
    context: Option<Struct>,
    properties: [(&str, Option<&Struct>); 3],
) -> Option<Map<String, Value>> {
    let mut merged = Map::new();
    for (prefix, properties) in properties {
        for (name, value) in properties.cloned().map(map_of).unwrap_or_default() {
            merged.insert(format!("{prefix}_{name}"), value);
        }
    }
    merged.extend(context.map(map_of).unwrap_or_default());
    (!merged.is_empty()).then_some(merged)
}

/// Evaluates in order, until the semantic has its answer.
fn evaluate(at: &At, asked: &[Asked], semantic: Semantic) -> Vec<az::EvaluationResponse> {
    let response = |answer| match answer {
        Ok(decision) => az::EvaluationResponse { decision, context: None },
        Err(error) => {
            let error = FgaError::from(AuthzError::from(error));
            let status = error.status().as_u16();
            let context = json!({"error": {"status": status, "message": error.message()}});
            let context = context.as_object().cloned().map(struct_of);
            az::EvaluationResponse { decision: false, context }
        }
    };
    if semantic == Semantic::ExecuteAll {
        let requests: Vec<_> = asked.iter().map(Asked::request).collect();
        return at.batch_check(&requests).into_iter().map(response).collect();
    }
    let mut responses = Vec::new();
    for asked in asked {
        let response = response(at.check(&asked.request()));
        let is_last = response.decision == (semantic == Semantic::PermitOnFirstPermit);
        responses.push(response);
        if is_last {
            break;
        }
    }
    responses
}

/// Which page of a search was asked for.
pub(super) struct PageOf {
    /// The last result of the page before.
    after: Option<String>,
    limit: usize,
}

impl PageOf {
    pub(super) fn new(is: In, page: Option<&az::PageRequest>) -> Result<Self, FgaError> {
        let limit = page.and_then(|page| page.limit).unwrap_or(PAGE);
        let of_page = In("PageRequest");
        let reason = || format!("value must be less than or equal to {MAX_PAGE}");
        is.nested("Page", of_page.holds("Limit", limit <= MAX_PAGE, reason))?;
        // As in other interfaces, zero means that nothing was said.
        let limit = if limit == 0 { PAGE } else { limit };
        let token = page.and_then(|page| page.token.as_deref()).unwrap_or_default();
        let after = match token {
            "" => None,
            token => Some(
                behalf_authz::from_hex(token)
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| FgaError::new(2007, "Invalid continuation token"))?,
            ),
        };
        Ok(Self { after, limit: limit as usize })
    }

    /// The page's results in order, and what is said about the page.
    pub(super) fn cut(self, mut results: Vec<String>) -> (Vec<String>, az::PageResponse) {
        results.sort_unstable();
        let total = u32::try_from(results.len()).ok();
        if let Some(after) = &self.after {
            results.drain(..results.partition_point(|result| result <= after));
        }
        let has_more = results.len() > self.limit;
        results.truncate(self.limit);
        let next = results.last().filter(|_| has_more);
        let page = az::PageResponse {
            next_token: next.map(|last| behalf_verify::hex(last.as_bytes())).unwrap_or_default(),
            count: u32::try_from(results.len()).unwrap_or(u32::MAX),
            total,
        };
        (results, page)
    }
}

/// The discovery document of a store: where each question is asked. The addresses are the issuer's,
/// never those of a request.
pub(in crate::fga) fn configuration(
    issuer: &str,
    request: &az::GetConfigurationRequest,
) -> Result<az::GetConfigurationResponse, FgaError> {
    In("GetConfigurationRequest").store_id(&request.store_id)?;
    let store = format!("{issuer}stores/{}", request.store_id);
    let at = |path: &str| format!("{store}/access/v1/{path}");
    Ok(az::GetConfigurationResponse {
        access_evaluation_endpoint: at("evaluation"),
        access_evaluations_endpoint: at("evaluations"),
        search_subject_endpoint: at("search/subject"),
        search_resource_endpoint: at("search/resource"),
        search_action_endpoint: at("search/action"),
        policy_decision_point: store.clone(),
        capabilities: Vec::new(),
        signed_metadata: None,
    })
}
