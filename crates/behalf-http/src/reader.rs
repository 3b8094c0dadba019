//! How far a caller sees into the runs of agents: her own, and others' by her roles.

use behalf_core::ProjectId;
use behalf_identity::{Resource, Right, User, right};
use behalf_traces::{ContentRight, Reader};

use crate::access::Caller;
use crate::person::Person;

impl Caller {
    /// The caller as a reader of traces. Roles are the person's of this very request; a machine
    /// that acts for nobody has none.
    pub fn trace_reader(&self) -> Reader {
        match self {
            Self::Person(session) => reader(&session.user),
            Self::Token(_, Some(user)) => reader(user),
            // Roles decide who sees what people and models said, and a key has none.
            Self::Project(_) => {
                Reader { user_id: None, sees_all: true, content: ContentRight::Withheld }
            }
            Self::Token(_, None) | Self::Fga(..) => {
                Reader { user_id: None, sees_all: false, content: ContentRight::Withheld }
            }
        }
    }

    /// The project whose traces the caller asks for: a key's own, else the default one.
    pub fn trace_project(&self) -> ProjectId {
        match self {
            Self::Project(machine) => machine.project.clone(),
            Self::Person(_) | Self::Token(..) | Self::Fga(..) => ProjectId::default_project(),
        }
    }
}

impl Person {
    /// As [`Caller::trace_reader`].
    pub fn trace_reader(&self) -> Reader {
        reader(&self.session.user)
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
