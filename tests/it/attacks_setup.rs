//! Set-up files that are wrong in ways a hurried person, or an enemy, would make them.

use behalf_tests::TestServer;

/// Asserts that the file is refused with these words, and that nothing of it was stored.
async fn refused(setup: &str, words: &[&str]) {
    let server = TestServer::start("").await;
    let before = server.events().await.len();
    let Err(error) = server.apply(setup).await else { panic!("accepted: {setup}") };
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
    assert_eq!(server.events().await.len(), before, "{setup}");
    assert_eq!(server.server.identity.count_users().await.unwrap(), 0, "{setup}");
}

#[tokio::test]
async fn unknown_keys_are_errors_in_every_corner() {
    for (setup, key) in [
        (
            "resource_servers: [{identifier: 'https://a/', scopes: [{value: r, descripton: x}]}]",
            "descripton",
        ),
        ("fga: {stores: [{name: abc, modle: x}]}", "modle"),
        (
            "fga: {stores: [{name: abc, tuples: [{user: 'user:a', relation: r, object: 'd:1', contexts: {}}]}]}",
            "contexts",
        ),
        (
            "fga: {stores: [{name: abc, tuples: [{user: 'user:a', relation: r, object: 'd:1', condition: {name: c, contexts: {}}}]}]}",
            "contexts",
        ),
        ("fga: {api_keys: [{name: a, key: long-enough, store: []}]}", "store"),
        ("client_grants: [{client_id: a, audience: b, scopes: []}]", "scopes"),
        ("users: [{user_id: 'auth0|a', admin: true}]", "admin"),
        ("user: []", "user"),
    ] {
        refused(setup, &["setup.yaml", key, "line 1"]).await;
    }
}

#[tokio::test]
async fn what_stands_twice_is_named() {
    for (setup, words) in [
        (
            "users: [{user_id: 'auth0|a', name: A}, {user_id: 'auth0|a', name: B}]",
            ["auth0|a", "twice"],
        ),
        ("clients: [{client_id: a}, {client_id: a, name: B}]", ["`a`", "twice"]),
        (
            "resource_servers: [{identifier: 'https://a/'}, {identifier: 'https://a/'}]",
            ["https://a/", "twice"],
        ),
        (
            "clients: [{client_id: a}]\nresource_servers: [{identifier: 'https://a/'}]\n\
          client_grants: [{client_id: a, audience: 'https://a/'}, {client_id: a, audience: 'https://a/', scope: [x]}]",
            ["https://a/", "twice"],
        ),
        (
            "fga: {api_keys: [{name: a, key: long-enough-1}, {name: a, key: long-enough-2}]}",
            ["`a`", "twice"],
        ),
        (
            "fga: {api_keys: [{name: a, key: long-enough-1}, {name: b, key: long-enough-1}]}",
            ["`b`", "key"],
        ),
        ("fga: {stores: [{name: abc}, {name: abc}]}", ["abc", "twice"]),
        (
            "users: [{user_id: 'auth0|a', email: a@x}, {user_id: 'auth0|b', email: A@X}]",
            ["auth0|b", "A@X"],
        ),
        ("users: []\nusers: []", ["duplicate", "users"]),
        ("users: [{user_id: 'auth0|a', name: A, name: B}]", ["duplicate", "name"]),
    ] {
        refused(setup, &words).await;
    }
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_is_told_in_words() {
    for (setup, words) in [
        ("resource_servers: [{identifier: 'https://a/', token_lifetime: soon}]", "whole number"),
        ("resource_servers: [{identifier: 'https://a/', token_lifetime: -5}]", "whole number"),
        ("users: 3", "expected a list"),
        ("users: [3]", "expected a mapping"),
    ] {
        refused(setup, &[words]).await;
    }
}

#[tokio::test]
async fn bombs_and_other_documents_are_refused() {
    let mut bomb = String::from("users: []\nclients:\n  - &a0 {client_id: a}\n");
    for level in 1..12 {
        let again = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("  - &a{level} [{again}]\n");
    }
    let aliases =
        format!("clients: [{}]", "&x {client_id: a}, ".repeat(10) + &"*x, ".repeat(100_000));
    let deep = format!("users: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let names: String = (0..200_000).map(|n| format!("k{n}: 1\n")).collect();
    for setup in [
        &*bomb,
        &aliases,
        &deep,
        &names,
        "users: []\n---\nusers: []\n",
        "\u{0}",
        "[]",
        "x",
        "users: !!binary aGk=",
        "users: {a: b}",
        "? [a]\n: b",
        "users: \"\\ud800\"",
    ] {
        let started = std::time::Instant::now();
        refused(setup, &[]).await;
        assert!(started.elapsed().as_secs() < 20, "{}", setup.chars().take(60).collect::<String>());
    }
}

#[tokio::test]
async fn callbacks_are_plain_text_that_a_header_can_carry() {
    for uri in [
        r"https://a/\ncb",
        r"https://a/ b",
        r"https://a/cb\u00e9",
        r" https://a/cb",
        r"https://a/cb\t",
    ] {
        let setup = format!("clients: [{{client_id: a, callbacks: [\"{uri}\"]}}]");
        refused(&setup, &["`a`", "address"]).await;
    }
}
