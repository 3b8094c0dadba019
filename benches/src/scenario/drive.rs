//! People in nested groups, folders eight to a folder, documents; one tuple in twenty under a
//! condition. The same set as the part `fga` asks in process.

use serde_json::{Map, Value};

use super::{Question, Scenario};
use crate::fga::drive::{Drive, MODEL, NOW};

const SEED: u64 = 2026;

pub(super) fn drive(tuples: u64) -> Scenario {
    let drive = Drive::new(SEED, tuples);
    let by_group = drive.folders_by_group();
    Scenario {
        name: "drive",
        model: MODEL,
        tuples: Box::new(drive.tuples()),
        question: Box::new(move |n| {
            let (user, doc) = drive.question(n, &by_group);
            let is_allowed = drive.can_view(user, doc);
            Question::check(drive.id("user", user), "viewer", drive.id("doc", doc), is_allowed)
        }),
        context: Map::from_iter([("now".to_owned(), Value::from(NOW))]),
    }
}
