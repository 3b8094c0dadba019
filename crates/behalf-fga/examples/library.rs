//! Authorization inside a program: no server, no database, no runtime.
//!
//! `cargo run -p behalf-fga --example library`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, ListObjectsRequest, TupleKey, WriteRequest,
};

const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user]
type document
  relations
    define viewer: [user, group#member]
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(MODEL)?)?;
    let writes = vec![
        TupleKey::new("user:anne", "member", "group:engineering"),
        TupleKey::new("group:engineering#member", "viewer", "document:plan"),
    ];
    store.write(&model, &WriteRequest { writes, ..WriteRequest::default() })?;

    let now = store.snapshot();
    let (user, relation) = ("user:anne", "viewer");
    let check = CheckRequest { user, relation, object: "document:plan", ..Default::default() };
    println!("may anne view the plan? {}", now.check(&model, &check)?);
    for step in now.explain(&model, &check)?.path {
        println!("  because {step}");
    }
    let list = ListObjectsRequest { user, relation, object_type: "document", ..Default::default() };
    println!("anne may view {:?}", now.list_objects(&model, &list)?);
    Ok(())
}
