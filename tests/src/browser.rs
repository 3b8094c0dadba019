//! A browser without script: keeps the cookie, reads forms, follows redirects on our own host.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use behalf_http::PeerAddress;
use http::{Request, header};
use url::form_urlencoded;

use crate::{Answer, ISSUER, TestServer};

/// A browser with one cookie jar.
#[derive(Debug, Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
    address: Option<IpAddr>,
}

/// A page that a browser shows.
#[derive(Debug)]
pub struct Page {
    /// The path and query that it came from.
    pub path: String,
    /// The answer.
    pub answer: Answer,
}

impl Page {
    /// The hidden fields of the page's first form, and where it is posted.
    #[track_caller]
    pub fn form(&self) -> (String, Vec<(String, String)>) {
        self.forms().into_iter().next().unwrap_or_else(|| panic!("no form: {}", self.answer.text))
    }

    /// The hidden fields of the page's first form that is posted to `action`.
    #[track_caller]
    pub fn form_to(&self, action: &str) -> Vec<(String, String)> {
        let form = self.forms().into_iter().find(|(known, _)| known == action);
        form.unwrap_or_else(|| panic!("no form to {action}: {}", self.answer.text)).1
    }

    /// Each form of the page: where it is posted, and its hidden fields.
    pub fn forms(&self) -> Vec<(String, Vec<(String, String)>)> {
        let forms = self.answer.text.split("<form").skip(1);
        forms
            .map(|form| {
                let form = form.split("</form>").next().unwrap_or_default();
                let action = attribute(form, "action").unwrap_or_else(|| self.path.clone());
                let inputs = form.split("<input").skip(1).filter_map(|input| {
                    let input = input.split('>').next()?;
                    let is_hidden = attribute(input, "type").as_deref() == Some("hidden");
                    let value = attribute(input, "value").unwrap_or_default();
                    is_hidden.then_some((attribute(input, "name")?, value))
                });
                (action, inputs.collect())
            })
            .collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!("{name}=\""))?;
    let value = value.split('"').next()?;
    let unescaped = value
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    Some(unescaped)
}

impl Browser {
    /// A browser that has never been here.
    pub fn new() -> Self {
        Self::default()
    }

    /// A browser that has never been here, on a machine with this address.
    pub fn at(address: &str) -> Self {
        Self { address: Some(address.parse().unwrap()), ..Self::default() }
    }

    /// The cookie header that it sends.
    pub fn cookie_header(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Replaces its cookies with those of a header, as a thief would.
    pub fn steal(&mut self, header: &str) {
        self.cookies = header
            .split("; ")
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }

    /// GETs `path` once, without following redirects.
    pub async fn get(&mut self, server: &TestServer, path: &str) -> Page {
        let request = Request::get(path);
        self.send(server, path, request, String::new()).await
    }

    /// Posts fields to `path` as a page of ours would, without following redirects.
    pub async fn post(
        &mut self,
        server: &TestServer,
        path: &str,
        fields: &[(String, String)],
    ) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, ISSUER.trim_end_matches('/'));
        self.send(server, path, request, body).await
    }

    /// Posts fields to `path` as a page of another site would: the browser keeps its
    /// `SameSite=Lax` cookie to itself and says where the form comes from.
    pub async fn post_cross_site(
        &mut self,
        server: &TestServer,
        path: &str,
        fields: &[(String, String)],
    ) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, "https://evil.example")
            .header("sec-fetch-site", "cross-site");
        let answer = server.send(self.with_address(request).body(Body::from(body)).unwrap()).await;
        self.keep_cookies(&answer);
        Page { path: path.to_owned(), answer }
    }

    /// Sends a request with its cookies and keeps those of the answer.
    pub async fn send(
        &mut self,
        server: &TestServer,
        path: &str,
        mut request: http::request::Builder,
        body: String,
    ) -> Page {
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, self.cookie_header());
        }
        let request = self.with_address(request);
        let answer = server.send(request.body(Body::from(body)).unwrap()).await;
        self.keep_cookies(&answer);
        Page { path: path.to_owned(), answer }
    }

    fn with_address(&self, request: http::request::Builder) -> http::request::Builder {
        match self.address {
            Some(address) => request.extension(PeerAddress(SocketAddr::new(address, 50_000))),
            None => request,
        }
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Follows redirects on our own host until there is a page; the address when it leaves.
    pub async fn follow(&mut self, server: &TestServer, mut page: Page) -> Result<Page, String> {
        for _ in 0..10 {
            if !page.answer.status.is_redirection() {
                return Ok(page);
            }
            let location = page.answer.header(header::LOCATION).to_owned();
            let path = match location.strip_prefix(ISSUER.trim_end_matches('/')) {
                Some(path) => path.to_owned(),
                None if location.starts_with('/') => location,
                None => return Err(location),
            };
            page = self.get(server, &path).await;
        }
        panic!("redirected ten times");
    }

    /// Opens `path` and follows redirects.
    pub async fn open(&mut self, server: &TestServer, path: &str) -> Result<Page, String> {
        let page = self.get(server, path).await;
        self.follow(server, page).await
    }

    /// Fills the page's first form and posts it, without following redirects.
    pub async fn submit(
        &mut self,
        server: &TestServer,
        page: &Page,
        filled: &[(&str, &str)],
    ) -> Page {
        let (action, mut fields) = page.form();
        fields.extend(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(server, &action, &fields).await
    }

    /// Signs in on the sign-in page `page` and follows redirects.
    pub async fn sign_in(
        &mut self,
        server: &TestServer,
        page: &Page,
        name: &str,
        password: &str,
    ) -> Result<Page, String> {
        let filled = [("username", name), ("password", password)];
        let page = self.submit(server, page, &filled).await;
        self.follow(server, page).await
    }

    /// Signs in for an authorization request and returns the address of the application that the
    /// browser is sent to.
    pub async fn authorize(
        &mut self,
        server: &TestServer,
        path: &str,
        name: &str,
        password: &str,
    ) -> String {
        match self.open(server, path).await {
            Err(callback) => callback,
            Ok(page) => match self.sign_in(server, &page, name, password).await {
                Err(callback) => callback,
                Ok(page) => panic!("a page instead of a callback: {}", page.answer.text),
            },
        }
    }
}
