-- Spans of agents' runs. A batch is one request's spans, compressed and sealed: storing it is the
-- acknowledgement. The tables below it are projections, which can be built again from the batches.

-- Workspaces of traces. The project `default` exists without a row.
CREATE TABLE projects (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, project_id)
);

-- Counts a project's batches without gaps.
CREATE TABLE trace_heads (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    sequence    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, project_id)
);

CREATE TABLE trace_batches (
    tenant_id    TEXT NOT NULL,
    project_id   TEXT NOT NULL,
    sequence     BIGINT NOT NULL,
    owner        TEXT NOT NULL,    -- a user's `sub`; empty when the spans are nobody's
    received_at  BIGINT NOT NULL,
    spans        BIGINT NOT NULL,
    body         BLOB NOT NULL,
    PRIMARY KEY (tenant_id, project_id, sequence)
);

-- One row per trace and owner: somebody else's trace id is simply another trace.
CREATE TABLE traces (
    tenant_id       TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    owner           TEXT NOT NULL,
    trace_id        TEXT NOT NULL,    -- 32 hex
    name            TEXT NOT NULL,    -- the root span's, or the first span's until that arrives
    root_span_id    TEXT NOT NULL,    -- empty until the root span arrives
    status          TEXT NOT NULL,    -- open, ok, error
    started_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL,
    spans           BIGINT NOT NULL,
    input_tokens    BIGINT NOT NULL,
    output_tokens   BIGINT NOT NULL,
    cost_micro_usd  BIGINT NOT NULL,  -- of the model calls whose price is known
    priced          BIGINT NOT NULL,  -- how many those are
    unpriced        BIGINT NOT NULL,  -- how many others there are
    sequence        BIGINT NOT NULL,  -- of the batch that changed it last
    PRIMARY KEY (tenant_id, project_id, owner, trace_id)
);
CREATE INDEX traces_by_time ON traces (tenant_id, project_id, started_at, trace_id, owner);
CREATE INDEX traces_by_owner ON traces (tenant_id, project_id, owner, started_at, trace_id);
CREATE INDEX traces_by_sequence ON traces (tenant_id, project_id, sequence);
CREATE INDEX traces_by_id ON traces (tenant_id, project_id, trace_id);

-- The tools and models of a trace.
CREATE TABLE trace_tags (
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    owner       TEXT NOT NULL,
    trace_id    TEXT NOT NULL,
    tag         TEXT NOT NULL,        -- tool, model
    value       TEXT NOT NULL,
    PRIMARY KEY (tenant_id, project_id, owner, trace_id, tag, value)
);
CREATE INDEX trace_tags_by_value ON trace_tags (tenant_id, project_id, tag, value);

-- What lists and the waterfall need; attributes stay in the batch.
CREATE TABLE spans (
    tenant_id       TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    owner           TEXT NOT NULL,
    trace_id        TEXT NOT NULL,
    span_id         TEXT NOT NULL,    -- 16 hex
    parent_span_id  TEXT NOT NULL,    -- empty for a root
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL,
    status          TEXT NOT NULL,
    waits           BIGINT NOT NULL,  -- 1 if its time is waiting for a person
    started_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL,
    tool            TEXT NOT NULL,
    model           TEXT NOT NULL,
    input_tokens    BIGINT NOT NULL,
    output_tokens   BIGINT NOT NULL,
    charge          BIGINT NOT NULL,  -- 0 nothing to charge, 1 priced, 2 a model without a price
    cost_micro_usd  BIGINT NOT NULL,
    outcome         TEXT NOT NULL,    -- the gate's, on the span of its decision
    sequence        BIGINT NOT NULL,  -- where its attributes are: the batch,
    ordinal         BIGINT NOT NULL,  -- and the place in it
    PRIMARY KEY (tenant_id, project_id, owner, trace_id, span_id)
);
CREATE INDEX spans_by_outcome ON spans (tenant_id, project_id, started_at) WHERE outcome <> '';
