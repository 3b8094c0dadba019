//! What the scripted provider remembers: codes, grants with their tokens, Gists.

use std::collections::HashMap;
use std::time::Duration;

use behalf_core::{Secret, Timestamp};
use behalf_crypto::opaque;
use serde_json::Value;

use super::{IssuedTokens, ProviderOptions};

/// How long an authorization code lives: GitHub's ten minutes.
const CODE_LIFETIME: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
pub(super) struct State {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Access>,
    pub(super) gists: Vec<Gist>,
    next_grant: u64,
}

/// An authorization code.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) login: String,
    pub(super) scopes: Vec<String>,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    expires_at: Timestamp,
}

/// What a token opens.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) login: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires_at: Option<Timestamp>,
    grant: u64,
}

/// A Gist and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Gist {
    pub(super) id: String,
    pub(super) login: String,
    pub(super) created_at: Timestamp,
    pub(super) body: Value,
}

impl State {
    pub(super) fn authorize(
        &mut self,
        options: &ProviderOptions,
        login: &str,
        scopes: Vec<String>,
        redirect_uri: &str,
        challenge: &str,
    ) -> String {
        let code = opaque::mint("", &*options.rng).expose().chars().take(20).collect::<String>();
        let known = Code {
            login: login.to_owned(),
            scopes,
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            expires_at: options.clock.now().plus(CODE_LIFETIME),
        };
        self.codes.insert(code.clone(), known);
        code
    }

    /// Takes the code: it works once, whether what comes with it is right or not.
    pub(super) fn take_code(&mut self, code: &str, now: Timestamp) -> Option<Code> {
        self.codes.remove(code).filter(|code| code.expires_at > now)
    }

    pub(super) fn issue(
        &mut self,
        options: &ProviderOptions,
        login: &str,
        scopes: Vec<String>,
        grant: Option<u64>,
    ) -> IssuedTokens {
        self.next_grant = self.next_grant.saturating_add(1);
        let expires_at = options
            .token_lifetime
            .map(|secs| options.clock.now().plus(Duration::from_secs(u64::from(secs))));
        let known = Access {
            login: login.to_owned(),
            scopes,
            expires_at,
            grant: grant.unwrap_or(self.next_grant),
        };
        let access_token: Secret<String> = opaque::mint("gho_", &*options.rng);
        self.access.insert(access_token.expose().clone(), known.clone());
        let refresh_token = options.token_lifetime.map(|_| {
            let token = opaque::mint("ghr_", &*options.rng);
            self.refresh.insert(token.expose().clone(), known);
            token
        });
        IssuedTokens { access_token, refresh_token }
    }

    /// Exchanges a refresh token: it works once, and the grant's other tokens end with it.
    pub(super) fn rotate(
        &mut self,
        options: &ProviderOptions,
        refresh_token: &str,
    ) -> Option<(IssuedTokens, Vec<String>)> {
        let known = self.refresh.remove(refresh_token)?;
        self.revoke(known.grant);
        let tokens = self.issue(options, &known.login, known.scopes.clone(), Some(known.grant));
        Some((tokens, known.scopes))
    }

    pub(super) fn find_access(&self, token: &str, now: Timestamp) -> Option<&Access> {
        let known = self.access.get(token)?;
        known.expires_at.is_none_or(|expires_at| expires_at > now).then_some(known)
    }

    /// Revokes the grant of an access token, or only the token; false when it is not known.
    pub(super) fn revoke_access(&mut self, token: &str, takes_grant: bool) -> bool {
        let Some(known) = self.access.remove(token) else { return false };
        if takes_grant {
            self.revoke(known.grant);
        }
        true
    }

    pub(super) fn revoke_everything(&mut self) {
        self.access.clear();
        self.refresh.clear();
    }

    fn revoke(&mut self, grant: u64) {
        self.access.retain(|_, known| known.grant != grant);
        self.refresh.retain(|_, known| known.grant != grant);
    }
}
