-- Chats: threads, their turns, and what happened in each turn.

CREATE TABLE chat_threads (
    tenant_id   TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    thread_id   TEXT NOT NULL,             -- the client's name for it; another person's is another thread
    title       BLOB NOT NULL,             -- sealed: its first words
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, thread_id)
);
CREATE INDEX chat_threads_by_time ON chat_threads (tenant_id, user_id, updated_at);

CREATE TABLE chat_turns (
    tenant_id    TEXT NOT NULL,
    turn_id      TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    thread_id    TEXT NOT NULL,
    ordinal      BIGINT NOT NULL,          -- counts the thread's turns
    history_key  TEXT NOT NULL,            -- digest of what the person wrote up to here
    is_current   BIGINT NOT NULL,          -- 0: she went back and wrote something else
    status       TEXT NOT NULL,            -- running | waiting | done | failed
    state        BLOB NOT NULL,            -- sealed JSON: who acts, what was said, how far it has come
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, turn_id)
);
CREATE UNIQUE INDEX chat_turns_by_history
    ON chat_turns (tenant_id, user_id, thread_id, history_key);
CREATE UNIQUE INDEX chat_turns_by_ordinal
    ON chat_turns (tenant_id, user_id, thread_id, ordinal);
CREATE INDEX chat_turns_by_status ON chat_turns (tenant_id, status);

-- What every stream is made from; written together with the turn's state, a row for each write.
CREATE TABLE chat_events (
    tenant_id  TEXT NOT NULL,
    turn_id    TEXT NOT NULL,
    ordinal    BIGINT NOT NULL,             -- of the first event in the row
    events     BLOB NOT NULL,               -- sealed JSON
    PRIMARY KEY (tenant_id, turn_id, ordinal)
);
