-- What a worker asks of the store: timers, leases, readers, the outbox and dead letters. As queries.sql.
-- Whoever acts under a lease locks its row FOR KEY SHARE in the same statement: until that is committed nobody can take
-- the lease over, while its owner may renew it. Where the lease has passed on, nothing is changed, and 0 comes back.

-- name: leases
-- Into save_many: the leases under which saves were decided, and the workflows whose lease has passed on.
fence AS MATERIALIZED (
  SELECT * FROM unnest($22::text[], $23::text[], $24::bigint[]) AS fence (id, name, epoch)
), held AS MATERIALIZED (
  SELECT l.name, l.epoch FROM {schema}.lease AS l WHERE l.name IN (SELECT name FROM fence) ORDER BY l.name FOR KEY SHARE
), fallen AS MATERIALIZED (
  SELECT f.id FROM fence AS f
  WHERE NOT EXISTS (SELECT FROM held AS h WHERE h.name = f.name AND h.epoch = f.epoch)
),

-- name: leased
AND (e.id IN (SELECT id FROM fallen)) IS NOT TRUE

-- name: timers
-- Into save_many: what the saves that won do to their timers. No row is touched twice: one statement could not do so.
, change AS MATERIALIZED (
  SELECT c.* FROM unnest($25::text[], $26::text[], $27::text[], $28::text[]) AS c (id, kind, one, two)
  WHERE (c.id IN (SELECT id FROM won)) IS TRUE
), put AS MATERIALIZED (
  SELECT p.* FROM unnest(
    $29::text[], $30::text[], $31::text[], $32::text[], $33::text[], $34::boolean[], $35::text[], $36::json[],
    $37::timestamptz[], $38::interval[]
  ) AS p (id, key, generation, definition, state, keep, command, command_data, due_at, delay)
  WHERE (p.id IN (SELECT id FROM won)) IS TRUE
), ended AS (
  DELETE FROM {schema}.timer AS t USING (SELECT DISTINCT id FROM change) AS w
  WHERE t.workflow_id = w.id
    AND NOT EXISTS (SELECT FROM put AS p WHERE p.id = t.workflow_id AND p.key = t.key)
    AND (
      EXISTS (SELECT FROM change AS c WHERE c.id = t.workflow_id AND c.kind = 'end' AND c.one = t.key)
      OR (
        NOT t.keep
        AND EXISTS (SELECT FROM change AS c WHERE c.id = t.workflow_id AND c.kind = 'leave')
        AND NOT EXISTS (SELECT FROM change AS c WHERE c.id = t.workflow_id AND c.kind = 'stay' AND c.one = t.state)
      )
    )
), renamed AS (
  UPDATE {schema}.timer AS t SET state = r.two
  FROM change AS r
  WHERE (r.kind = 'rename' OR (r.kind = 'rename kept' AND t.keep)) AND t.workflow_id = r.id AND t.state = r.one
    AND NOT EXISTS (SELECT FROM put AS p WHERE p.id = t.workflow_id AND p.key = t.key)
    AND NOT EXISTS (SELECT FROM change AS c WHERE c.id = t.workflow_id AND c.kind = 'end' AND c.one = t.key)
), set_anew AS (
  INSERT INTO {schema}.timer
    (workflow_id, key, generation, definition, state, keep, command, command_data, due_at)
  SELECT id, key, generation, definition, state, keep, command, command_data,
    COALESCE(due_at, clock_timestamp() + delay)
  FROM put
  ON CONFLICT (workflow_id, key) DO UPDATE
  SET generation = EXCLUDED.generation, definition = EXCLUDED.definition, state = EXCLUDED.state,
    keep = EXCLUDED.keep, command = EXCLUDED.command, command_data = EXCLUDED.command_data, due_at = EXCLUDED.due_at,
    attempts = 0, error = NULL
)

-- name: fallen
-- Which of these leases have passed on, or were never granted.
SELECT f.name, f.epoch FROM unnest($1::text[], $2::bigint[]) AS f (name, epoch)
WHERE NOT EXISTS (SELECT FROM {schema}.lease AS l WHERE l.name = f.name AND l.epoch = f.epoch);

-- name: timers_standing
SELECT t.workflow_id, t.key, t.generation
FROM unnest($1::text[], $2::text[], $3::text[]) AS q (workflow_id, key, generation)
JOIN {schema}.timer AS t ON t.workflow_id = q.workflow_id AND t.key = q.key AND t.generation = q.generation;

-- name: due_timers
-- The present is a subquery, so that it is one moment, and fit for the index.
SELECT t.workflow_id, t.definition, t.key, t.generation, t.command, t.command_data::text, t.state, t.keep, t.due_at,
  t.attempts
