-- Whether a timer was ever set: a workflow without any is never asked about them.
ALTER TABLE workflow ADD COLUMN has_timers boolean NOT NULL DEFAULT false;

-- Commands to be executed later. A timer with an error is a dead letter.
CREATE TABLE timer (
  workflow_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  generation text COLLATE "C" NOT NULL, -- fresh each time the key is set
  definition text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,     -- that it belongs to: leaving it ends the timer, unless it is kept
  keep boolean NOT NULL,
  command text NOT NULL,
  command_data json NOT NULL,
  due_at timestamptz NOT NULL,
  attempts bigint NOT NULL DEFAULT 0,
  error json,
  PRIMARY KEY (workflow_id, key)
);

CREATE INDEX timer_by_due ON timer (definition, due_at) WHERE error IS NULL;
CREATE INDEX timer_dead ON timer (generation) WHERE error IS NOT NULL;

-- Which worker may act in which role. The second index makes the epoch a part of a key: whoever acts under a lease takes
-- FOR KEY SHARE, which lets it be renewed meanwhile, and keeps it from being taken over.
CREATE TABLE lease (
  name text COLLATE "C" PRIMARY KEY,
  owner text NOT NULL,
  epoch bigint NOT NULL,               -- rises whenever the role changes hands
  until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX lease_by_epoch ON lease (name, epoch);

-- How far reactors and publishers have read.
CREATE TABLE reader (
  name text COLLATE "C" PRIMARY KEY,
  position bigint NOT NULL
) WITH (fillfactor = 50);

-- What reactors decided and nobody has delivered yet. A row with an error is a dead letter; what follows from the same
-- source waits behind it.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  reader text COLLATE "C" NOT NULL,
  position bigint NOT NULL,            -- of the source's commit
  number bigint NOT NULL,              -- among what was decided on the commit; -1: its reactor raised
  source_id text COLLATE "C" NOT NULL,
  commit_id text NOT NULL,
  key text COLLATE "C" NOT NULL,       -- the idempotency key under which it is delivered
  target text NOT NULL,
  target_id text COLLATE "C" NOT NULL,
  command text,
  command_data json,
  is_droppable boolean NOT NULL,
  metadata json NOT NULL,
  attempts bigint NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL,
  error json
);

CREATE UNIQUE INDEX outbox_in_order ON outbox (reader, position, number);
CREATE INDEX outbox_by_source ON outbox (source_id, reader, position, number);
CREATE INDEX outbox_by_target ON outbox (target_id);
CREATE INDEX outbox_by_key ON outbox (key);
CREATE INDEX outbox_dead ON outbox (id) WHERE error IS NOT NULL;
