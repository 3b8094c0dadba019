//! Asked of the engine in process.

use std::collections::BTreeSet;

use behalf_fga::{
    CheckRequest, FgaStore, ListObjectsRequest, ListUsersRequest, PageRequest, RequestContext,
    RequestError, StoreModel, User, UserFilter, WriteRequest,
};
use serde_json::{Value, json};

use super::data::{
    CHUNK, Said, Stage, Tally, contextual, expected, keys, list, model, run, tests, text,
};

/// Questions of one stage, asked of the engine.
struct Engine<'a> {
    fga: &'a FgaStore,
    model: &'a StoreModel,
}

impl Engine<'_> {
    fn check(&self, tuple: &Value, request: RequestContext<'_>) -> Said {
        let check = CheckRequest {
            user: text(tuple, "user"),
            relation: text(tuple, "relation"),
            object: text(tuple, "object"),
            request,
        };
        said(self.fga.snapshot().check(self.model, &check), Said::Check)
    }

    fn list_objects(&self, request: &Value, context: RequestContext<'_>) -> Said {
        let list = ListObjectsRequest {
            user: text(request, "user"),
            relation: text(request, "relation"),
            object_type: text(request, "type"),
            request: context,
        };
        let objects = self.fga.snapshot().list_objects(self.model, &list);
        if let Ok(objects) = &objects {
            let distinct: BTreeSet<_> = objects.iter().collect();
            assert_eq!(distinct.len(), objects.len(), "an object is listed twice: {request}");
        }
        said(objects, |objects| Said::List(objects.into_iter().collect()))
    }

    fn list_users(&self, request: &Value, context: RequestContext<'_>) -> Said {
        let filter = list(&request["filters"]).first().and_then(Value::as_str).unwrap();
        let (type_name, relation) = match filter.split_once('#') {
            Some((type_name, relation)) => (type_name, Some(relation)),
            None => (filter, None),
        };
        let list = ListUsersRequest {
            object: text(request, "object"),
            relation: text(request, "relation"),
            filter: UserFilter { type_name, relation },
            request: context,
        };
        let users = self.fga.snapshot().list_users(self.model, &list, &PageRequest::default());
        said(users, |users| {
            assert!(users.is_complete && users.next.is_none(), "{request}");
            let distinct: BTreeSet<_> = users.items.iter().map(User::to_string).collect();
            assert_eq!(distinct.len(), users.items.len(), "a user is listed twice: {request}");
            Said::List(distinct)
        })
    }

    fn ask(&self, stage: &Stage<'_>, tally: &mut Tally) {
        self.ask_checks_and_objects(stage, tally);
        for assertion in list(&stage.stage["listUsersAssertions"]) {
            let tuples = keys(&contextual(assertion, stage.along));
            let context = RequestContext {
                contextual_tuples: &tuples,
                context: assertion["context"].as_object(),
                ..RequestContext::default()
            };
            let asked = &assertion["request"];
            let said = self.list_users(asked, context);
            let expected = expected(assertion, &Said::List(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
            let Said::List(users) = said else { continue };
            for user in users {
                let tuple = json!({
                    "user": user, "relation": asked["relation"], "object": asked["object"],
                });
                let said = self.check(&tuple, context);
                assert_eq!(said, Said::Check(true), "{}: {assertion}: {user}", stage.place);
            }
        }
    }

    fn ask_checks_and_objects(&self, stage: &Stage<'_>, tally: &mut Tally) {
        for assertion in list(&stage.stage["checkAssertions"]) {
            let tuples = keys(&contextual(assertion, stage.along));
            let request = RequestContext {
                contextual_tuples: &tuples,
                context: assertion["context"].as_object(),
                ..RequestContext::default()
            };
            let said = self.check(&assertion["tuple"], request);
            let expected = expected(assertion, &Said::Check(false));
            tally.add(&stage.place, assertion, &expected, &said);
        }
        for assertion in list(&stage.stage["listObjectsAssertions"]) {
            let tuples = keys(&contextual(assertion, stage.along));
            let context = RequestContext {
                contextual_tuples: &tuples,
                context: assertion["context"].as_object(),
                ..RequestContext::default()
            };
            let asked = &assertion["request"];
            let said = self.list_objects(asked, context);
            let expected = expected(assertion, &Said::List(BTreeSet::new()));
            tally.add(&stage.place, assertion, &expected, &said);
            let Said::List(objects) = said else { continue };
            for object in objects {
                let tuple =
                    json!({"user": asked["user"], "relation": asked["relation"], "object": object});
                let said = self.check(&tuple, context);
                assert_eq!(said, Said::Check(true), "{}: {assertion}: {object}", stage.place);
            }
        }
    }
}

#[test]
fn openfgas_assertions_hold_in_process() {
    let Some(tests) = tests() else {
        println!("conformance: NOT RUN, the data is absent (BEHALF_CONFORMANCE)");
        return;
    };
    let mut tally = Tally::default();
    run(&tests, |is_stored, stages| {
        let mut fga = FgaStore::new();
        for stage in stages {
            let model = fga.add_model(model(stage.stage)).unwrap();
            if is_stored {
                for chunk in list(&stage.stage["tuples"]).chunks(CHUNK) {
                    let request = WriteRequest { writes: keys(chunk), ..WriteRequest::default() };
                    fga.write(&model, &request).unwrap();
                }
            }
            Engine { fga: &fga, model: &model }.ask(stage, &mut tally);
        }
    });
    tally.finish("engine in process");
}

fn said<T>(answer: Result<T, RequestError>, is: impl FnOnce(T) -> Said) -> Said {
    answer.map_or_else(|error| Said::Code(u64::from(error.code().number())), is)
}