FROM (SELECT DISTINCT definition FROM unnest($1::text[]) AS definition) AS d
CROSS JOIN LATERAL (
  SELECT * FROM {schema}.timer AS t
  WHERE t.definition = d.definition AND t.error IS NULL
    AND t.due_at <= (SELECT COALESCE($3::timestamptz, clock_timestamp()))
  ORDER BY t.due_at LIMIT $2::bigint
) AS t
ORDER BY t.due_at LIMIT $2::bigint;

-- name: timers_of
SELECT workflow_id, definition, key, generation, command, command_data::text, state, keep, due_at, attempts
FROM {schema}.timer WHERE workflow_id = $1 AND error IS NULL ORDER BY due_at;

-- name: until_next_due
SELECT GREATEST(min(t.due_at) - COALESCE($2::timestamptz, clock_timestamp()), interval '0')
FROM unnest($1::text[]) AS d (definition)
CROSS JOIN LATERAL (
  SELECT due_at FROM {schema}.timer AS t WHERE t.definition = d.definition AND t.error IS NULL ORDER BY due_at LIMIT 1
) AS t
HAVING count(*) > 0;

-- name: finish_timer
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), done AS (
  DELETE FROM {schema}.timer WHERE workflow_id = $3 AND key = $4 AND generation = $5 AND EXISTS (SELECT FROM held)
)
SELECT count(*) FROM held;

-- name: postpone_timer
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), done AS (
  UPDATE {schema}.timer
  SET due_at = COALESCE($6::timestamptz, clock_timestamp()) + $7::interval, attempts = $8::bigint
  WHERE workflow_id = $3 AND key = $4 AND generation = $5 AND EXISTS (SELECT FROM held)
)
SELECT count(*) FROM held;

-- name: bury_timer
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), done AS (
  UPDATE {schema}.timer SET error = $6::json, attempts = $7::bigint
  WHERE workflow_id = $3 AND key = $4 AND generation = $5 AND EXISTS (SELECT FROM held)
)
SELECT count(*) FROM held;

-- name: acquire_leases
-- To renew is to change no key, which waits for nobody; to take over is to change the epoch, which waits for whoever is
-- just acting under the old one. Leases that others hold are not touched at all.
WITH renewed AS (
  UPDATE {schema}.lease SET until = clock_timestamp() + $3::interval
  WHERE name = ANY ($1::text[]) AND owner = $2::text AND until > clock_timestamp()
  RETURNING name, epoch
), taken AS (
  UPDATE {schema}.lease AS l SET epoch = l.epoch + 1, owner = $2::text, until = clock_timestamp() + $3::interval
  FROM (
    SELECT o.name FROM {schema}.lease AS o
    WHERE o.name = ANY ($1::text[]) AND o.until <= clock_timestamp()
      AND (o.name IN (SELECT name FROM renewed)) IS NOT TRUE
    ORDER BY o.name FOR UPDATE
  ) AS over
  WHERE l.name = over.name
  RETURNING l.name, l.epoch
), begun AS (
  -- Not DO UPDATE, which minds one unique index only: beside somebody else who begins the same, the other would complain.
  INSERT INTO {schema}.lease (name, owner, epoch, until)
  SELECT q.name, $2::text, 1, clock_timestamp() + $3::interval
  FROM (SELECT DISTINCT name FROM unnest($1::text[]) AS name) AS q
  WHERE NOT EXISTS (SELECT FROM {schema}.lease AS h WHERE h.name = q.name)
  ORDER BY q.name
  ON CONFLICT DO NOTHING
  RETURNING name, epoch
)
SELECT name, epoch FROM renewed UNION ALL SELECT name, epoch FROM taken UNION ALL SELECT name, epoch FROM begun;

-- name: release_leases
UPDATE {schema}.lease AS l SET owner = '', until = clock_timestamp()
FROM unnest($1::text[], $2::bigint[]) AS f (name, epoch) WHERE l.name = f.name AND l.epoch = f.epoch
RETURNING 1;

-- name: last_position
SELECT last_position FROM {schema}.sequencer;

-- name: reader_position
SELECT position FROM {schema}.reader WHERE name = $1;

-- name: start_reader
INSERT INTO {schema}.reader (name, position) VALUES ($1, $2::bigint) ON CONFLICT (name) DO NOTHING RETURNING 1;

-- name: advance_reader
-- What was stored by an attempt whose answer was lost is found, and not stored again.
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), put AS (
  INSERT INTO {schema}.outbox (reader, position, number, source_id, commit_id, key, target, target_id, command,
    command_data, is_droppable, metadata, due_at)
  SELECT d.*, clock_timestamp() FROM unnest($5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::json[], $15::boolean[], $16::json[]) AS d
  WHERE EXISTS (SELECT FROM held)
  ON CONFLICT (reader, position, number) DO NOTHING
), moved AS (
  INSERT INTO {schema}.reader AS r (name, position) SELECT $3::text, $4::bigint WHERE EXISTS (SELECT FROM held)
  ON CONFLICT (name) DO UPDATE SET position = GREATEST(r.position, EXCLUDED.position)
)
SELECT count(*) FROM held;

