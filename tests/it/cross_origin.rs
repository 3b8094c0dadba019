//! Calls from the pages of single-page applications, and from nobody else's.

use axum::body::Body;
use behalf_tests::{Answer, TestServer};
use http::{HeaderMap, Method, Request, header};

const SETUP: &str = r#"
users: [{user_id: "auth0|ann", username: ann, password: ann-password}]
clients:
  - {client_id: spa, app_type: spa, web_origins: ["https://app.example", "http://localhost:3000"], callbacks: ["https://app.example/"], grant_types: [password]}
  - {client_id: other, app_type: spa, callbacks: ["https://callback.example:8443/cb", "native://callback.example"]}
"#;
const METADATA: [&str; 3] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
];
const PATHS: [(&str, Method); 3] =
    [("/oauth/token", Method::POST), ("/oauth/revoke", Method::POST), ("/userinfo", Method::GET)];

async fn ask(server: &TestServer, method: &Method, path: &str, origin: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header(header::ORIGIN, origin);
    server.send(request.body(Body::empty()).unwrap()).await
}

fn allowed(headers: &HeaderMap) -> Vec<&str> {
    let names = [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ];
    names.iter().filter_map(|name| headers.get(name)).map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_of_a_clients_web_origins_read_what_single_page_applications_need() {
    let server = TestServer::start(SETUP).await;
    for origin in ["https://app.example", "http://localhost:3000", "https://callback.example:8443"]
    {
        for (path, method) in &PATHS {
            let answer = ask(&server, &Method::OPTIONS, path, origin).await.expect(204);
            let asked = [origin, "GET, POST", "authorization, content-type, auth0-client"];
            assert_eq!(allowed(&answer.headers), asked, "{path}");
            // A refusal is read too.
            let answer = ask(&server, method, path, origin).await;
            assert_eq!(allowed(&answer.headers), [origin], "{path}");
            assert_eq!(answer.header(header::VARY), "origin", "{path}");
        }
    }
}

#[tokio::test]
async fn nobody_elses_pages_and_no_other_route_are_answered() {
    let server = TestServer::start(SETUP).await;
    for origin in [
        "https://evil.example",
        "https://callback.example",
        "https://callback.example:84",
        "native://callback.example",
        "https://app.example.evil.example",
        "https://app.example/",
        "http://app.example",
        "HTTPS://APP.EXAMPLE",
        "https://app_example",
        "%",
        "null",
    ] {
        for (path, method) in &PATHS {
            for method in [method, &Method::OPTIONS] {
                let answer = ask(&server, method, path, origin).await;
                assert!(allowed(&answer.headers).is_empty(), "{origin}: {method} {path}");
            }
        }
    }
    for route in &server.server.rules {
        let is_known =
            METADATA.contains(&route.path) || PATHS.iter().any(|(path, _)| *path == route.path);
        if !is_known && !route.path.contains('{') {
            let answer = ask(&server, &Method::OPTIONS, route.path, "https://app.example").await;
            assert!(allowed(&answer.headers).is_empty(), "{}", route.path);
        }
    }
}

#[tokio::test]
async fn every_page_reads_the_metadata_and_the_keys() {
    let server = TestServer::start(SETUP).await;
    for path in METADATA {
        for origin in ["https://app.example", "https://anybody.example", "null"] {
            let answer = ask(&server, &Method::OPTIONS, path, origin).await.expect(204);
            assert_eq!(allowed(&answer.headers), ["*", "GET", "*"], "{path}");
            let answer = ask(&server, &Method::GET, path, origin).await.expect(200);
            assert_eq!(allowed(&answer.headers), ["*"], "{path}");
        }
    }
}
