//! The body of a chat's answer: frames as they come, pings while nothing comes, and an end that is
//! whole even while the turn waits on.
//!
//! Dropping the body stops this stream and nothing else.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use behalf_agent::dialect::{Dialect, Encoder};
use behalf_agent::{Follower, Standing};
use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode, Version};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a stream says nothing before it says that it is there.
const PING: Duration = Duration::from_secs(5);

pub(super) fn respond(
    follower: Follower,
    encoder: Encoder,
    dialect: Dialect,
    version: Version,
    hold: Duration,
) -> Response {
    let answer = Answer { follower, encoder, hold, until: None, stage: Stage::Begin };
    let frames = stream::unfold(answer, |mut answer| async move {
        let frames = answer.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frames)), answer))
    });
    (StatusCode::OK, headers(dialect, version), Body::from_stream(frames)).into_response()
}

fn headers(dialect: Dialect, version: Version) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CACHE_CONTROL, "no-cache");
    set(HeaderName::from_static("x-accel-buffering"), "no");
    match dialect {
        Dialect::Ui { .. } => {
            set(header::CONTENT_TYPE, "text/event-stream");
            set(HeaderName::from_static("x-vercel-ai-ui-message-stream"), "v1");
            // HTTP/2 has no such header.
            if version <= Version::HTTP_11 {
                set(header::CONNECTION, "keep-alive");
            }
        }
        Dialect::Data { .. } => {
            set(header::CONTENT_TYPE, "text/plain; charset=utf-8");
            set(HeaderName::from_static("x-vercel-ai-data-stream"), "v1");
        }
        Dialect::Text => set(header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    }
    headers
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Follow,
    Over,
}

struct Answer {
    follower: Follower,
    encoder: Encoder,
    hold: Duration,
    /// When the stream ends although the turn waits.
    until: Option<Instant>,
    stage: Stage,
}

impl Answer {
    /// The next frames; `None` when there are no more.
    async fn next(&mut self) -> Option<String> {
        loop {
            match self.stage {
                Stage::Over => return None,
                Stage::Begin => {
                    self.stage = Stage::Follow;
                    let frames = self.encoder.begin();
                    if !frames.is_empty() {
                        return Some(frames);
                    }
                }
                Stage::Follow => {
                    let frames = self.follow();
                    if !frames.is_empty() || self.stage == Stage::Over {
                        return Some(frames);
                    }
                    if let Some(ping) = self.wait().await {
                        return Some(ping);
                    }
                }
            }
        }
    }

    /// What has happened since the last look.
    fn follow(&mut self) -> String {
        let (events, standing) = self.follower.take();
        let mut frames = String::new();
        for event in &events {
            frames.push_str(&self.encoder.encode(event));
        }
        match standing {
            Standing::Over => {
                frames.push_str(&self.encoder.end(false));
                self.stage = Stage::Over;
            }
            Standing::Waiting => {
                let hold =
                    if self.encoder.ends_at_interrupts() { Duration::ZERO } else { self.hold };
                let now = Instant::now();
                if *self.until.get_or_insert_with(|| now + hold) <= now {
                    frames.push_str(&self.encoder.end(true));
                    self.stage = Stage::Over;
                }
            }
            // Only what happens gives a stream new time, not a turn that asks again in vain.
            Standing::Running if !events.is_empty() => self.until = None,
            Standing::Running => {}
        }
        frames
    }

    /// Waits for more; gives a ping when it takes long.
    async fn wait(&mut self) -> Option<String> {
        let until = self.until.unwrap_or_else(|| Instant::now() + PING * 2);
        tokio::select! {
            is_alive = self.follower.changed() => {
                if !is_alive {
                    tracing::debug!("a turn's log is gone");
                }
                None
            }
            () = sleep(PING) => {
                let ping = self.encoder.ping();
                (!ping.is_empty()).then(|| ping.to_owned())
            }
            () = sleep_until(until) => None,
        }
    }
}
