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

CREATE TABLE chunks (
    tenant_id    TEXT NOT NULL,
    document_id  TEXT NOT NULL,
    ordinal      BIGINT NOT NULL,
    heading      TEXT NOT NULL,            -- the title and the headings above it
    text         TEXT NOT NULL,
    -- What is found in the heading counts more: weight A against B.
    words        TSVECTOR NOT NULL GENERATED ALWAYS AS (
                     setweight(to_tsvector('english', heading), 'A')
                     || setweight(to_tsvector('english', text), 'B')) STORED,
    PRIMARY KEY (tenant_id, document_id, ordinal)
);
CREATE INDEX chunks_by_words ON chunks USING GIN (words);
