//! Redirect addresses (N08): only what is byte-equal to a registered one is ever returned to; on
//! loopback, for native applications, the port may vary and nothing else.

use behalf_tests::{Browser, Client, TestServer, query_of};
use http::header;

use crate::world::{self, NATIVE, WEB};

/// What attackers send instead of `https://web.example/callback`.
const HOSTILE: &[&str] = &[
    // Another scheme, host or port.
    "http://web.example/callback",
    "https://web.example:443/callback",
    "https://web.example:8443/callback",
    "https://evil.example/callback",
    "https://sub.web.example/callback",
    "https://web.example.evil.example/callback",
    "https://webxexample/callback",
    "https://web.example./callback",
    "https://evil.example#web.example/callback",
    "https://evil.example?https://web.example/callback",
    "https://web.example@evil.example/callback",
    "https://web.example:x@evil.example/callback",
    "https://evil.example\\@web.example/callback",
    "https://web.example\\.evil.example/callback",
    "https://evil.example%2f@web.example/callback",
    "https://user@web.example/callback",
    "https://user:pass@web.example/callback",
    "https://@web.example/callback",
    "https://web.example\u{ff0e}evil.example/callback",
    "https://web.examp\u{142}e/callback",
    "https://xn--web.example/callback",
    "https://3627734734/callback",
    "https://[::ffff:1.2.3.4]/callback",
    // The same address in another spelling.
    "HTTPS://web.example/callback",
    "https://WEB.example/callback",
    "https://web.example/Callback",
    "https://web.example/CALLBACK",
    "https://web.example//callback",
    "https:///web.example/callback",
    "https:/web.example/callback",
    "https:web.example/callback",
    "https:\\\\web.example\\callback",
    "https://web.example/./callback",
    "https://web.example/%63allback",
    "https://web.example/callback%20",
    "https://web.example/callback ",
    " https://web.example/callback",
    "https://web.example/call\tback",
    "https://web.example/callback\n",
    "https://web.example/callback\r\nLocation: https://evil.example/",
    "https://web.example/callback\u{0}",
    "https://web.example/callback\u{feff}",
    // Another path.
    "https://web.example",
    "https://web.example/",
    "https://web.example/callbac",
    "https://web.example/callback/",
    "https://web.example/callbackx",
    "https://web.example/callback.evil.example",
    "https://web.example/callback/../evil",
    "https://web.example/callback/..;/evil",
    "https://web.example/callback/..%2fevil",
    "https://web.example/callback/%2e%2e/evil",
    "https://web.example/callback%2f..%2fevil",
    "https://web.example/evil/../callback",
    "https://web.example/callback;jsessionid=1",
    "https://web.example/callback,https://evil.example/",
    // Another query, or a fragment.
    "https://web.example/callback?",
    "https://web.example/callback?x=1",
    "https://web.example/callback?tab=2",
    "https://web.example/callback?tab=1&x=1",
    "https://web.example/callback?tab=1&tab=1",
    "https://web.example/callback?redirect_uri=https://evil.example/",
    "https://web.example/callback#",
    "https://web.example/callback#https://evil.example/",
    "https://web.example/callback%23",
    "https://web.example/callback?tab=1#x",
    // Not an address at all.
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "/callback",
    "//web.example/callback",
    "web.example/callback",
    "callback",
    "*",
    "https://*/callback",
    "null",
    "about:blank",
    "urn:ietf:wg:oauth:2.0:oob",
    "file:///etc/passwd",
];

/// What attackers send instead of `http://127.0.0.1/callback`, registered for a native application.
const HOSTILE_LOOPBACK: &[&str] = &[
    "https://127.0.0.1/callback",
    "http://127.0.0.1:80:80/callback",
    "http://127.0.0.1:port/callback",
    "http://127.0.0.1:65536/callback",
    "http://127.0.0.1:-1/callback",
    "http://127.0.0.1:8080/Callback",
    "http://127.0.0.1:8080/callback/",
    "http://127.0.0.1:8080/callback?x=1",
    "http://127.0.0.1:8080/callback#x",
    "http://127.0.0.1:8080",
    "http://127.0.0.1:8080/",
    "http://127.0.0.1:8080//callback",
    "http://127.0.0.1:8080/../callback",
    "http://127.0.0.1:8080\\callback",
    "http://127.0.0.1:80@evil.example/callback",
    "http://127.0.0.1@evil.example/callback",
    "http://evil.example@127.0.0.1/callback",
    "http://user@127.0.0.1:8080/callback",
    "http://127.0.0.1:8080\\@evil.example/callback",
    "http://127.0.0.1.evil.example:8080/callback",
    "http://127.0.0.2:8080/callback",
    "http://127.1:8080/callback",
    "http://2130706433:8080/callback",
    "http://0x7f000001:8080/callback",
    "http://0177.0.0.1:8080/callback",
    "http://127.0.0.1.:8080/callback",
    "http://localhost:8080/callback",
    "http://LOCALHOST:8080/callback",
    "http://0.0.0.0:8080/callback",
    "http://[::]:8080/callback",
    "http://[::1]:8080/other",
    "http://[0:0:0:0:0:0:0:1]:8080/callback",
    "http://[::ffff:127.0.0.1]:8080/callback",
    "HTTP://127.0.0.1:8080/callback",
    "http://127.0.0.1:80 80/callback",
    "http://127.0.0.1:8\t080/callback",
    "http://127.0.0.1\n:8080/callback",
    " http://127.0.0.1:8080/callback",
    "http://127.0.0.1:8080/callback\n",
    "http:127.0.0.1:8080/callback",
    "http:///127.0.0.1:8080/callback",
    "http://127.0.0.1:8080%2fcallback",
    "http://127.0.0.1:\u{0661}/callback",
    "com.example.app:8080/callback",
    "com.example.app://callback",
    "COM.EXAMPLE.APP:/callback",
    "com.example.app:/callback/",
    "com.example.evil:/callback",
];

