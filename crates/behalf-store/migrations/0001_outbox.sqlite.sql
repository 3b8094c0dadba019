-- Events between the commit that they belong to and the ledger's leaf.
CREATE TABLE outbox (
    tenant_id   TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,  -- JSON
    facts       TEXT NOT NULL,  -- JSON
    at          BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
