-- Tenants, keys, people, applications, APIs, sessions and grants.

CREATE TABLE tenants (
    tenant_id   TEXT NOT NULL PRIMARY KEY,
    created_at  BIGINT NOT NULL
);

-- Key-encryption keys, each wrapped by the root key that lies outside the data.
CREATE TABLE encryption_keys (
    tenant_id   TEXT NOT NULL,
    version     BIGINT NOT NULL,
    wrapped     BLOB NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

-- Private keys are sealed; the public half is what JWKS shows.
CREATE TABLE signing_keys (
    tenant_id   TEXT NOT NULL,
    kid         TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kid)
);

CREATE TABLE users (
    tenant_id            TEXT NOT NULL,
    user_id              TEXT NOT NULL,
    email_key            TEXT,             -- lower-cased address: people sign in by it
    username_key         TEXT,             -- or by this
    profile              TEXT NOT NULL,    -- JSON: email, email_verified, name, …
    password_hash        TEXT,             -- PHC string; NULL: no password sign-in
    must_change_password BIGINT NOT NULL,
    blocked              BIGINT NOT NULL,
    roles                TEXT NOT NULL,    -- role ids, separated by spaces
    version              BIGINT NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE UNIQUE INDEX users_by_email ON users (tenant_id, email_key);
CREATE UNIQUE INDEX users_by_username ON users (tenant_id, username_key);

CREATE TABLE clients (
    tenant_id    TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    secret_hash  BLOB,                     -- SHA-256; NULL: a public client
    settings     TEXT NOT NULL,            -- JSON: name, app_type, callbacks, grant_types, …
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
);

CREATE TABLE resource_servers (
    tenant_id   TEXT NOT NULL,
    identifier  TEXT NOT NULL,
    settings    TEXT NOT NULL,             -- JSON: name, scopes, signing_alg, token_lifetime, …
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, identifier)
);

CREATE TABLE client_grants (
    tenant_id   TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    audience    TEXT NOT NULL,
    settings    TEXT NOT NULL,             -- JSON: scope, fga_stores
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, client_id, audience)
);

-- Browser sessions: the cookie is an opaque token of which only the hash is kept.
CREATE TABLE sessions (
    tenant_id    TEXT NOT NULL,
    sid          TEXT NOT NULL,
    cookie_hash  BLOB NOT NULL,
    user_id      TEXT NOT NULL,
    user_agent   TEXT NOT NULL,
    auth_time    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT,
    PRIMARY KEY (tenant_id, sid)
);
CREATE UNIQUE INDEX sessions_by_cookie ON sessions (tenant_id, cookie_hash);
CREATE INDEX sessions_by_user ON sessions (tenant_id, user_id, created_at);

-- A sign-in under way: the authorization request waits here while the browser holds a handle.
CREATE TABLE sign_ins (
    tenant_id     TEXT NOT NULL,
    handle_hash   BLOB NOT NULL,
    browser_hash  BLOB NOT NULL,           -- the browser that started it
    request       TEXT NOT NULL,           -- JSON: the checked request, or the page to return to
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, handle_hash)
);

CREATE TABLE consents (
    tenant_id   TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    audience    TEXT NOT NULL,
    scope       TEXT NOT NULL,
    granted_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, client_id, audience)
);

-- Single use: `used_at` is set by the redemption, and `family_id` names what it gave birth to.
CREATE TABLE authorization_codes (
    tenant_id   TEXT NOT NULL,
    code_hash   BLOB NOT NULL,
    client_id   TEXT NOT NULL,
    details     TEXT NOT NULL,             -- JSON: user, sid, redirect_uri, challenge, nonce, scope, …
    family_id   TEXT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT,
    PRIMARY KEY (tenant_id, code_hash)
);

-- What one sign-in delegated to one client; every refresh token belongs to one family.
CREATE TABLE refresh_families (
    tenant_id   TEXT NOT NULL,
    family_id   TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    details     TEXT NOT NULL,             -- JSON: sid, scope, audience, auth_time, how it came about
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    revoked_at  BIGINT,
    PRIMARY KEY (tenant_id, family_id)
);
CREATE INDEX refresh_families_by_user ON refresh_families (tenant_id, user_id);

CREATE TABLE refresh_tokens (
    tenant_id   TEXT NOT NULL,
    token_hash  BLOB NOT NULL,
    family_id   TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT,
    successor   BLOB,                      -- sealed: handed out again within the replay window
    PRIMARY KEY (tenant_id, token_hash)
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (tenant_id, family_id);

-- Failed sign-ins in a row, per account and address.
CREATE TABLE sign_in_failures (
    tenant_id  TEXT NOT NULL,
    account    TEXT NOT NULL,
    address    TEXT NOT NULL,
    failures   BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, account, address)
);
