//! The gate's path of a tool call, step by step: who acts, what was checked, what was done.

use behalf_traces::{SpanDetail, SpanKind, SpanSummary};
use serde_json::Value;

use crate::figures;

/// A step of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its name.
    pub(crate) name: &'static str,
    /// `ok`, `wait`, `danger`, or empty when it was not needed.
    pub(crate) state: &'static str,
    /// Its icon.
    pub(crate) icon: &'static str,
    /// What happened.
    pub(crate) text: String,
    /// More to read: words and address.
    pub(crate) link: Option<(String, String)>,
}

/// A span of the call with what it says.
pub(crate) type Known<'a> = (&'a SpanSummary, &'a SpanDetail);

/// The path of the call that `spans` are about, oldest first; `run` is the run's own span.
pub(crate) fn path(run: Option<Known<'_>>, spans: &[Known<'_>]) -> Vec<Step> {
    if spans.is_empty() {
        return Vec::new();
    }
    vec![
        mandate(run),
        relationship(spans),
        connection(spans),
        approval(spans),
        execute(spans),
        record(spans),
    ]
}

fn step(name: &'static str, state: &'static str, text: impl Into<String>) -> Step {
    let icon = match state {
        "ok" => "check",
        "wait" => "wait",
        "danger" => "close",
        _ => "other",
    };
    Step { name, state, icon, text: text.into(), link: None }
}

/// The newest value of an attribute.
fn last<'a>(spans: &[Known<'a>], name: &str) -> Option<&'a str> {
    let values = spans.iter().rev().filter_map(|(_, detail)| detail.attributes.get(name));
    values.filter_map(Value::as_str).find(|text| !text.is_empty())
}

