-- Events between the commit that they belong to and the ledger's leaf. Who records an event holds
-- the row of `turn` until the end of its transaction, so `seq` grows in the order of the commits.
CREATE TABLE outbox (
    tenant_id   TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,  -- JSON
    facts       TEXT NOT NULL,  -- JSON
    at          BIGINT NOT NULL,
    seq         BIGINT GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX outbox_by_seq ON outbox (seq);

CREATE TABLE turn (
    one  BIGINT NOT NULL PRIMARY KEY CHECK (one = 1)
);
INSERT INTO turn (one) VALUES (1);