/// True if the server would send the browser to `uri`.
async fn is_accepted(server: &TestServer, client: &Client, uri: &str) -> bool {
    let path = client.authorize_path(&[("redirect_uri", uri), ("prompt", "none")]);
    let page = Browser::new().get(server, &path).await;
    match page.answer.status.as_u16() {
        302 => {
            let location = page.answer.header(header::LOCATION);
            assert!(location.starts_with(uri), "{uri} became {location}");
            assert_eq!(query_of(location)["error"], "login_required");
            true
        }
        400 => {
            assert!(!page.answer.headers.contains_key(header::LOCATION), "{uri}");
            false
        }
        status => panic!("{status} for {uri:?}: {}", page.answer.text),
    }
}

#[tokio::test]
async fn only_a_registered_address_is_returned_to() {
    let server = world::start().await;
    assert!(HOSTILE.len() > 60);
    for uri in HOSTILE {
        assert!(!is_accepted(&server, &WEB, uri).await, "{uri:?} was accepted");
    }
    for uri in ["https://web.example/callback", "https://web.example/callback?tab=1"] {
        assert!(is_accepted(&server, &WEB, uri).await, "{uri}");
    }
}

#[tokio::test]
async fn every_change_of_one_character_is_another_address() {
    let server = world::start().await;
    let registered = WEB.redirect_uri;
    let known = ["https://web.example/callback", "https://web.example/callback?tab=1"];
    for at in 0..=registered.len() {
        let (head, tail) = registered.split_at(at);
        let shorter = tail.get(1..).unwrap_or_default();
        let mut variants = vec![head.to_owned(), format!("{head}{shorter}")];
        for with in ["/", ".", "A", "%", "@", ":", "?", "\\", "\u{e4}"] {
            variants.push(format!("{head}{with}{tail}"));
            variants.push(format!("{head}{with}{shorter}"));
        }
        if let Some(first) = tail.chars().next() {
            let swapped: String = match first {
                first if first.is_lowercase() => first.to_uppercase().collect(),
                first => format!("%{:02X}", u32::from(first)),
            };
            variants.push(format!("{head}{swapped}{shorter}"));
        }
        for uri in variants.into_iter().filter(|uri| !uri.is_empty()) {
            let is_known = known.contains(&uri.as_str());
            assert_eq!(is_accepted(&server, &WEB, &uri).await, is_known, "{uri:?}");
        }
    }
}

#[tokio::test]
async fn a_native_application_may_listen_on_any_loopback_port_and_nowhere_else() {
    let server = world::start().await;
    for uri in [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1:54321/callback",
        "http://127.0.0.1:65535/callback",
        "http://[::1]:7000/callback",
        "http://[::1]:54321/callback",
        "http://[::1]/callback",
        "com.example.app:/callback",
    ] {
        assert!(is_accepted(&server, &NATIVE, uri).await, "{uri}");
    }
    for uri in HOSTILE_LOOPBACK {
        assert!(!is_accepted(&server, &NATIVE, uri).await, "{uri:?} was accepted");
    }
}

#[tokio::test]
async fn the_port_counts_for_applications_that_are_not_native() {
    let server = world::start().await;
    for kind in ["regular_web", "spa", "agent", "non_interactive"] {
        let setup = format!(
            "clients: [{{client_id: local-{kind}, app_type: {kind}, callbacks: ['http://127.0.0.1:3000/callback']}}]"
        );
        server.apply(&setup).await.unwrap();
        let client_id: &'static str = Box::leak(format!("local-{kind}").into_boxed_str());
        let client = Client { client_id, ..NATIVE };
        assert!(is_accepted(&server, &client, "http://127.0.0.1:3000/callback").await, "{kind}");
        for uri in ["http://127.0.0.1:3001/callback", "http://127.0.0.1/callback"] {
            assert!(!is_accepted(&server, &client, uri).await, "{kind}: {uri}");
        }
    }
}

#[tokio::test]
async fn an_address_of_another_application_is_not_ones_own() {
    let server = world::start().await;
    let clients = [&WEB, &world::PLAIN, &world::SPA, &NATIVE, &world::PARTNER];
    for client in clients {
        for other in clients {
            let is_own = client.client_id == other.client_id;
            assert_eq!(is_accepted(&server, client, other.redirect_uri).await, is_own);
        }
    }
}