-- name: replace_delivery
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), gone AS (
  DELETE FROM {schema}.outbox WHERE id = $3::bigint AND EXISTS (SELECT FROM held) RETURNING 1
), put AS (
  INSERT INTO {schema}.outbox (reader, position, number, source_id, commit_id, key, target, target_id, command,
    command_data, is_droppable, metadata, due_at)
  SELECT d.*, clock_timestamp() FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::json[], $14::boolean[], $15::json[]) AS d
  WHERE EXISTS (SELECT FROM gone)
  ON CONFLICT (reader, position, number) DO NOTHING
)
SELECT count(*) FROM held;

-- name: due_deliveries
-- What waits for its time, or is a dead letter, holds back what follows from the same source.
SELECT this.id, this.reader, this.position, this.number, this.source_id, this.commit_id, this.target, this.target_id,
  this.command, this.command_data::text, this.is_droppable, this.metadata::text, this.attempts
FROM {schema}.outbox AS this
WHERE this.reader = $1 AND this.error IS NULL
  AND this.due_at <= (SELECT COALESCE($3::timestamptz, clock_timestamp()))
  AND NOT EXISTS (
    SELECT FROM {schema}.outbox AS first
    WHERE first.source_id = this.source_id AND first.reader = this.reader
      AND (first.position, first.number) < (this.position, this.number)
      AND (first.error IS NOT NULL OR first.due_at > (SELECT COALESCE($3::timestamptz, clock_timestamp())))
  )
ORDER BY this.position, this.number LIMIT $2::bigint;

-- name: finish_deliveries
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), done AS (
  DELETE FROM {schema}.outbox WHERE id = ANY ($3::bigint[]) AND EXISTS (SELECT FROM held)
)
SELECT count(*) FROM held;

-- name: postpone_delivery
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), done AS (
  UPDATE {schema}.outbox
  SET due_at = COALESCE($4::timestamptz, clock_timestamp()) + $5::interval, attempts = $6::bigint
  WHERE id = $3::bigint AND EXISTS (SELECT FROM held)
)
SELECT count(*) FROM held;

-- name: bury_delivery
WITH held AS MATERIALIZED (
  SELECT FROM {schema}.lease WHERE name = $1 AND epoch = $2::bigint FOR KEY SHARE
), done AS (
  UPDATE {schema}.outbox SET error = $4::json, attempts = $5::bigint
  WHERE id = $3::bigint AND EXISTS (SELECT FROM held)
)
SELECT count(*) FROM held;

-- name: has_undelivered
SELECT FROM {schema}.outbox WHERE source_id = $2 AND reader = $1 AND position <= $3::bigint LIMIT 1;

-- name: readers
SELECT r.name, r.position, (SELECT count(*) FROM {schema}.outbox AS o WHERE o.reader = r.name)
FROM {schema}.reader AS r ORDER BY r.name;

-- name: dead_deliveries
SELECT id, reader, source_id, target, target_id, command, command_data::text, position, attempts, error::text
FROM {schema}.outbox WHERE error IS NOT NULL AND id > $1::bigint ORDER BY id LIMIT $2::bigint;

-- name: dead_timers
SELECT generation, definition, workflow_id, command, command_data::text, attempts, error::text
FROM {schema}.timer WHERE error IS NOT NULL AND generation > $1 ORDER BY generation LIMIT $2::bigint;

-- name: retry_delivery
UPDATE {schema}.outbox SET error = NULL, attempts = 0, due_at = clock_timestamp()
WHERE id = $1::bigint AND error IS NOT NULL RETURNING 1;

-- name: retry_timer
-- It was due by the worker's clock, which need not be the server's: so it is still.
UPDATE {schema}.timer SET error = NULL, attempts = 0
WHERE generation = $1 AND error IS NOT NULL RETURNING 1;

-- name: drop_delivery
DELETE FROM {schema}.outbox WHERE id = $1::bigint AND error IS NOT NULL RETURNING 1;

-- name: drop_timer
DELETE FROM {schema}.timer WHERE generation = $1 AND error IS NOT NULL RETURNING 1;

-- name: needed
-- The first position that a reader has not read, or that a delivery stands for; NULL if there is neither.
SELECT LEAST(
  (SELECT min(position) + 1 FROM {schema}.reader),
  (SELECT min(position) FROM {schema}.outbox));
