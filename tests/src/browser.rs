//! A browser without script: keeps the cookie, reads forms, follows redirects on our own host.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{Request, header};
use url::form_urlencoded;

use crate::{Answer, ISSUER, TestServer};

/// A browser with one cookie jar.
#[derive(Debug, Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
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
        let html = &self.answer.text;
        let start = html.find("<form").unwrap_or_else(|| panic!("no form: {html}"));
        let end = html[start..].find("</form>").unwrap() + start;
        let form = &html[start..end];
        let action = attribute(form, "action").unwrap_or_else(|| self.path.clone());
        let inputs = form.split("<input").skip(1).filter_map(|input| {
            let input = &input[..input.find('>')?];
            let is_hidden = attribute(input, "type").as_deref() == Some("hidden");
            let value = attribute(input, "value").unwrap_or_default();
            is_hidden.then_some((attribute(input, "name")?, value))
        });
        (action, inputs.collect())
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
    let value = &tag[start..];
    let value = &value[..value.find('"')?];
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

    async fn send(
        &mut self,
        server: &TestServer,
        path: &str,
        mut request: http::request::Builder,
        body: String,
    ) -> Page {
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, self.cookie_header());
        }
        let answer = server.send(request.body(Body::from(body)).unwrap()).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { path: path.to_owned(), answer }
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
