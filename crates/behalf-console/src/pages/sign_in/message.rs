//! One thing to say in passing: an error, or that something is done.

use askama::Template;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in/message.html")]
pub(crate) struct Message {
    pub(crate) title: String,
    pub(crate) text: String,
    /// A label and where it leads.
    pub(crate) action: Option<(String, String)>,
}

pub(crate) fn samples() -> Vec<Message> {
    vec![
        Message {
            title: "You are signed out".to_owned(),
            text: "Your session in this browser is over.".to_owned(),
            action: Some(("Sign in again".to_owned(), "/".to_owned())),
        },
        Message {
            title: "Cannot sign in".to_owned(),
            text: "The application asked to return to an address that is not registered for it."
                .to_owned(),
            action: None,
        },
    ]
}
