//! Every route × anonymous, a plain person, each role: what the rule table promises is what the
//! server does; and the table itself is what was meant, route by route.

use std::collections::BTreeMap;

use axum::body::Body;
use behalf_core::RoleId;
use behalf_http::{RouteRule, Rule};
use behalf_identity::{OwnApi, Right, right};
use behalf_tests::{Browser, ISSUER, TestServer};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::world::{WEB, signed_in_as, text};

/// Who may call each route, as it was meant. A route that is not here fails the test.
const MEANT: &str = include_str!("../data/access.txt");

const PEOPLE: [(&str, Option<RoleId>); 6] = [
    ("plain", None),
    ("administrator", Some(RoleId::Administrator)),
    ("operator", Some(RoleId::Operator)),
    ("security", Some(RoleId::Security)),
    ("auditor", Some(RoleId::Auditor)),
    ("billing_administrator", Some(RoleId::BillingAdministrator)),
];

const CLIENTS: &str = r#"
clients:
  - {client_id: web, client_secret: web-secret, callbacks: ["https://web.example/callback"], grant_types: [authorization_code, password]}
"#;

async fn start() -> TestServer {
    let mut setup = "users:\n".to_owned();
    for (name, role) in PEOPLE {
        let roles = role.map(|role| role.as_str()).unwrap_or_default();
        setup.push_str(&format!(
            "  - {{user_id: \"auth0|{name}\", username: {name}, password: {name}-password, \
             roles: [{roles}]}}\n"
        ));
    }
    setup.push_str(CLIENTS);
    TestServer::start(&setup).await
}

/// A rule in words, as `tests/data/access.txt` has it.
fn words(rule: Rule) -> String {
    match rule {
        Rule::Public => "public".to_owned(),
        Rule::Person => "person".to_owned(),
        Rule::Role(resource, right) => format!("role {resource:?} {right:?}"),
        Rule::Bearer(api, scope) => format!("bearer {api:?} {scope}"),
        Rule::Api(scope) => format!("api {scope}"),
        Rule::Fga(scope, right) => format!("fga {scope} {}", right.relation()),
    }
}

fn line(route: &RouteRule) -> String {
    format!("{} {}", route.method, route.path)
}

