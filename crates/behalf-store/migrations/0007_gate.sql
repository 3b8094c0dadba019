-- Tool calls, what people are asked about them, and the accounts that calls wait for.

-- One row per call of a tool; it goes from open to started to an end, never back.
CREATE TABLE gate_calls (
    tenant_id     TEXT NOT NULL,
    call_id       TEXT NOT NULL,
    call_key      TEXT NOT NULL,           -- the caller's: asked again, it is the same call
    user_id       TEXT NOT NULL,           -- for whom
    agent_id      TEXT NOT NULL,           -- who acts
    client_id     TEXT NOT NULL,           -- through which application
    tool          TEXT NOT NULL,
    digest        TEXT NOT NULL,           -- of tool, arguments, user, client, audience
    details       TEXT NOT NULL,           -- JSON: the tool as asked, arguments, until when, trace
    state         TEXT NOT NULL,           -- open, started, or how it ended
    approval_id   TEXT,                    -- the approval it waits for or used
    interrupt_id  TEXT,                    -- the account it waits for
    ending        TEXT,                    -- JSON: the result, or why there is none
    created_at    BIGINT NOT NULL,
    started_at    BIGINT,
    ended_at      BIGINT,
    account       TEXT,                    -- whose account at the provider it was begun with
    PRIMARY KEY (tenant_id, call_id)
);
CREATE UNIQUE INDEX gate_calls_by_key ON gate_calls (tenant_id, call_key);
CREATE INDEX gate_calls_by_state ON gate_calls (tenant_id, state, call_id);

-- What a person is asked, once, about exactly one thing.
CREATE TABLE approvals (
    tenant_id      TEXT NOT NULL,
    approval_id    TEXT NOT NULL,
    source         TEXT NOT NULL,          -- gate or ciba
    status         TEXT NOT NULL,          -- pending, approved, denied, expired, cancelled, redeemed
    user_id        TEXT NOT NULL,
    client_id      TEXT NOT NULL,
    agent_id       TEXT,
    call_id        TEXT,                   -- of a tool call
    request_hash   BLOB,                   -- SHA-256 of the auth_req_id, of a backchannel request
    digest         TEXT NOT NULL,
    details        TEXT NOT NULL,          -- JSON: exactly what is asked
    level          TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,        -- when it dies undecided
    lapses_at      BIGINT NOT NULL,        -- when it dies in its present status
    decided_at     BIGINT,
    decided_by     TEXT,
    decision       TEXT,                   -- JSON: reason, and from where it was made
    redeemed_at    BIGINT,
    interval_secs  BIGINT NOT NULL,
    polled_at      BIGINT,
    PRIMARY KEY (tenant_id, approval_id)
);
CREATE UNIQUE INDEX approvals_by_request ON approvals (tenant_id, request_hash);
CREATE INDEX approvals_by_user ON approvals (tenant_id, user_id, approval_id);
CREATE INDEX approvals_by_status ON approvals (tenant_id, status, lapses_at);

-- A call that waits until its person connects an account.
CREATE TABLE gate_interrupts (
    tenant_id     TEXT NOT NULL,
    interrupt_id  TEXT NOT NULL,
    call_id       TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    connection    TEXT NOT NULL,
    scopes        TEXT NOT NULL,           -- what is needed, separated by spaces
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    ended_at      BIGINT,
    outcome       TEXT,                    -- connected, expired or cancelled
    PRIMARY KEY (tenant_id, interrupt_id)
);
CREATE INDEX gate_interrupts_by_user ON gate_interrupts (tenant_id, user_id, connection);
CREATE INDEX gate_interrupts_by_end ON gate_interrupts (tenant_id, ended_at, expires_at);
