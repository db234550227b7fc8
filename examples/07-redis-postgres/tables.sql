-- Runs at each start, so it must not fail when the tables are there already.
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, text text NOT NULL);