fn is_outcome(spans: &[Known<'_>], outcome: &str) -> bool {
    spans.iter().any(|(span, _)| span.outcome == outcome)
}

fn mandate(run: Option<Known<'_>>) -> Step {
    let spans = run.as_slice();
    let Some(user) = last(spans, "behalf.user") else {
        return step("Mandate", "", "The run does not say for whom it acts.");
    };
    let agent = last(spans, "behalf.agent").unwrap_or("an agent");
    let text = match last(spans, "behalf.client") {
        Some(client) if client != agent => format!("{agent} for {user}, asked through {client}"),
        _ => format!("{agent} for {user}"),
    };
    step("Mandate", "ok", text)
}

fn relationship(spans: &[Known<'_>]) -> Step {
    let revision = spans.iter().rev().find_map(|(_, detail)| {
        let revision = detail.attributes.get("behalf.fga.revision")?;
        revision.as_i64().map(|n| n.to_string()).or_else(|| revision.as_str().map(str::to_owned))
    });
    let at = revision.map(|revision| format!(", at revision {revision}")).unwrap_or_default();
    if is_outcome(spans, "denied") {
        let reason = last(spans, "behalf.reason").map(|code| format!(" ({code})"));
        let text = format!("Not allowed{}{at}", reason.unwrap_or_default());
        return step("Relationship", "danger", text);
    }
    match last(spans, "gen_ai.tool.name") {
        Some(tool) => step("Relationship", "ok", format!("The agent may call {tool}{at}")),
        None => step("Relationship", "ok", format!("The agent may do this{at}")),
    }
}

/// How long a wait of that kind took, in words.
fn waited(spans: &[Known<'_>], kind: SpanKind) -> Option<String> {
    let wait = spans.iter().rev().find(|(span, _)| span.kind == kind && span.waits)?.0;
    Some(figures::duration(wait.ended_at.since(wait.started_at)))
}

fn connection(spans: &[Known<'_>]) -> Step {
    let Some(name) = last(spans, "behalf.connection") else {
        return if is_outcome(spans, "connect_account") {
            step("Connection", "wait", "An account has to be connected")
        } else {
            step("Connection", "", "Not needed")
        };
    };
    match waited(spans, SpanKind::Vault) {
        Some(time) => step("Connection", "ok", format!("{name}, connected after {time}")),
        None if is_outcome(spans, "connect_account") && !is_outcome(spans, "allowed") => {
            step("Connection", "wait", format!("{name} has to be connected"))
        }
        None => step("Connection", "ok", format!("{name}, with the person’s own token")),
    }
}

fn approval(spans: &[Known<'_>]) -> Step {
    let Some(id) = last(spans, "behalf.approval.id") else {
        return if is_outcome(spans, "approval_required") {
            step("Approval", "wait", "Asked for")
        } else {
            step("Approval", "", "Not needed")
        };
    };
    let after = waited(spans, SpanKind::Approval).map(|time| format!(" after {time}"));
    let after = after.unwrap_or_default();
    let status = last(spans, "behalf.approval.status").unwrap_or_default();
    let mut step = match status {
        "denied" => step("Approval", "danger", format!("Denied{after}")),
        "expired" => step("Approval", "danger", format!("Expired{after}")),
        "cancelled" => step("Approval", "danger", format!("Cancelled{after}")),
        _ if is_outcome(spans, "allowed") => step("Approval", "ok", format!("Approved{after}")),
        _ => step("Approval", "wait", "Asked for, not decided"),
    };
    step.link = Some(("See the approval".to_owned(), format!("/account/approvals/{id}")));
    step
}

fn execute(spans: &[Known<'_>]) -> Step {
    match last(spans, "behalf.effect") {
        Some("done") => step("Execute", "ok", "Done"),
        Some("not_done") => step("Execute", "danger", "Not done"),
        Some("unknown") => step("Execute", "wait", "Unknown: it is read back from the provider"),
        _ if spans.iter().any(|(span, _)| span.kind == SpanKind::Tool) => {
            step("Execute", "ok", "Called")
        }
        _ => step("Execute", "", "Nothing was called"),
    }
}

fn record(spans: &[Known<'_>]) -> Step {
    let Some(id) = last(spans, "behalf.record.id") else {
        return step("Record", "", "No record is named");
    };
    let mut step = step("Record", "ok", "In the tamper-evident log");
    step.link = Some(("Open the receipt".to_owned(), format!("/api/v1/records/{id}/receipt")));
    step
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known(kind: SpanKind, outcome: &str, attributes: Value) -> (SpanSummary, SpanDetail) {
        let span = SpanSummary {
            kind,
            waits: kind == SpanKind::Approval,
            outcome: outcome.to_owned(),
            ..SpanSummary::named("b", "a")
        };
        let Value::Object(attributes) = attributes else { panic!("an object") };
        (span, SpanDetail { attributes, ..SpanDetail::default() })
    }

    fn states(spans: &[(SpanSummary, SpanDetail)]) -> Vec<&'static str> {
        let spans = spans.iter().map(|(span, detail)| (span, detail)).collect::<Vec<_>>();
        path(None, &spans).iter().map(|step| step.state).collect()
    }

    #[test]
    fn a_call_that_was_approved_and_done_is_told_whole() {
        let asked = known(SpanKind::Authorization, "approval_required", json!({}));
        let wait = known(SpanKind::Approval, "", json!({"behalf.approval.id": "apr_1"}));
        let allowed = known(
            SpanKind::Authorization,
            "allowed",
            json!({"behalf.approval.id": "apr_1",
                "behalf.connection": "github", "behalf.fga.revision": 7}),
        );
        let done =
            known(SpanKind::Tool, "", json!({"behalf.effect": "done", "behalf.record.id": "r1"}));
        let spans = [asked, wait, allowed, done];
        assert_eq!(states(&spans), ["", "ok", "ok", "ok", "ok", "ok"]);
        let known = spans.iter().map(|(span, detail)| (span, detail)).collect::<Vec<_>>();
        let path = path(None, &known);
        assert_eq!(path[3].link.as_ref().unwrap().1, "/account/approvals/apr_1");
        assert_eq!(path[5].link.as_ref().unwrap().1, "/api/v1/records/r1/receipt");
    }

    #[test]
    fn a_denied_call_names_the_step_that_denied() {
        let denied =
            known(SpanKind::Authorization, "denied", json!({"behalf.reason": "not_allowed"}));
        assert_eq!(states(&[denied]), ["", "danger", "", "", "", ""]);
        let asked = known(SpanKind::Authorization, "approval_required", json!({}));
        let refused = known(
            SpanKind::Approval,
            "",
            json!({"behalf.approval.id": "apr_1", "behalf.approval.status": "denied"}),
        );
        assert_eq!(states(&[asked, refused]), ["", "ok", "", "danger", "", ""]);
    }
}
