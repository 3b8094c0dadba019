-- The verifiable log: one per project. A leaf, the tree's new head and the removal from the outbox
-- are one unit of work. The order of leaves is the order in which the outbox hands events out: the
-- order of commits (SQLite: rowid, one writer; PostgreSQL: see the outbox's own migration).

CREATE TABLE logs (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    origin      TEXT NOT NULL,             -- a random name made at first start
    vkey        TEXT NOT NULL,             -- the public key, as notes are checked against
    sealed_key  BLOB NOT NULL,             -- the Ed25519 seed, sealed
    size        BIGINT NOT NULL,           -- the head: how many leaves there are
    peaks       BLOB NOT NULL,             -- and the roots of its complete subtrees, 32 bytes each
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, project_id)
);

CREATE TABLE leaves (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    leaf_index  BIGINT NOT NULL,
    event_id    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,             -- the actor's id, for finding; the entry is what counts
    at          BIGINT NOT NULL,
    entry       TEXT NOT NULL,             -- RFC 8785 JSON: the very bytes that are hashed
    PRIMARY KEY (tenant_id, project_id, leaf_index)
);
CREATE UNIQUE INDEX leaves_by_event ON leaves (tenant_id, event_id);
CREATE INDEX leaves_by_time ON leaves (tenant_id, project_id, at);
CREATE INDEX leaves_by_kind ON leaves (tenant_id, project_id, kind, leaf_index);
CREATE INDEX leaves_by_actor ON leaves (tenant_id, project_id, actor, leaf_index);

-- Tiles of hashes (C2SP tlog-tiles); entry bundles are made from the leaves.
CREATE TABLE log_tiles (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    level       BIGINT NOT NULL,
    tile_index  BIGINT NOT NULL,
    hashes      BLOB NOT NULL,             -- 32 bytes each, up to 256 of them
    PRIMARY KEY (tenant_id, project_id, level, tile_index)
);

CREATE TABLE checkpoints (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    size        BIGINT NOT NULL,
    note        TEXT NOT NULL,             -- signed
    signed_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, project_id, size)
);

-- What was exported. The bundle itself is made again from the log whenever it is fetched.
CREATE TABLE exports (
    tenant_id   TEXT NOT NULL,
    export_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    tree_size   BIGINT NOT NULL,           -- the checkpoint that the bundle is made for
    first_leaf  BIGINT NOT NULL,
    leaf_count  BIGINT NOT NULL,
    from_at     BIGINT,                    -- the window that was asked for
    to_at       BIGINT,
    actor       TEXT NOT NULL,             -- JSON
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, export_id)
);
