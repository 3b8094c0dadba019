//! `behalf fga check`, `list-objects` and `semantics`: one question to a server.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::UNREADABLE;
use crate::cli::fga::{
    FgaCheckArgs, FgaListObjectsArgs, FgaQuestionArgs, FgaSemanticsArgs, SemanticsName,
};
use crate::commands::target;
use crate::output::{complain, say};
use crate::server_client::{ServerCall, ServerClient};

/// The exit code of a check that was answered with no.
const DENIED: u8 = 1;
/// Objects of one page.
const PAGE: u32 = 10_000;

/// No answer is neither yes nor no, so it has an exit code of its own.
pub(super) async fn check(args: &FgaCheckArgs) -> ExitCode {
    match ask_check(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DENIED),
        Err(error) => {
            complain!("behalf: {error:#}");
            ExitCode::from(UNREADABLE)
        }
    }
}

async fn ask_check(args: &FgaCheckArgs) -> anyhow::Result<bool> {
    let mut question = question(&args.question)?;
    let FgaCheckArgs { user, relation, object, .. } = args;
    question.insert(
        "tuple_key".to_owned(),
        json!({"user": user, "relation": relation, "object": object}),
    );
    let question = Value::Object(question);
    let client = target::open(&args.question.target).await?;
    let answer = async {
        let store = store(&client, &args.question.store).await?;
        let answer = client.ask(&ServerCall::post(&["stores", &store, "check"], &question)).await?;
        let allowed = answer.get("allowed").and_then(Value::as_bool);
        let allowed = allowed.context("the answer says neither yes nor no")?;
        let more = [(args.explain, "explain"), (args.compare, "semantics")];
        if let Some((_, route)) = more.into_iter().find(|(is_wanted, _)| *is_wanted) {
            let path = ["stores", &store, "behalf", route];
            let why = client.ask(&ServerCall::post(&path, &question)).await?;
            say!("{}", serde_json::to_string_pretty(&why)?);
        } else {
            say!("{}", if allowed { "allowed" } else { "denied" });
        }
        Ok(allowed)
    };
    let answer = answer.await;
    client.close().await?;
    answer
}

pub(super) async fn semantics(args: &FgaSemanticsArgs) -> anyhow::Result<ExitCode> {
    let client = target::open(&args.target).await?;
    let answer = async {
        let store = store(&client, &args.store).await?;
        let path = ["stores", &store, "behalf", "semantics"];
        let call = match args.semantics {
            None => ServerCall::get(&path),
            Some(SemanticsName::V1) => ServerCall::put(&path, &json!({"semantics": "v1"})),
            Some(SemanticsName::V2) => ServerCall::put(&path, &json!({"semantics": "v2"})),
        };
        let answer = client.ask(&call).await?;
        say!("{}", answer.get("semantics").and_then(Value::as_str).unwrap_or_default());
        if let Some(unfit) = answer.get("unfit").filter(|unfit| !unfit.is_null()) {
            say!("v2 does not take the latest model and asks v1 for everything: {unfit}");
        }
        for may_change in answer.get("relations").and_then(Value::as_array).into_iter().flatten() {
            let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
            let reasons = may_change.get("reasons").and_then(Value::as_array);
            let reasons: Vec<_> = reasons.into_iter().flatten().map(text).collect();
            let relation = may_change.get("relation").map(text).unwrap_or_default();
            say!("{relation}: {}", reasons.join(", "));
        }
        anyhow::Ok(())
    };
    let answer = answer.await;
    client.close().await?;
    answer.map(|()| ExitCode::SUCCESS)
}

pub(super) async fn list_objects(args: &FgaListObjectsArgs) -> anyhow::Result<ExitCode> {
    let mut question = question(&args.question)?;
    for (name, value) in
        [("user", &args.user), ("relation", &args.relation), ("type", &args.object_type)]
    {
        question.insert(name.to_owned(), value.as_str().into());
    }
    question.insert("page_size".to_owned(), PAGE.into());
    let client = target::open(&args.question.target).await?;
    let listed = async {
        let store = store(&client, &args.question.store).await?;
        let path = ["stores", &store, "behalf", "list-objects"];
        loop {
            let call = ServerCall::post(&path, &Value::Object(question.clone()));
            let page = client.ask(&call).await?;
            for id in page.get("objects").and_then(Value::as_array).into_iter().flatten() {
                say!("{}", id.as_str().unwrap_or_default());
            }
            let next = page.get("next_page_token").and_then(Value::as_str).unwrap_or_default();
            if next.is_empty() {
                return anyhow::Ok(());
            }
            question.insert("page_token".to_owned(), next.into());
        }
    };
    let listed = listed.await;
    client.close().await?;
    listed.map(|()| ExitCode::SUCCESS)
}

fn question(args: &FgaQuestionArgs) -> anyhow::Result<Map<String, Value>> {
    let mut question = Map::new();
    if let Some(model_id) = &args.model_id {
        question.insert("authorization_model_id".to_owned(), model_id.as_str().into());
    }
    if let Some(context) = &args.context {
        let context: Map<String, Value> =
            serde_json::from_str(context).context("--context is no JSON object")?;
        question.insert("context".to_owned(), context.into());
    }
    Ok(question)
}

/// The id of the store that a flag names.
pub(super) async fn store(client: &ServerClient, store: &str) -> anyhow::Result<String> {
    client.find_store(store).await?.with_context(|| format!("there is no store `{store}`"))
}
