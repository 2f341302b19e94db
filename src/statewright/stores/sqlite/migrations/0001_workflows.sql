-- Every workflow as it is now. Times are ISO 8601 text in UTC, always with microseconds, so that they sort as text.
CREATE TABLE workflow (
  id TEXT NOT NULL PRIMARY KEY,
  definition TEXT NOT NULL,
  state TEXT NOT NULL,
  data TEXT NOT NULL,           -- the state's stored form, JSON
  model_version INTEGER NOT NULL,
  version INTEGER NOT NULL,
  commit_id TEXT NOT NULL,      -- fresh with every save: a version alone comes back after a workflow was forgotten
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  entered_at TEXT NOT NULL      -- since when it is in its state
);

-- Nothing in here changes with a save that stays in its state: such a save writes no page of this index.
CREATE INDEX workflow_by_state ON workflow (definition, state, id);

-- Every accepted command, and the workflow as it was after it.
CREATE TABLE workflow_commit (
  position INTEGER PRIMARY KEY AUTOINCREMENT,  -- without AUTOINCREMENT the positions of deleted rows would come back
  id TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  definition TEXT NOT NULL,
  command TEXT,                 -- NULL: stored by `create`
  command_data TEXT,            -- JSON
  events TEXT NOT NULL,         -- JSON: a list of {"type", "data"}
  state TEXT NOT NULL,
  data TEXT NOT NULL,           -- JSON
  model_version INTEGER NOT NULL,
  metadata TEXT NOT NULL,       -- JSON
  idempotency_key TEXT,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  recorded_at TEXT NOT NULL,
  UNIQUE (workflow_id, version)
);

-- What each idempotency key was used for; whole, so that pruning commits takes no answer away.
CREATE TABLE idempotency (
  number INTEGER PRIMARY KEY,   -- rises with age, so that the oldest rows are found without an index
  workflow_id TEXT NOT NULL,
  key TEXT NOT NULL,
  command TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  definition TEXT NOT NULL,
  state TEXT NOT NULL,
  data TEXT NOT NULL,           -- JSON
  model_version INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  events TEXT NOT NULL,         -- JSON
  kept_since TEXT NOT NULL,     -- by the store's clock; retention counts from here
  UNIQUE (workflow_id, key)
);

-- Commits up to this position may have been pruned.
CREATE TABLE horizon (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  position INTEGER NOT NULL
);
INSERT INTO horizon (one, position) VALUES (1, 0);