/// The route's path with something in its placeholders.
fn path_of(route: &RouteRule) -> String {
    let parts = route.path.split('/').map(|part| match part {
        part if part.starts_with("{*") => "some/thing",
        part if part.starts_with('{') => "00000000000000000000000000000000",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What came of a request: streams are not read.
struct Came {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Came {
    fn is_sign_in(&self) -> bool {
        let location = self.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        self.status.is_redirection() && location.is_some_and(|to| to.starts_with("/u/login"))
    }

    fn is_page(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
    }

    /// What `grpc-status` says, when it is a gRPC answer.
    fn grpc_status(&self) -> Option<&str> {
        self.headers.get("grpc-status").map(|value| value.to_str().unwrap())
    }

    /// True if nobody known called.
    fn is_unauthenticated(&self) -> bool {
        let is_challenge = self.headers.contains_key(header::WWW_AUTHENTICATE);
        match self.grpc_status() {
            Some(status) => matches!(status, "1010" | "1500"),
            None => self.status == StatusCode::UNAUTHORIZED && is_challenge,
        }
    }

    /// True if the rule refused, not the handler.
    fn is_refused(&self) -> bool {
        self.is_sign_in()
            || matches!(self.grpc_status(), Some("1010" | "1500" | "1600"))
            || self.status == StatusCode::UNAUTHORIZED
            || self.status == StatusCode::FORBIDDEN
                && ["None of your roles", "none of your roles", "lacks scope"]
                    .iter()
                    .any(|words| self.text.contains(words))
    }
}

async fn ask(server: &TestServer, route: &RouteRule, with: &[(&str, &str)]) -> Came {
    let mut request = Request::builder()
        .method(route.method.clone())
        .uri(path_of(route))
        .header(header::HOST, "behalf.test");
    for (name, value) in with {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = server.server.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let is_page = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let text = if parts.status == StatusCode::FORBIDDEN || is_page {
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    } else {
        String::new()
    };
    Came { status: parts.status, headers: parts.headers, text }
}

#[tokio::test]
async fn every_route_has_the_rule_that_was_meant_for_it() {
    let server = start().await;
    let meant = MEANT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let meant: BTreeMap<&str, &str> =
        meant.map(|line| line.split_once(" = ").unwrap_or_else(|| panic!("{line}"))).collect();
    let mut missing = Vec::new();
    for route in &server.server.rules {
        let (line, is) = (line(route), words(route.rule));
        match meant.get(line.as_str()) {
            None => missing.push(format!("{line} = {is}")),
            Some(meant) => assert_eq!(
                *meant, is,
                "{line}: if the change is meant, say so in tests/data/access.txt"
            ),
        }
    }
    assert!(
        missing.is_empty(),
        "these routes are new; decide who may call each, then add its line to \
         tests/data/access.txt:\n{}",
        missing.join("\n")
    );
    for line in meant.keys() {
        let is_there = server.server.rules.iter().any(|route| self::line(route) == **line);
        assert!(is_there, "{line} is gone: take it out of tests/data/access.txt");
    }
}

#[tokio::test]
async fn without_a_session_pages_lead_to_sign_in_and_apis_answer_401() {
    let server = start().await;
    for route in &server.server.rules {
        let came = ask(&server, route, &[]).await;
        let line = line(route);
        assert_ne!(came.status, StatusCode::INTERNAL_SERVER_ERROR, "{line}");
        match route.rule {
            Rule::Public => {
                // A public page may itself want a session, and then asks for it the same way.
                assert_ne!(came.status, StatusCode::FORBIDDEN, "{line}: {}", came.text);
            }
            Rule::Person | Rule::Role(..) => {
                assert!(came.is_sign_in(), "{line}: {}", came.status);
                let is_read = route.method == Method::GET;
                let status = if is_read { StatusCode::FOUND } else { StatusCode::SEE_OTHER };
                assert_eq!(came.status, status, "{line}");
            }
            Rule::Bearer(..) | Rule::Api(_) | Rule::Fga(..) => {
                assert!(came.is_unauthenticated(), "{line}: {}", came.status);
            }
        }
    }
}

#[tokio::test]
async fn a_forged_token_is_no_token_anywhere() {
    let server = start().await;
    for route in &server.server.rules {
        if matches!(route.rule, Rule::Bearer(..) | Rule::Api(_) | Rule::Fga(..)) {
            for forged in ["Bearer x", "Bearer e30.e30.e30", "Bearer ", "Basic d2ViOndlYg=="] {
                let came = ask(&server, route, &[("authorization", forged)]).await;
                assert!(came.is_unauthenticated(), "{forged}: {}: {}", line(route), came.status);
            }
        }
    }
}

#[tokio::test]
async fn a_session_reaches_what_its_roles_reach_and_nothing_else() {
    let server = start().await;
    for (name, role) in PEOPLE {
        // Some routes end the session that asks: each begins with one of its own.
        let mut browser = signed_in_as(&server, name).await;
        let user_id = format!("auth0|{name}").parse().unwrap();
        let user = server.server.identity.find_user(&user_id).await.unwrap().unwrap();
        for route in &server.server.rules {
            let is_allowed = match route.rule {
                Rule::Person => true,
                Rule::Role(resource, needed) => {
                    role.is_some_and(|role| right(role, resource) >= needed && needed > Right::None)
                }
                Rule::Api(scope) => OwnApi::Behalf.person_may_hold(scope, &user),
                // No cookie stands for a token there.
                Rule::Bearer(..) | Rule::Fga(..) => false,
                Rule::Public => continue,
            };
            let (line, cookie) = (line(route), browser.cookie_header());
            let origin = ISSUER.trim_end_matches('/');
            let with = [("cookie", cookie.as_str()), ("origin", origin)];
            let came = ask(&server, route, &with).await;
            assert_eq!(came.is_refused(), !is_allowed, "{name}: {line}: {}", came.status);
            assert_ne!(came.status, StatusCode::INTERNAL_SERVER_ERROR, "{name}: {line}");
            let is_page = matches!(route.rule, Rule::Role(..));
            if is_page && !is_allowed {
                assert_eq!(came.status, StatusCode::FORBIDDEN, "{name}: {line}");
            }
            // Another site's request is never hers; nor is one that does not say whose it is.
            if matches!(route.rule, Rule::Api(_)) {
                let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
                let came = ask(&server, route, &foreign).await;
                assert_eq!(came.status, StatusCode::FORBIDDEN, "{name}: foreign {line}");
                if route.method != Method::GET {
                    let came = ask(&server, route, &foreign[..1]).await;
                    assert_eq!(came.status, StatusCode::FORBIDDEN, "{name}: silent {line}");
                }
            }
            if browser.get(&server, "/account").await.answer.status != StatusCode::OK {
                browser = signed_in_as(&server, name).await;
            }
        }
    }
}

#[tokio::test]
async fn a_token_reaches_its_audience_and_its_scopes_and_nothing_else() {
    let server = start().await;
    let apis = [OwnApi::Behalf, OwnApi::MyAccount, OwnApi::Management, OwnApi::Fga];
    for (name, _) in PEOPLE {
        for api in apis {
            let audience = api.audience(server.server.identity.issuer());
            let password = format!("{name}-password");
            let form = [
                ("grant_type", "password"),
                ("username", name),
                ("password", &password),
                ("audience", &audience),
                ("scope", "openid"),
            ];
            let answer = WEB.token(&server, &form).await.expect(200).json();
            let bearer = format!("Bearer {}", text(&answer, "access_token"));
            for route in &server.server.rules {
                let expected = match route.rule {
                    Rule::Public => continue,
                    // A token opens no page.
                    Rule::Person | Rule::Role(..) => None,
                    Rule::Bearer(own, _) if own == api => Some(StatusCode::FORBIDDEN),
                    Rule::Api(_) if api == OwnApi::Behalf => Some(StatusCode::FORBIDDEN),
                    Rule::Fga(..) if api == OwnApi::Fga => Some(StatusCode::FORBIDDEN),
                    Rule::Bearer(..) | Rule::Api(_) | Rule::Fga(..) => {
                        Some(StatusCode::UNAUTHORIZED)
                    }
                };
                let came = ask(&server, route, &[("authorization", &bearer)]).await;
                let line = line(route);
                match expected {
                    None => assert!(came.is_sign_in(), "{name}, {api:?}: {line}"),
                    // gRPC says it in a status of its own.
                    Some(status) if came.grpc_status().is_some() => {
                        let is = (status == StatusCode::FORBIDDEN, came.is_unauthenticated());
                        assert!(matches!(is, (true, false) | (false, true)), "{name}: {line}");
                        assert!(came.is_refused(), "{name}, {api:?}: {line}");
                    }
                    Some(status) => assert_eq!(came.status, status, "{name}, {api:?}: {line}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_was_asked_for_is_there_after_sign_in() {
    let server = start().await;
    let pages = server.server.rules.iter().filter(|route| {
        route.method == Method::GET
            && matches!(route.rule, Rule::Person | Rule::Role(..))
            && !route.path.contains('{')
            && route.path != "/"
    });
    let cookie = signed_in_as(&server, "administrator").await.cookie_header();
    for route in pages {
        // What is followed live is no page to come back to, and does not end.
        if !ask(&server, route, &[("cookie", &cookie)]).await.is_page() {
            continue;
        }
        let mut browser = Browser::new();
        let asked = format!("{}?x=1", route.path);
        let page = browser.open(&server, &asked).await.unwrap();
        assert!(page.path.starts_with("/u/login"), "{asked}: {}", page.path);
        let password = "administrator-password";
        let page = browser.sign_in(&server, &page, "administrator", password).await.unwrap();
        // A page may send her on, but not back to sign-in.
        assert!(!page.path.starts_with("/u/"), "{asked}: {}", page.path);
        if page.path != asked {
            let came = browser.get(&server, &asked).await;
            assert!(came.answer.status != StatusCode::FOUND || page.answer.status.is_success());
        }
    }
}

#[tokio::test]
async fn every_page_says_what_it_may_load_and_carries_no_more() {
    let server = start().await;
    for (name, _) in PEOPLE {
        let browser = signed_in_as(&server, name).await;
        let cookie = browser.cookie_header();
        for route in server.server.rules.iter().filter(|route| route.method == Method::GET) {
            let came = ask(&server, route, &[("cookie", &cookie)]).await;
            if !came.is_page() {
                continue;
            }
            let line = line(route);
            let policy = came.headers.get_all(header::CONTENT_SECURITY_POLICY);
            let policy = policy.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
            let [policy] = policy.as_slice() else { panic!("{line}: {policy:?}") };
            let has = |directive: &str| policy.split("; ").any(|part| part.trim() == directive);
            let always = ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"];
            assert!(always.iter().all(|directive| has(directive)), "{line}: {policy}");
            assert!(policy.contains("form-action 'self'"), "{line}: {policy}");
            assert!(!policy.contains("unsafe"), "{line}: {policy}");
            let carries_script = came.text.contains("<script");
            assert_eq!(has("script-src 'self'"), carries_script, "{line}: {policy}");
            assert_eq!(came.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{line}");
            assert_eq!(came.headers[header::CACHE_CONTROL], "no-store", "{line}");
        }
    }
}

#[tokio::test]
async fn every_entry_of_the_rail_leads_to_a_page_that_its_person_may_see() {
    let server = start().await;
    for (name, _) in PEOPLE {
        let mut browser = signed_in_as(&server, name).await;
        let page = browser.open(&server, "/").await.unwrap().answer.expect(200).text;
        let rail = page.split("aria-label=\"Main\"").nth(1).unwrap();
        let rail = rail.split("</nav>").next().unwrap();
        let entries = rail.split("href=\"").skip(1);
        let hrefs =
            entries.map(|rest| rest.split('"').next().unwrap()).filter(|h| h.starts_with('/'));
        let hrefs = hrefs.map(str::to_owned).collect::<Vec<_>>();
        assert!(hrefs.len() >= 3, "{name}: {hrefs:?}");
        for href in hrefs {
            let page = browser.open(&server, &href).await.unwrap();
            assert_eq!(page.answer.status, StatusCode::OK, "{name}: {href}");
            let marked = format!("href=\"{href}\" aria-current=\"page\"");
            assert!(page.answer.text.contains(&marked), "{name}: {href} is not marked");
        }
    }
}
