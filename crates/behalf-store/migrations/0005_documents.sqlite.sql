-- Documents, their passages, and the lexical index over the passages.

CREATE TABLE documents (
    tenant_id       TEXT NOT NULL,
    document_id     TEXT NOT NULL,
    owner           TEXT,                  -- who uploaded it, as the FGA user that was given `owner`
    title           TEXT NOT NULL,
    content_type    TEXT NOT NULL,
    content         TEXT NOT NULL,
    content_sha256  TEXT NOT NULL,
    revision        BIGINT NOT NULL,       -- counts its contents from 1
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, document_id)
);

-- The number is SQLite's row id, by which the index finds its text again; the key is the unique one.
CREATE TABLE chunks (
    number       INTEGER PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    document_id  TEXT NOT NULL,
    ordinal      BIGINT NOT NULL,
    heading      TEXT NOT NULL,            -- the title and the headings above it
    text         TEXT NOT NULL,
    UNIQUE (tenant_id, document_id, ordinal)
);

CREATE VIRTUAL TABLE chunk_index USING fts5(
    heading, text, content = 'chunks', content_rowid = 'number',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
