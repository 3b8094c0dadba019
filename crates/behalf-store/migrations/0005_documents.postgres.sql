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

-- Stems as the embedded engine has them: of every word, also of those that are in every text.
-- (In small letters, because the type of that name is given a collation.)
CREATE text SEARCH DICTIONARY passage_stems (TEMPLATE = pg_catalog.snowball, LANGUAGE = english);
CREATE text SEARCH CONFIGURATION passages (COPY = pg_catalog.english);
ALTER text SEARCH CONFIGURATION passages
    ALTER MAPPING REPLACE pg_catalog.english_stem WITH passage_stems;
ALTER text SEARCH CONFIGURATION passages
    ALTER MAPPING REPLACE pg_catalog.simple WITH passage_stems;

-- Words are letters and digits without accents: an address or a file's name is several of them, and
-- a NUL (see decision 8) stands between two. Quotation marks stay, for questions.
CREATE FUNCTION passage_words(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    normalize(
        translate(
            replace(given, chr(64976) || '0', ' '),
            '!#$%&''()*+,-./:;<=>?@[\]^_`{|}~',
            '                               '),
        NFD),
    '[' || chr(768) || '-' || chr(879) || ']', '', 'g');

CREATE TABLE chunks (
    tenant_id    TEXT NOT NULL,
    document_id  TEXT NOT NULL,
    ordinal      BIGINT NOT NULL,
    heading      TEXT NOT NULL,            -- the title and the headings above it
    text         TEXT NOT NULL,
    -- What is found in the heading counts more: weight A against B.
    words        TSVECTOR NOT NULL GENERATED ALWAYS AS (
                     setweight(to_tsvector('passages', passage_words(heading)), 'A')
                     || setweight(to_tsvector('passages', passage_words(text)), 'B')) STORED,
    PRIMARY KEY (tenant_id, document_id, ordinal)
);
CREATE INDEX chunks_by_words ON chunks USING GIN (words);
