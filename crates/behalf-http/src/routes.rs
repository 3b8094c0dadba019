//! Routes, none without a rule, and the one service that each of them is: who calls is asked, the
//! handler runs, and what every answer of its dialect says is added. One service and not a layer for
//! each, because every layer boxes and copies the hottest requests once more.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on_service};
use futures_util::FutureExt as _;
use http::{HeaderMap, Method, StatusCode, Uri};
use tower::Service;

use crate::access::{DenialShape, RouteRule, Rule, enforce};
use crate::{HttpContext, cors};

/// The largest body that any route reads, in bytes, unless the route says otherwise.
const BODY_LIMIT: usize = 256 * 1024;

/// What every answer of a dialect says of the request that it answers.
pub type AnswerHeaders = fn(&HttpContext, &Uri) -> HeaderMap;

/// The path of the route that answered, with its placeholders, as an extension of the answer.
#[derive(Clone, Copy, Debug)]
pub struct RoutePath(pub &'static str);

/// Routes and the rules that guard them; a route cannot be added without one.
#[derive(Debug)]
pub struct Routes {
    router: Router,
    rules: Vec<RouteRule>,
    /// What the next route has in common with those before.
    next: Guard,
}

impl Routes {
    /// No routes yet.
    pub fn new(context: HttpContext, shape: DenialShape) -> Self {
        Self { router: Router::new(), rules: Vec::new(), next: Guard::new(context, shape) }
    }

    /// The routes added from here on read bodies of up to `bytes`.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.next.body_limit = bytes;
        self
    }

    /// The routes added from here on answer the pages of applications too (see [`cors`]).
    #[must_use]
    pub const fn cross_origin(mut self) -> Self {
        self.next.is_cross_origin = true;
        self
    }

    /// The answers of the routes added from here on carry these headers, denials too.
    #[must_use]
    pub const fn headers(mut self, headers: AnswerHeaders) -> Self {
        self.next.headers = Some(headers);
        self
    }

    /// Adds `handler` at `path`, guarded by `rule`.
    #[must_use]
    pub fn route<H, T>(mut self, method: Method, path: &'static str, rule: Rule, handler: H) -> Self
    where
        H: Handler<T, HttpContext>,
        T: 'static,
    {
        if let Ok(filter) = MethodFilter::try_from(method.clone()) {
            let guarded = Guarded::new(Guard { path, rule, ..self.next.clone() }, handler);
            self.router = self.router.route(path, on_service(filter, guarded));
            self.rules.push(RouteRule { method, path, rule });
        }
        self
    }

    /// Lets `handler` answer whatever has no route.
    #[must_use]
    pub fn otherwise<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, HttpContext>,
        T: 'static,
    {
        let Guard { context, shape, .. } = self.next.clone();
        let guarded = Guarded::new(Guard::new(context, shape), handler);
        self.router = self.router.fallback_service(guarded);
        self
    }

    /// Adds the routes of `other`, which stay as they are.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.rules.extend(other.rules);
        self
    }

    /// The table of every route added so far.
    pub fn rules(&self) -> &[RouteRule] {
        &self.rules
    }

    /// The router, and the table of every route in it.
    pub fn into_parts(self) -> (Router, Vec<RouteRule>) {
        (self.router, self.rules)
    }
}

/// What is known of a route beside its handler.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) context: HttpContext,
    path: &'static str,
    pub(crate) rule: Rule,
    pub(crate) shape: DenialShape,
    body_limit: usize,
    is_cross_origin: bool,
    headers: Option<AnswerHeaders>,
}

impl Guard {
    const fn new(context: HttpContext, shape: DenialShape) -> Self {
        let (path, rule) = ("none", Rule::Public);
        let (body_limit, is_cross_origin, headers) = (BODY_LIMIT, false, None);
        Self { context, path, rule, shape, body_limit, is_cross_origin, headers }
    }

    /// The answer of `handler`, if the rule lets the request through to it.
    async fn answer(
        &self,
        request: Request,
        mut handler: impl Service<Request, Response = Response, Error = Infallible>,
    ) -> Response {
        let (mut parts, body) = request.into_parts();
        let headers = self.headers.map(|headers| headers(&self.context, &parts.uri));
        let origin = match self.is_cross_origin {
            true => Some(cors::allowed(&self.context, &parts.headers).await),
            false => None,
        };
        let mut response = match enforce(self, &mut parts).await {
            Err(refusal) => refusal,
            Ok(()) => {
                let mut request = Request::from_parts(parts, body);
                DefaultBodyLimit::max(self.body_limit).apply(&mut request);
                let Ok(response) = handler.call(request).await;
                response
            }
        };
        if let Some(origin) = origin {
            cors::answer(response.headers_mut(), origin);
        }
        response.headers_mut().extend(headers.unwrap_or_default());
        response
    }
}

/// The answer, or another one in its place when it panics: the connection goes on.
async fn caught(path: &'static str, answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_panic| {
        tracing::error!(route = path, "a request ended in a panic");
        (StatusCode::INTERNAL_SERVER_ERROR, "the server failed over this request\n").into_response()
    })
}

/// A handler behind its guard.
#[derive(Clone)]
struct Guarded<S> {
    guard: Arc<Guard>,
    handler: S,
}

impl Guarded<()> {
    fn new<H, T>(
        guard: Guard,
        handler: H,
    ) -> Guarded<
        impl Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync,
    >
    where
        H: Handler<T, HttpContext>,
        T: 'static,
    {
        let handler = handler.with_state(guard.context.clone());
        Guarded { guard: Arc::new(guard), handler }
    }
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { guard, handler } = self.clone();
        Box::pin(async move {
            let mut response = caught(guard.path, guard.answer(request, handler)).await;
            response.extensions_mut().insert(RoutePath(guard.path));
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_a_request_and_nothing_else() {
        let status = |answer| caught("/", answer).now_or_never().map(|answer| answer.status());
        let well = async { StatusCode::NO_CONTENT.into_response() }.boxed();
        assert_eq!(status(well), Some(StatusCode::NO_CONTENT));
        let panics = async { Vec::<Response>::new().remove(0) }.boxed();
        assert_eq!(status(panics), Some(StatusCode::INTERNAL_SERVER_ERROR));
    }
}
