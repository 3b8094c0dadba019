//! How far a caller sees into the runs of agents: her own, and others' by her roles.

use behalf_identity::{Resource, Right, User, right};
use behalf_traces::{ContentRight, Reader};

use crate::access::Caller;

impl Caller {
    /// The caller as a reader of traces. Roles are the person's of this very request; a machine
    /// that acts for nobody has none.
    pub fn trace_reader(&self) -> Reader {
        match self {
            Self::Person(session) => reader(&session.user),
            Self::Token(_, Some(user)) => reader(user),
            Self::Token(_, None) | Self::Fga(_) => {
                Reader { user_id: None, sees_all: false, content: ContentRight::Withheld }
            }
        }
    }
}

fn reader(user: &User) -> Reader {
    let reach = |resource| user.roles.iter().map(|role| right(*role, resource)).max();
    let content = match reach(Resource::Content).unwrap_or(Right::None) {
        Right::None => ContentRight::Withheld,
        // Who may see but not take out sees it without what names people.
        Right::Read => ContentRight::Masked,
        Right::Write | Right::Export => ContentRight::Full,
    };
    let sees_all = reach(Resource::Dashboards).is_some_and(|right| right >= Right::Read);
    Reader { user_id: Some(user.user_id.clone()), sees_all, content }
}
