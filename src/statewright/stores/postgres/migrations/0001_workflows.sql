-- Every workflow as it is now. `fillfactor` leaves room on each page, so that a save that stays in its state is a HOT
-- update: it touches no index. Data is json, not jsonb, which would reorder keys, rewrite 1e2 and refuse \u0000.
CREATE TABLE workflow (
  id text COLLATE "C" PRIMARY KEY,
  definition text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,
  data json NOT NULL,                  -- the state's stored form
  model_version bigint NOT NULL,
  version bigint NOT NULL,
  commit_id text NOT NULL,             -- fresh with every save: a version alone comes back after a workflow was forgotten
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  entered_at timestamptz NOT NULL      -- since when it is in its state
) WITH (fillfactor = 70);

CREATE INDEX workflow_by_state ON workflow (definition, state, id);

-- Every accepted command, and the workflow as it was after it.
CREATE TABLE workflow_commit (
  workflow_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  id text NOT NULL,
  number bigint GENERATED ALWAYS AS IDENTITY, -- order of insertion; visible out of order, so nobody reads on by it
  position bigint,                     -- given by the sequencer, after the commit has become visible
  definition text COLLATE "C" NOT NULL,
  command text,                        -- NULL: stored by `create`
  command_data json,
  events json NOT NULL,                -- a list of {"type", "data"}
  state text COLLATE "C" NOT NULL,
  data json NOT NULL,
  model_version bigint NOT NULL,
  metadata json NOT NULL,
  idempotency_key text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  PRIMARY KEY (workflow_id, version)
);

CREATE INDEX workflow_commit_unnumbered ON workflow_commit (number) WHERE position IS NULL;
CREATE UNIQUE INDEX workflow_commit_by_position ON workflow_commit (position) WHERE position IS NOT NULL;

-- What each idempotency key was used for; whole, so that pruning commits takes no answer away.
CREATE TABLE idempotency (
  workflow_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  command text NOT NULL,
  fingerprint text NOT NULL,
  definition text NOT NULL,
  state text NOT NULL,
  data json NOT NULL,
  model_version bigint NOT NULL,
  version bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  events json NOT NULL,
  kept_since timestamptz NOT NULL DEFAULT clock_timestamp(), -- retention counts from here
  PRIMARY KEY (workflow_id, key)
);

CREATE INDEX idempotency_by_age ON idempotency (kept_since);

-- One row: how far positions have been given out, and up to where commits may have been pruned.
CREATE TABLE sequencer (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  last_position bigint NOT NULL DEFAULT 0,
  horizon bigint NOT NULL DEFAULT 0,
  heard_until timestamptz NOT NULL DEFAULT '-infinity' -- until when somebody listens for notifications
);

INSERT INTO sequencer DEFAULT VALUES;
