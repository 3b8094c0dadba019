//! A question as a person types it: user, relation, object, and what may come with them. It can be
//! shared as an address, and copied as a command or as a test.

use behalf_authz::engine::{CheckRequest, RequestContext, TupleCondition, TupleKey};
use behalf_authz::{Assertion, At, Authz, AuthzError, Query};
use behalf_core::Timestamp;
use behalf_http::Params;
use serde_json::{Map, Value, json};

use crate::address::with_query;

/// The longest context and the longest list of contextual tuples, in bytes.
const MAX_TEXT: usize = 20_000;

/// The question, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) user: String,
    pub(crate) relation: String,
    pub(crate) object: String,
    /// A JSON object.
    pub(crate) context: String,
    /// A tuple a line.
    pub(crate) tuples: String,
    /// RFC 3339.
    pub(crate) time: String,
    pub(crate) revision: String,
    pub(crate) model: String,
}

/// What comes with a question, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct With {
    pub(crate) tuples: Vec<TupleKey>,
    pub(crate) context: Option<Map<String, Value>>,
    pub(crate) now_micros: Option<i64>,
    pub(crate) revision: Option<u64>,
}

/// What is wrong with a field: its name on the page, and words.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) text: String,
}

impl With {
    /// What the engine takes.
    pub(crate) fn request(&self) -> RequestContext<'_> {
        RequestContext {
            contextual_tuples: &self.tuples,
            context: self.context.as_ref(),
            now_micros: self.now_micros,
            ..RequestContext::default()
        }
    }
}

impl Question {
    /// Takes the question's parameters.
    pub(crate) fn take(params: &mut Params) -> Self {
        let mut take = |name| params.take(name).unwrap_or_default();
        Self {
            user: take("user").trim().to_owned(),
            relation: take("relation").trim().to_owned(),
            object: take("object").trim().to_owned(),
            context: take("context").trim().to_owned(),
            tuples: take("tuples").trim().replace("\r\n", "\n"),
            time: take("time").trim().to_owned(),
            revision: take("revision").trim().to_owned(),
            model: take("model").trim().to_owned(),
        }
    }

    /// True if nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.user.is_empty() && self.relation.is_empty() && self.object.is_empty()
    }

    /// True if something comes with the three.
    pub(crate) fn has_more(&self) -> bool {
        [&self.context, &self.tuples, &self.time, &self.revision, &self.model]
            .iter()
            .any(|text| !text.is_empty())
    }

    /// Reads what comes with the question.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub(crate) fn with(&self) -> Result<With, Wrong> {
        let time = match self.time.as_str() {
            "" => None,
            text => Some(Timestamp::from_rfc3339(text).ok_or_else(|| Wrong {
                field: "time",
                text: "write the time as 2026-12-01T09:00:00Z".to_owned(),
            })?),
        };
        let revision = match self.revision.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Wrong {
                field: "revision",
                text: "a revision is a whole number".to_owned(),
            })?),
        };
        Ok(With {
            tuples: read_tuples(&self.tuples).map_err(|text| Wrong { field: "tuples", text })?,
            context: read_context(&self.context)
                .map_err(|text| Wrong { field: "context", text })?,
            now_micros: time.map(Timestamp::as_micros),
            revision,
        })
    }

    /// The version of the store that the question is for.
    pub(crate) async fn at(
        &self,
        authz: &Authz,
        store_id: &str,
        with: &With,
    ) -> Result<At, AuthzError> {
        let model_id = Some(self.model.as_str()).filter(|model| !model.is_empty());
        let query = Query { store_id, model_id };
        match with.revision {
            None => authz.at(query).await,
            Some(revision) => authz.at_revision(query, revision).await,
        }
    }

    /// The check.
    pub(crate) fn check<'q>(&'q self, with: &'q With) -> CheckRequest<'q> {
        CheckRequest {
            user: &self.user,
            relation: &self.relation,
            object: &self.object,
            request: with.request(),
        }
    }

    /// The page at `path` with this question in its address.
    pub(crate) fn address(&self, path: &str) -> String {
        with_query(path, self.pairs())
    }

    /// The parameters by name.
    pub(crate) fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("user", &self.user),
            ("relation", &self.relation),
            ("object", &self.object),
            ("context", &self.context),
            ("tuples", &self.tuples),
            ("time", &self.time),
            ("revision", &self.revision),
            ("model", &self.model),
        ]
    }

    /// The question as a command.
    pub(crate) fn curl(&self, issuer: &str, store_id: &str, with: &With) -> String {
        let mut body = json!({
            "tuple_key": {"user": self.user, "relation": self.relation, "object": self.object},
        });
        let mut add = |name: &str, value: Value| {
            if let Some(members) = body.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        };
        if !with.tuples.is_empty() {
            add(
                "contextual_tuples",
                json!({"tuple_keys": with.tuples.iter().map(tuple_json).collect::<Vec<_>>()}),
            );
        }
        if let Some(context) = &with.context {
            add("context", Value::Object(context.clone()));
        }
        if !self.model.is_empty() {
            add("authorization_model_id", json!(self.model));
        }
        let what = match with.revision {
            None => "check",
            Some(revision) => {
                add("at_revision", json!(revision));
                "behalf/explain"
            }
        };
        let body = body.to_string().replace('\'', r"'\''");
        format!(
            "curl -sS {issuer}stores/{store_id}/{what} \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
        )
    }

    /// The question with its expected answer as an entry of a store file's `tests`.
    pub(crate) fn store_file_test(&self, with: &With, is_allowed: bool) -> String {
        let text = |text: &str| Value::from(text).to_string();
        let name = format!(
            "{} {} {} {}",
            self.user,
            if is_allowed { "has" } else { "does not have" },
            self.relation,
            self.object
        );
        let mut lines = format!("  - name: {}\n", text(&name));
        if !with.tuples.is_empty() {
            lines.push_str("    tuples:\n");
            for tuple in &with.tuples {
                lines.push_str(&format!("      - {}\n", tuple_json(tuple)));
            }
        }
        lines.push_str(&format!(
            "    check:\n      - user: {}\n        object: {}\n",
            text(&self.user),
            text(&self.object)
        ));
        if let Some(context) = &with.context {
            lines.push_str(&format!("        context: {}\n", Value::Object(context.clone())));
        }
        lines
            .push_str(&format!("        assertions:\n          {}: {is_allowed}\n", self.relation));
        lines
    }
}

