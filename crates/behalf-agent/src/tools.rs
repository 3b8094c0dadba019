//! The built-in tools. A tool says what its calls need and the gate decides; here is what is sent
//! once the gate has let a call through, and how to look whether it arrived.
//!
//! **Invariant:** a token is in `Started` only, never in an output, an event or a log.

mod documents;
mod gist;
mod github;
mod repositories;
mod schema;

use behalf_core::{ConnectionName, Timestamp, UserId};
use behalf_egress::Egress;
use behalf_gate::{Effect, Started, ToolSpec};
use behalf_retrieval::Retrieval;
use serde_json::{Map, Value, json};

/// What an effect brought, and what of it is known to be from documents.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) effect: Effect,
    /// Facts for the call's span.
    pub(crate) facts: Map<String, Value>,
}

impl From<Effect> for Worked {
    fn from(effect: Effect) -> Self {
        Self { effect, facts: Map::new() }
    }
}

/// A built-in tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Repositories,
    Gist,
    Documents,
}

/// The built-in tools of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    egress: Egress,
    retrieval: Retrieval,
    specs: Vec<(Tool, ToolSpec, Value)>,
}

impl Tools {
    /// The tools; `audience` is `{issuer}api/`, whose scopes approvals are for.
    pub(crate) fn new(
        egress: Egress,
        retrieval: Retrieval,
        audience: &str,
        github: &ConnectionName,
    ) -> Self {
        let specs = vec![
            (Tool::Repositories, repositories::spec(github), repositories::schema()),
            (Tool::Gist, gist::spec(github, audience), gist::schema()),
            (Tool::Documents, documents::spec(), documents::schema()),
        ];
        Self { egress, retrieval, specs }
    }

    /// The tools as the model is told them.
    pub(crate) fn to_wire(&self) -> Vec<Value> {
        let tools = self.specs.iter().map(|(_, spec, schema)| {
            json!({"type": "function", "function": {"name": spec.name,
                   "description": spec.description, "parameters": schema}})
        });
        tools.collect()
    }

    /// The tool of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&ToolSpec> {
        self.specs.iter().find(|(_, spec, _)| spec.name == name).map(|(_, spec, _)| spec)
    }

    /// Reads what a model said as arguments of the tool, all of them: what it left out stands in
    /// them as it will be sent.
    ///
    /// # Errors
    /// What is wrong with it, for the model.
    pub(crate) fn read_arguments(
        &self,
        name: &str,
        said: &str,
    ) -> Result<Map<String, Value>, String> {
        let found = self.specs.iter().find(|(_, spec, _)| spec.name == name);
        let Some((_, _, schema)) = found else {
            let shown: String = name.chars().take(80).collect();
            return Err(format!("there is no tool `{shown}`"));
        };
        // Models say nothing where there is nothing to say.
        let said = if said.trim().is_empty() { "{}" } else { said };
        let mut arguments = match serde_json::from_str(said) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(_) => return Err("the arguments are not a JSON object".to_owned()),
            Err(error) => return Err(format!("the arguments are not JSON: {error}")),
        };
        schema::check(schema, &arguments)?;
        schema::fill(schema, &mut arguments);
        Ok(arguments)
    }

    /// Has the effect, once.
    pub(crate) async fn run(&self, started: &Started) -> Worked {
        match self.tool(started) {
            Some(Tool::Repositories) => repositories::run(&self.egress, started).await.into(),
            Some(Tool::Gist) => gist::run(&self.egress, started).await.into(),
            Some(Tool::Documents) => documents::run(&self.retrieval, started).await,
            None => Effect::NotDone { reason: "There is no such tool.".to_owned() }.into(),
        }
    }

    /// Looks whether an effect whose answer was lost is there; never has it again.
    pub(crate) async fn read_back(&self, started: &Started, now: Timestamp) -> Worked {
        match self.tool(started) {
            // Asking again changes nothing there.
            Some(Tool::Repositories) => repositories::run(&self.egress, started).await.into(),
            Some(Tool::Documents) => documents::run(&self.retrieval, started).await,
            Some(Tool::Gist) => gist::read_back(&self.egress, started, now).await.into(),
            None => Effect::Unknown { reason: "There is no such tool any more.".to_owned() }.into(),
        }
    }

    fn tool(&self, started: &Started) -> Option<Tool> {
        let found = self.specs.iter().find(|(_, spec, _)| spec.label() == started.spec.label());
        found.map(|(tool, _, _)| *tool)
    }

    /// For each document whether the person may read it now.
    ///
    /// # Errors
    /// When nobody could say.
    pub(crate) async fn may_read(
        &self,
        user_id: &UserId,
        document_ids: &[&str],
    ) -> Result<Vec<bool>, behalf_retrieval::RetrievalError> {
        self.retrieval.may_read(user_id, document_ids).await
    }
}

/// A text argument; it was checked against the schema.
fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}
