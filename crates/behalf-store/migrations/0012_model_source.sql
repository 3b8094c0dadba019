-- A model's text as its author wrote it, with its comments.

ALTER TABLE fga_models ADD COLUMN source TEXT NOT NULL DEFAULT '';   -- empty where only JSON was given
