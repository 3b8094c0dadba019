-- Connections to providers, the accounts that people connected, and connects under way.

CREATE TABLE connections (
    tenant_id      TEXT NOT NULL,
    name           TEXT NOT NULL,
    strategy       TEXT NOT NULL,
    options        TEXT NOT NULL,          -- JSON: client_id, addresses, scope
    client_secret  BLOB,                   -- sealed
    version        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- One account per person and connection; its tokens are sealed for `token_version`.
CREATE TABLE connected_accounts (
    tenant_id         TEXT NOT NULL,
    account_id        TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    connection        TEXT NOT NULL,
    provider_user_id  TEXT,                -- who she is there
    provider_name     TEXT,                -- what she is called there
    scopes            TEXT NOT NULL,       -- JSON: what the provider granted
    access_token      BLOB NOT NULL,       -- sealed
    refresh_token     BLOB,                -- sealed
    issued_at         BIGINT NOT NULL,
    expires_at        BIGINT,              -- of the access token; NULL: it does not expire
    token_version     BIGINT NOT NULL,
    state             TEXT NOT NULL,       -- active, refreshing, reauthorize
    lease_holder      TEXT,                -- who refreshes; written before the provider is asked
    lease_until       BIGINT,
    retry_at          BIGINT,              -- the provider was not available: not before this
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    last_used_at      BIGINT,
    PRIMARY KEY (tenant_id, account_id)
);
CREATE UNIQUE INDEX connected_accounts_by_person
    ON connected_accounts (tenant_id, user_id, connection);
CREATE INDEX connected_accounts_by_connection ON connected_accounts (tenant_id, connection);

-- A person on her way to a provider: the `state` that she comes back with, once.
CREATE TABLE connect_states (
    tenant_id     TEXT NOT NULL,
    state_hash    BLOB NOT NULL,
    browser_hash  BLOB NOT NULL,           -- the browser that set out
    user_id       TEXT NOT NULL,
    connection    TEXT NOT NULL,
    details       TEXT NOT NULL,           -- JSON: scopes, where to go afterwards
    verifier      BLOB NOT NULL,           -- PKCE, sealed
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, state_hash)
);

-- A connect that an application began for a person, until the application completes it.
CREATE TABLE connect_sessions (
    tenant_id     TEXT NOT NULL,
    session_hash  BLOB NOT NULL,
    ticket_hash   BLOB NOT NULL,           -- opens the page that she sees
    code_hash     BLOB,                    -- what the application comes back with
    user_id       TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    connection    TEXT NOT NULL,
    details       TEXT NOT NULL,           -- JSON: redirect_uri, state, code_challenge, scopes
    token_set     BLOB,                    -- sealed: what the provider gave
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, session_hash)
);
CREATE UNIQUE INDEX connect_sessions_by_ticket ON connect_sessions (tenant_id, ticket_hash);
