//! Telling open pages that something moved, and nothing of what: a page then asks for itself again.

use std::convert::Infallible;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderValue, header};

/// Who waits for news.
pub(crate) trait Following: Send + 'static {
    /// True when something moved, false after a while without, which keeps the connection; `None`
    /// when nobody may follow any longer.
    fn next(&mut self) -> impl Future<Output = Option<bool>> + Send;
}

/// Server-sent events (HTML §9.2) for as long as there is somebody who follows.
pub(crate) fn events(following: impl Following) -> Response {
    let news = stream::unfold((following, true), async |(mut following, is_first)| {
        if is_first {
            let event = Event::default().comment("following");
            return Some((Ok::<_, Infallible>(event), (following, false)));
        }
        let is_news = following.next().await?;
        let event = if is_news {
            Event::default().data("moved")
        } else {
            Event::default().comment("still following")
        };
        Some((Ok(event), (following, false)))
    });
    let mut response = Sse::new(news).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
