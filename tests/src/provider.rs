//! The scripted provider beside a server under test, and a person who walks through its pages.

use behalf::demo::provider::{LocalProvider, ProviderOptions};
use behalf_core::DangerousSeededRng;
use behalf_egress::{Answer, Body, Call, Egress, OperatorAddress};
use http::{Method, StatusCode, header};
use std::sync::Arc;
use url::Url;

use crate::{ISSUER, TestServer};

/// Starts a provider that shares the server's clock. Its people are `octo-ann` and `octo-bob`.
pub async fn start_provider(server: &TestServer, token_lifetime: Option<u32>) -> LocalProvider {
    let options = ProviderOptions {
        client_id: "gh".to_owned(),
        client_secret: "gh-secret".to_owned(),
        redirect_uris: vec![format!("{ISSUER}login/callback")],
        people: vec!["octo-ann".to_owned(), "octo-bob".to_owned()],
        token_lifetime,
        clock: server.clock.clone(),
        rng: Arc::new(DangerousSeededRng::new(7)),
    };
    LocalProvider::start("127.0.0.1:0", options).await.unwrap()
}

/// A set-up file with the connection `github` to the provider.
pub fn github_connection(provider: &LocalProvider) -> String {
    let options = provider.connection_options("public_repo, gist");
    format!("connections:\n  - {{name: github, strategy: github, options: {options}}}\n")
}

/// Opens the provider's page at `address` and authorizes as `login`, or cancels: the address that
/// the browser is sent back to.
pub async fn decide_at_provider(address: &str, login: Option<&str>) -> String {
    let egress = Egress::new("test-browser").unwrap();
    let mut url = Url::parse(address).unwrap();
    let asked: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    let page: OperatorAddress = url.as_str().parse().unwrap();
    let mut call = Call::new(Method::GET, page.clone());
    for (name, value) in &asked {
        call = call.query(name, value);
    }
    let shown = egress.send(&call).await.unwrap();
    let html = String::from_utf8_lossy(&shown.body).into_owned();
    assert_eq!(shown.status, StatusCode::OK, "{html}");
    assert!(html.contains("Scripted provider"), "{html}");
    let mut form: Vec<(&str, &str)> =
        asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.push(("decision", if login.is_some() { "authorize" } else { "cancel" }));
    form.push(("login", login.unwrap_or("octo-ann")));
    let call = Call::new(Method::POST, page).body(Body::Form(form));
    location(&egress.send(&call).await.unwrap())
}

#[track_caller]
fn location(answer: &Answer) -> String {
    let location = answer.headers.get(header::LOCATION);
    let text = String::from_utf8_lossy(&answer.body);
    location.unwrap_or_else(|| panic!("no redirect: {text}")).to_str().unwrap().to_owned()
}
