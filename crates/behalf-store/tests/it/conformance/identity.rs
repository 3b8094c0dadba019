//! Applications: found by what their settings name.

use behalf_core::ClientId;
use behalf_store::Storage;
use behalf_store::identity::clients;

use super::{at, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    applications_are_found_by_how_a_string_in_their_settings_begins(storage).await;
}

async fn applications_are_found_by_how_a_string_in_their_settings_begins(storage: &Storage) {
    let (tenant, elsewhere) = (tenant("naming"), tenant("naming-elsewhere"));
    let settings = [
        ("b", r#"{"web_origins":["https://x.example","https://a.example"]}"#),
        ("B", r#"{"web_origins":["https://a.example"]}"#),
        ("longer", r#"{"web_origins":["https://a.example.evil.example"]}"#),
        ("inside", r#"{"callbacks":["https://a.example/callback"]}"#),
        ("none", "{}"),
    ];
    let mut create = unit(3_540);
    for (id, settings) in settings {
        let client_id: ClientId = id.parse().unwrap();
        create.add(clients::insert(&tenant, &client_id, None, settings, at(1)));
    }
    let client_id: ClientId = "other".parse().unwrap();
    create.add(clients::insert(&elsewhere, &client_id, None, settings[1].1, at(1)));
    storage.commit(create).await.unwrap();
    let named = async |text: &str| {
        let rows = clients::list_naming(storage, &tenant, text).await.unwrap();
        rows.into_iter().map(|row| row.client_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(named("https://a.example").await, ["B", "b", "inside", "longer"]);
    assert_eq!(named("https://a.example.").await, ["longer"]);
    assert_eq!(named("https://x.example").await, ["b"]);
    assert_eq!(named("a.example").await, [""; 0]);
}
