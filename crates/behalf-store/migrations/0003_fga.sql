-- Fine-grained authorization: stores, models, and each store's log of tuple writes.

CREATE TABLE fga_stores (
    tenant_id   TEXT NOT NULL,
    store_id    TEXT NOT NULL,
    name        TEXT NOT NULL,
    subject     TEXT NOT NULL,             -- how Behalf names people in it: sub or email
    revision    BIGINT NOT NULL,           -- the head: one more with each write, without gaps
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, store_id)
);

CREATE TABLE fga_models (
    tenant_id   TEXT NOT NULL,
    store_id    TEXT NOT NULL,
    number      BIGINT NOT NULL,           -- counts from 1; the latest has the highest
    model_id    TEXT NOT NULL,
    model       TEXT NOT NULL,             -- JSON
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, store_id, number)
);
CREATE UNIQUE INDEX fga_models_by_id ON fga_models (tenant_id, store_id, model_id);

-- One row per write, whatever it holds: replay is one scan, and a key is paid once per write.
CREATE TABLE fga_log (
    tenant_id   TEXT NOT NULL,
    store_id    TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    changes     TEXT NOT NULL,             -- JSON array of changes
    actor       TEXT NOT NULL,             -- JSON
    reason      TEXT NOT NULL,             -- why, in the writer's words; empty when nothing was said
    txn         TEXT NOT NULL,             -- the same for all writes of one commit
    at          BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, store_id, revision)
);

-- What a model's author expects of it; written whole.
CREATE TABLE fga_assertions (
    tenant_id   TEXT NOT NULL,
    store_id    TEXT NOT NULL,
    model_id    TEXT NOT NULL,
    assertions  TEXT NOT NULL,             -- JSON array
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, store_id, model_id)
);
