//! The dialects over HTTP: which one is spoken, and its headers.

use serde_json::json;

use super::*;

fn four(thread: &str, question: &str) -> Value {
    json!({"id": thread, "messages": [{"role": "user", "content": question,
        "parts": [{"type": "text", "text": question}]}]})
}

fn three(question: &str) -> Value {
    json!({"messages": [{"role": "user", "content": question}]})
}

#[tokio::test]
async fn each_client_gets_its_own_stream() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let answer = chat.post(&asked("five", &[REPOSITORIES])).await.expect(200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/event-stream");
    assert_eq!(answer.headers["x-vercel-ai-ui-message-stream"], "v1");
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-cache");
    let kinds: Vec<String> =
        chunks(&answer).iter().map(|chunk| chunk["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.first().map(String::as_str), Some("start"));
    assert_eq!(kinds.last().map(String::as_str), Some("finish"));

    let answer = chat.post(&four("four", REPOSITORIES)).await.expect(200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(answer.headers["x-vercel-ai-data-stream"], "v1");
    let codes: String = answer.text.lines().filter_map(|line| line.chars().next()).collect();
    assert!(codes.starts_with("fbc9aef0") && codes.ends_with("0ed"), "{codes}");

    let answer = chat.post(&three(REPOSITORIES)).await.expect(200);
    let codes: String = answer.text.lines().filter_map(|line| line.chars().next()).collect();
    assert!(codes.starts_with("bc9ae0") && codes.ends_with("0ed"), "{codes}");
    assert!(answer.text.ends_with('\n'));

    let body = asked("text", &[REPOSITORIES]);
    let answer = chat.send("/api/chat?protocol=text", &chat.token, &body, &[]).await.expect(200);
    assert!(answer.text.starts_with("These are the most popular"), "{}", answer.text);
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_waiting_call_is_told_in_each_dialect() {
    let chat = Chat::start().await;
    let answer = chat.post(&four("four", REPOSITORIES)).await.expect(200);
    let data = answer.text.lines().find_map(|line| line.strip_prefix("2:")).unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data[0]["type"], "data-behalf-interrupt");
    assert_eq!(data[0]["data"]["kind"], "connect_account");
    assert!(answer.text.lines().last().unwrap().starts_with("d:"));

    let mut auth0 = asked("auth0", &[REPOSITORIES]);
    auth0["interrupts"] = "auth0".into();
    let in_body = chat.ask(&auth0).await;
    let plain = asked("auth0-header", &[REPOSITORIES]);
    let headers = [("x-behalf-interrupts", "auth0")];
    let in_header = chat.send("/api/chat", &chat.token, &plain, &headers).await.expect(200);
    for chunks in [in_body, chunks(&in_header)] {
        let error = chunks.last().unwrap();
        assert_eq!(error["type"], "error");
        let told = error["errorText"].as_str().unwrap();
        let told: Value =
            serde_json::from_str(told.strip_prefix("AUTH0_AI_INTERRUPTION:").unwrap()).unwrap();
        assert_eq!(told["code"], "TOKEN_VAULT_ERROR");
        assert_eq!(told["toolCall"]["name"], "searchGitHubRepositories");
        assert!(of_type(&chunks, "data-behalf-interrupt").is_empty());
    }

    let text = asked("text", &[REPOSITORIES]);
    let text = chat.send("/api/chat?protocol=text", &chat.token, &text, &[]).await.expect(200);
    assert!(text.text.contains("https://behalf.test/account/connect?i=int_"), "{}", text.text);
}

#[tokio::test]
async fn auth0s_resume_runs_the_stored_call() {
    let mut chat = Chat::start().await;
    let mut body = asked("t", &[REPOSITORIES]);
    body["interrupts"] = "auth0".into();
    let first = chat.ask(&body).await;
    let call_id = of_type(&first, "tool-input-available")[0]["toolCallId"].clone();
    let message_id = first[0]["messageId"].clone();
    chat.connect().await;
    let answered = json!({"id": message_id, "role": "assistant", "parts": [
        {"type": "step-start"},
        {"type": "tool-searchGitHubRepositories", "toolCallId": call_id,
         "state": "output-available", "input": {"query": "evil"},
         "output": {"continueInterruption": true, "toolName": "searchGitHubRepositories"}}]});
    body["messages"].as_array_mut().unwrap().push(answered);
    let second = chat.ask(&body).await;
    assert_eq!(second[0]["messageId"], message_id);
    assert!(of_type(&second, "tool-input-available").is_empty(), "the client has it");
    assert_eq!(output(&second)["status"], "done");
    let searched = chat.provider.received();
    let search = searched.iter().find(|call| call.path.starts_with("/search")).unwrap();
    assert!(search.path.contains("nextjs") && !search.path.contains("evil"), "{}", search.path);
}

#[tokio::test]
async fn newer_clients_say_so_and_get_approval_chunks() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let headers = [("x-behalf-ai-sdk", "7")];
    let body = asked("t", &[GIST]);
    let answer = chat.send("/api/chat", &chat.token, &body, &headers).await.expect(200);
    let first = chunks(&answer);
    let part = interrupt(&first);
    let request = of_type(&first, "tool-approval-request");
    assert_eq!(request.len(), 1);
    assert_eq!(request[0]["approvalId"], part["data"]["approval"]["id"]);
    chat.decide(request[0]["approvalId"].as_str().unwrap(), "deny").await.expect(200);
    let answer = chat.send("/api/chat", &chat.token, &body, &headers).await.expect(200);
    assert_eq!(of_type(&chunks(&answer), "tool-output-denied").len(), 1);
}
