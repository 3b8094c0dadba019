//! The messages of the gRPC interfaces, generated from `proto/` by `xtask proto`. Requests and
//! answers are these types on HTTP too; `json` reads and writes them there.

#[path = "gen/authzen.v1.rs"]
#[expect(clippy::doc_markdown, reason = "generated")]
pub mod authzen_v1;
#[path = "gen/grpc.health.v1.rs"]
#[expect(clippy::doc_markdown, reason = "generated")]
pub mod health_v1;
#[path = "gen/openfga.v1.rs"]
#[expect(clippy::doc_markdown, clippy::use_self, reason = "generated")]
pub mod openfga_v1;
#[path = "gen/grpc.reflection.v1.rs"]
pub mod reflection_v1;

/// The descriptors of them all, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
