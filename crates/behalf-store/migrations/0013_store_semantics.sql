-- Whose answers a store gives to checks: v1, or v2 as under OpenFGA's weighted_graph_check.

ALTER TABLE fga_stores ADD COLUMN semantics TEXT NOT NULL DEFAULT 'v1';
