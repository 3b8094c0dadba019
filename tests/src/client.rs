//! An application's back end: token requests, and what its redirect address receives.

use std::collections::BTreeMap;

use axum::body::Body;
use behalf_crypto::pkce;
use http::{Request, header};
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::forge::unbase64url;
use crate::{Answer, TestServer};

/// A verifier that every test may use.
const VERIFIER: &str = "0123456789-0123456789-0123456789-0123456789";

/// The challenge of [`Client::VERIFIER`].
pub fn code_challenge() -> String {
    pkce::challenge_s256(VERIFIER)
}

/// The query of an address, by name.
#[track_caller]
pub fn query_of(uri: &str) -> BTreeMap<String, String> {
    Url::parse(uri).unwrap().query_pairs().into_owned().collect()
}

/// An application.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub client_id: &'static str,
    /// Its secret.
    pub client_secret: Option<&'static str>,
    /// Its redirect address.
    pub redirect_uri: &'static str,
}

impl Client {
    /// The verifier that answers [`code_challenge`].
    pub const VERIFIER: &'static str = VERIFIER;

    /// The path and query of an authorization request with PKCE; `extra` adds or replaces.
    pub fn authorize_path(&self, extra: &[(&str, &str)]) -> String {
        let challenge = code_challenge();
        let mut params = BTreeMap::from([
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("response_type", "code"),
            ("scope", "openid profile email offline_access"),
            ("state", "state-1"),
            ("nonce", "nonce-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        params.extend(extra.iter().copied());
        params.retain(|_, value| !value.is_empty());
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        format!("/authorize?{query}")
    }

    /// Posts a form to `path` with the client's credentials in the body.
    pub async fn post(&self, server: &TestServer, path: &str, form: &[(&str, &str)]) -> Answer {
        post_form(server, path, self.with_credentials(form)).await
    }

    /// A form with the client's credentials added.
    fn with_credentials(&self, form: &[(&str, &str)]) -> String {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        serializer.extend_pairs(form).append_pair("client_id", self.client_id);
        if let Some(secret) = self.client_secret {
            serializer.append_pair("client_secret", secret);
        }
        serializer.finish()
    }

    /// A token request.
    pub async fn token(&self, server: &TestServer, form: &[(&str, &str)]) -> Answer {
        self.post(server, "/oauth/token", form).await
    }

    /// Redeems the code that `callback`, the address the browser was sent to, carries.
    pub async fn redeem(&self, server: &TestServer, callback: &str) -> Answer {
        let code = query_of(callback).remove("code").unwrap_or_else(|| panic!("{callback}"));
        self.redeem_code(server, &code).await
    }

    /// Redeems a code.
    pub async fn redeem_code(&self, server: &TestServer, code: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        self.token(server, &form).await
    }

    /// A token request with a JSON body and the client's credentials in it.
    pub async fn token_by_json(&self, server: &TestServer, mut body: Value) -> Answer {
        body["client_id"] = self.client_id.into();
        if let Some(secret) = self.client_secret {
            body["client_secret"] = secret.into();
        }
        let request = Request::post("/oauth/token")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        server.send(request).await
    }

    /// Exchanges a refresh token; `extra` adds parameters.
    pub async fn refresh(
        &self,
        server: &TestServer,
        token: &str,
        extra: &[(&str, &str)],
    ) -> Answer {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend(extra);
        self.token(server, &form).await
    }

    /// The claims of a JWT, unverified: for what tests read of tokens that they just received.
    #[track_caller]
    pub fn claims(token: &str) -> Value {
        let payload = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&unbase64url(payload)).unwrap()
    }
}

/// Posts a form as it stands.
pub async fn post_form(server: &TestServer, path: &str, body: String) -> Answer {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    server.send(request).await
}
