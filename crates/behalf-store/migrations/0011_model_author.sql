-- Who wrote a model, and why.

ALTER TABLE fga_models ADD COLUMN actor TEXT NOT NULL DEFAULT '';    -- JSON, empty in older rows
ALTER TABLE fga_models ADD COLUMN reason TEXT NOT NULL DEFAULT '';   -- in the writer's words
