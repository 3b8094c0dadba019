//! Behalf through its public interfaces: one binary, so that it links once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod access_coverage;
mod approvals;
mod attacks;
mod attacks_fga;
mod attacks_setup;
mod authorize;
mod authzen;
mod by_address;
mod change_password;
mod chat;
mod ciba;
mod codes;
mod command_line;
mod conformance_fga;
mod connect;
mod consent;
mod console;
mod cross_origin;
#[path = "../../crates/behalf-fga/tests/it/dice.rs"]
mod dice;
mod documents;
mod exchange;
mod export;
mod fga;
mod fga_access;
mod fga_cli;
mod fga_copy;
mod fga_extensions;
mod fga_grpc;
mod fga_limits;
mod fga_move;
mod fga_semantics;
mod fga_shadow_back;
mod fga_snapshots;
mod fga_socket;
mod fga_surface;
mod gate;
mod group_commit;
mod history_authz;
mod how_to;
mod kill;
mod ledger;
mod listener;
mod metrics;
mod nodes;
mod openapi;
mod outage;
#[path = "../../crates/behalf-fga/tests/it/history/plain.rs"]
mod plain;
mod playground;
mod projects;
mod redirect_uri;
mod refresh;
mod setup;
mod supply;
mod tidy;
mod tokens;
mod traces;
mod vault;
mod world;
