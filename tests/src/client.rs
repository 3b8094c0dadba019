//! An application's back end: token requests, and what its redirect address receives.

use std::collections::BTreeMap;

use axum::body::Body;
use behalf_crypto::pkce;
use http::{Request, header};
use serde_json::Value;
use url::{Url, form_urlencoded};

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
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        serializer.extend_pairs(form).append_pair("client_id", self.client_id);
        if let Some(secret) = self.client_secret {
            serializer.append_pair("client_secret", secret);
        }
        post_form(server, path, serializer.finish()).await
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
        serde_json::from_slice(&base64url(payload)).unwrap()
    }
}

/// Posts a form as it stands.
pub(crate) async fn post_form(server: &TestServer, path: &str, body: String) -> Answer {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    server.send(request).await
}

fn base64url(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for digit in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).unwrap());
        }
    }
    bytes
}
