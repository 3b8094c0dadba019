-- Preshared keys of machines: only their hash is kept.
CREATE TABLE api_keys (
    tenant_id   TEXT NOT NULL,
    key_hash    BLOB NOT NULL,
    kind        TEXT NOT NULL,             -- what it opens: fga, project
    name        TEXT NOT NULL,
    settings    TEXT NOT NULL,             -- JSON: scopes; stores or project
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key_hash)
);
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (tenant_id, kind, name);
