-- Whether a timer was ever set: a workflow without any is never asked about them.
ALTER TABLE workflow ADD COLUMN has_timers INTEGER NOT NULL DEFAULT 0;

-- Commands to be executed later. A timer with an error is a dead letter.
CREATE TABLE timer (
  workflow_id TEXT NOT NULL,
  key TEXT NOT NULL,
  generation TEXT NOT NULL,     -- fresh each time the key is set
  definition TEXT NOT NULL,
  state TEXT NOT NULL,          -- that it belongs to: leaving it ends the timer, unless it is kept
  keep INTEGER NOT NULL,
  command TEXT NOT NULL,
  command_data TEXT NOT NULL,   -- JSON
  due_at TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  error TEXT,                   -- JSON
  PRIMARY KEY (workflow_id, key)
) WITHOUT ROWID;
CREATE INDEX timer_by_due ON timer (definition, due_at) WHERE error IS NULL;

-- Which worker may act in which role.
CREATE TABLE lease (
  name TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  epoch INTEGER NOT NULL,       -- rises whenever the role changes hands
  until TEXT NOT NULL
) WITHOUT ROWID;

-- How far reactors and publishers have read.
CREATE TABLE reader (
  name TEXT NOT NULL PRIMARY KEY,
  position INTEGER NOT NULL
) WITHOUT ROWID;

-- What reactors decided and nobody has delivered yet. A row with an error is a dead letter; what follows from the same
-- source waits behind it.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  reader TEXT NOT NULL,
  position INTEGER NOT NULL,    -- of the source's commit
  number INTEGER NOT NULL,      -- among what was decided on the commit; -1: its reactor raised
  source_id TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  key TEXT NOT NULL,            -- the idempotency key under which it is delivered
  target TEXT NOT NULL,
  target_id TEXT NOT NULL,
  command TEXT,
  command_data TEXT,            -- JSON
  is_droppable INTEGER NOT NULL,
  metadata TEXT NOT NULL,       -- JSON
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at TEXT NOT NULL,
  error TEXT                    -- JSON
);
CREATE INDEX outbox_in_order ON outbox (reader, position, number);
CREATE INDEX outbox_by_source ON outbox (source_id, reader, position, number);
CREATE INDEX outbox_by_key ON outbox (key);
