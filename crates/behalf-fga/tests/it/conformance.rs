//! OpenFGA's own behaviour files, asked of the engine in process. `tests/it/conformance_fga.rs` asks
//! them of the server.
#![expect(clippy::print_stdout, reason = "how many assertions ran is worth reading")]

pub(crate) mod runner;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, ListObjectsRequest, ListUsersRequest, PageRequest,
    RequestContext, RequestError, StoreModel, TupleKey, User, UserFilter, WriteRequest,
};
use serde_json::Value;

use runner::{CHUNK, Question, Said, Way, run, text_of};

#[derive(Default)]
struct InProcess {
    fga: FgaStore,
    model: Option<Arc<StoreModel>>,
}

impl InProcess {
    fn model(&self) -> &StoreModel {
        self.model.as_ref().unwrap()
    }
}

fn keys(tuples: &[Value]) -> Vec<TupleKey> {
    tuples.iter().map(|tuple| serde_json::from_value(tuple.clone()).unwrap()).collect()
}

fn request<'a>(question: Question<'a>, tuples: &'a [TupleKey]) -> RequestContext<'a> {
    let context = question.context.as_object();
    RequestContext { contextual_tuples: tuples, context, ..RequestContext::default() }
}

fn said<T>(answer: Result<T, RequestError>, is: impl FnOnce(T) -> Said) -> Said {
    answer.map_or_else(|error| Said::Code(u64::from(error.code().number())), is)
}

impl Way for InProcess {
    async fn new_store(&mut self) {
        *self = Self::default();
    }

    async fn write(&mut self, model: AuthorizationModel, tuples: &[Value]) {
        let model = self.fga.add_model(model).unwrap();
        for chunk in tuples.chunks(CHUNK) {
            let request = WriteRequest { writes: keys(chunk), ..WriteRequest::default() };
            self.fga.write(&model, &request).unwrap();
        }
        self.model = Some(model);
    }

    async fn check(&self, question: Question<'_>) -> Said {
        let tuples = keys(question.tuples);
        let check = CheckRequest {
            user: text_of(question.asked, "user"),
            relation: text_of(question.asked, "relation"),
            object: text_of(question.asked, "object"),
            request: request(question, &tuples),
        };
        said(self.fga.snapshot().check(self.model(), &check), Said::Check)
    }

    async fn list_objects(&self, question: Question<'_>) -> Said {
        let tuples = keys(question.tuples);
        let list = ListObjectsRequest {
            user: text_of(question.asked, "user"),
            relation: text_of(question.asked, "relation"),
            object_type: text_of(question.asked, "type"),
            request: request(question, &tuples),
        };
        said(self.fga.snapshot().list_objects(self.model(), &list), Said::list)
    }

    async fn list_users(&self, question: Question<'_>) -> Said {
        let tuples = keys(question.tuples);
        let (type_name, relation) = question.user_filter();
        let relation = Some(relation).filter(|relation| !relation.is_empty());
        let list = ListUsersRequest {
            object: text_of(question.asked, "object"),
            relation: text_of(question.asked, "relation"),
            filter: UserFilter { type_name, relation },
            request: request(question, &tuples),
        };
        let users = self.fga.snapshot().list_users(self.model(), &list, &PageRequest::default());
        said(users, |users| {
            assert!(users.is_complete && users.next.is_none(), "{}", question.asked);
            Said::list(users.items.iter().map(User::to_string).collect())
        })
    }
}

#[test]
fn openfgas_assertions_hold_in_process() {
    let mut way = InProcess::default();
    // The engine never waits for anything.
    let done = pin!(run("engine in process", &mut way));
    assert_eq!(done.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
}