impl From<&Assertion> for Question {
    fn from(of: &Assertion) -> Self {
        let context = of.context.clone().map(|context| Value::Object(context).to_string());
        let tuples: Vec<String> = of.contextual_tuples.iter().map(tuple_line).collect();
        Self {
            user: of.user.clone(),
            relation: of.relation.clone(),
            object: of.object.clone(),
            context: context.unwrap_or_default(),
            tuples: tuples.join("\n"),
            ..Self::default()
        }
    }
}

/// A tuple as a line of the field for contextual tuples.
fn tuple_line(tuple: &TupleKey) -> String {
    let TupleKey { user, relation, object, condition, .. } = tuple;
    let condition = condition.as_ref().map(|of| {
        let context = Value::Object(of.context.clone());
        format!(" with {} {context}", of.name)
    });
    format!("{user} {relation} {object}{}", condition.unwrap_or_default())
}

/// A contextual tuple as the API takes it.
fn tuple_json(tuple: &TupleKey) -> Value {
    let mut json = json!({"user": tuple.user, "relation": tuple.relation, "object": tuple.object});
    if let (Some(members), Some(condition)) = (json.as_object_mut(), &tuple.condition) {
        let condition = json!({"name": condition.name, "context": condition.context});
        members.insert("condition".to_owned(), condition);
    }
    json
}

/// A JSON object, or nothing.
pub(super) fn read_context(text: &str) -> Result<Option<Map<String, Value>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MAX_TEXT {
        return Err(format!("the context is longer than {MAX_TEXT} bytes"));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(Some(members)),
        Ok(_) => Err("the context must be a JSON object, such as {\"hour\": 9}".to_owned()),
        Err(error) => Err(format!("the context is no JSON: {error}")),
    }
}

/// Tuples, one a line: user, relation, object, and perhaps `with condition {values}`.
fn read_tuples(text: &str) -> Result<Vec<TupleKey>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("the tuples are longer than {MAX_TEXT} bytes"));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            read_tuple(line).map_err(|reason| format!("line {}: {reason}", index.saturating_add(1)))
        })
        .collect()
}

fn read_tuple(line: &str) -> Result<TupleKey, String> {
    let shape = || "write user, relation and object with blanks between".to_owned();
    let (key, condition) = match line.split_once(" with ") {
        Some((key, condition)) => (key, Some(condition.trim())),
        None => (line, None),
    };
    let mut words = key.split_whitespace();
    let mut word = || words.next().ok_or_else(shape);
    let mut tuple = TupleKey::new(word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(shape());
    }
    if let Some(condition) = condition {
        let (name, context) = condition.split_once(' ').unwrap_or((condition, ""));
        let context = read_context(context.trim())?.unwrap_or_default();
        tuple.condition = Some(TupleCondition { name: name.to_owned(), context });
    }
    Ok(tuple)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            user: "user:o'neil".to_owned(),
            relation: "can_view".to_owned(),
            object: "doc:1".to_owned(),
            context: r#"{"hour": 9}"#.to_owned(),
            tuples: "user:a viewer doc:1\n\nuser:b viewer doc:1 with open {\"from\": 8}".to_owned(),
            time: "2026-12-01T09:00:00Z".to_owned(),
            ..Question::default()
        }
    }

    #[test]
    fn what_comes_with_a_question_is_read_and_errors_name_their_field() {
        let with = question().with().unwrap();
        assert_eq!(with.tuples.len(), 2);
        assert_eq!(with.tuples[1].condition.as_ref().unwrap().name, "open");
        assert_eq!(with.context.unwrap()["hour"], 9);
        let wrong = |change: fn(&mut Question)| {
            let mut question = question();
            change(&mut question);
            question.with().unwrap_err().field
        };
        assert_eq!(wrong(|q| q.tuples = "user:a viewer".to_owned()), "tuples");
        assert_eq!(wrong(|q| q.tuples = "user:a viewer doc:1 x".to_owned()), "tuples");
        assert_eq!(wrong(|q| q.context = "[1]".to_owned()), "context");
        assert_eq!(wrong(|q| q.time = "tomorrow".to_owned()), "time");
        assert_eq!(wrong(|q| q.revision = "-1".to_owned()), "revision");
    }

    #[test]
    fn an_address_and_a_form_say_the_same_question() {
        let address = question().address("/x");
        let (_, query) = address.split_once('?').unwrap();
        let mut params = Params::from_urlencoded(query.as_bytes()).unwrap();
        assert_eq!(Question::take(&mut params), question());
    }

    #[test]
    fn commands_quote_for_the_shell_and_tests_are_store_files() {
        let with = question().with().unwrap();
        let curl = question().curl("http://localhost/", "S", &with);
        assert!(curl.contains(r"user:o'\''neil") && curl.contains("/stores/S/check"), "{curl}");
        let text = question().store_file_test(&with, true);
        let file = format!("model: |\n  model\n    schema 1.1\ntests:\n{text}");
        let read = behalf_authz::engine::StoreFile::parse(&file).unwrap();
        assert_eq!(read.tests.len(), 1, "{text}");
    }
}
