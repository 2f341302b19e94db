-- Every statement on the tables, by name. {schema} stands for the quoted name of the schema.
-- Parameters are text whose type the cast says, so that one prepared statement fits all calls.

-- name: load
SELECT id, definition, state, data::text, model_version, version, created_at, updated_at, commit_id, entered_at,
  has_timers
FROM {schema}.workflow WHERE id = $1;

-- name: load_many
SELECT id, definition, state, data::text, model_version, version, created_at, updated_at, commit_id, entered_at,
  has_timers
FROM {schema}.workflow WHERE id = ANY ($1::text[]);

-- name: save_one
-- The short path of a single caller: one commit, with or without a key, and at most one timer that is set. A row comes
-- back if it was saved. {saved}, {answered} and {set} stand for the parts below; parameters are named after the columns
-- of a batch's rows, those of the timer with `put_` before them, and are numbered in order of appearance.
WITH saved AS (
  {saved}
){answered}{set}
INSERT INTO {schema}.workflow_commit
  (workflow_id, version, id, definition, state, model_version, data, created_at, updated_at, command, command_data,
   events, metadata, idempotency_key, recorded_at)
SELECT $id::text, $version::bigint, $commit_id::text, $definition::text, $state::text, $model_version::bigint,
  $data::json, $created_at::timestamptz, $updated_at::timestamptz, $command::text, $command_data::json, $events::json,
  $metadata::json, $idempotency_key::text, $recorded_at::timestamptz
FROM saved
RETURNING version;

-- name: created_one
INSERT INTO {schema}.workflow
    (id, version, commit_id, definition, state, model_version, data, created_at, updated_at, entered_at, has_timers)
  VALUES ($id::text, $version::bigint, $commit_id::text, $definition::text, $state::text, $model_version::bigint,
    $data::json, $created_at::timestamptz, $updated_at::timestamptz, $updated_at::timestamptz, $has_timers::boolean)
  ON CONFLICT (id) DO NOTHING
  RETURNING 1

-- name: updated_one
UPDATE {schema}.workflow AS w
  SET version = $version::bigint, commit_id = $commit_id::text, definition = $definition::text, state = $state::text,
    model_version = $model_version::bigint, data = $data::json, created_at = $created_at::timestamptz,
    updated_at = $updated_at::timestamptz,
    entered_at = CASE WHEN w.state = $state::text THEN w.entered_at ELSE $updated_at::timestamptz END,
    has_timers = w.has_timers OR $has_timers::boolean
  WHERE w.id = $id::text AND w.version = $expected::bigint
    AND ($expected_commit_id::text IS NULL OR w.commit_id = $expected_commit_id::text)
  RETURNING 1

-- name: answered_one
, answered AS (
  INSERT INTO {schema}.idempotency
    (workflow_id, key, command, fingerprint, definition, state, data, model_version, version, created_at, updated_at,
     events)
  SELECT $id::text, $idempotency_key::text, $command::text, COALESCE($fingerprint::text, ''), $definition::text,
    $state::text, $data::json, $model_version::bigint, $version::bigint, $created_at::timestamptz,
    $updated_at::timestamptz, $events::json
  FROM saved
  -- The key of a record whose retention is over may be used again.
  ON CONFLICT (workflow_id, key) DO UPDATE
  SET command = EXCLUDED.command, fingerprint = EXCLUDED.fingerprint, definition = EXCLUDED.definition,
    state = EXCLUDED.state, data = EXCLUDED.data, model_version = EXCLUDED.model_version, version = EXCLUDED.version,
    created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, events = EXCLUDED.events,
    kept_since = EXCLUDED.kept_since
)

-- name: set_one
, set_anew AS (
  INSERT INTO {schema}.timer
    (workflow_id, key, generation, definition, state, keep, command, command_data, due_at)
  SELECT $id::text, $put_key::text, $put_generation::text, $put_definition::text, $put_state::text,
    $put_keep::boolean, $put_command::text, $put_command_data::json,
    COALESCE($put_due_at::timestamptz, clock_timestamp() + $put_delay::interval)
  FROM saved
  ON CONFLICT (workflow_id, key) DO UPDATE
  SET generation = EXCLUDED.generation, definition = EXCLUDED.definition, state = EXCLUDED.state,
    keep = EXCLUDED.keep, command = EXCLUDED.command, command_data = EXCLUDED.command_data, due_at = EXCLUDED.due_at,
    attempts = 0, error = NULL
)

-- name: save_many
-- A batch: one row for each commit, in order of id and version; `expected` is set on the row that becomes the current
-- one, `recorded_at` on those that are commits. At most one current row for each id: UPDATE ... FROM would take any of
-- several. The ids of saves that lost come back. {leases}, {leased} and {timers} stand for parts of agenda.sql, or, for a
-- batch without leases and timers, for nothing.
WITH {leases} entry AS MATERIALIZED (
  SELECT * FROM unnest(
    $1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::json[],
    $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::boolean[], $14::text[], $15::json[], $16::json[],
    $17::json[], $18::text[], $19::text[], $20::timestamptz[], $21::boolean[]
  ) AS entry (
    id, expected, expected_commit_id, version, commit_id, definition, state, model_version, data,
    created_at, updated_at, entered_at, stays, command, command_data, events,
    metadata, idempotency_key, fingerprint, recorded_at, has_timers
  )
), updated AS (
  UPDATE {schema}.workflow AS w
  SET version = e.version, commit_id = e.commit_id, definition = e.definition, state = e.state,
    model_version = e.model_version, data = e.data, created_at = e.created_at, updated_at = e.updated_at,
    entered_at = CASE WHEN e.entered_at IS NULL OR (e.stays AND w.state = e.state) THEN w.entered_at
      ELSE e.entered_at END,
    has_timers = w.has_timers OR e.has_timers
  FROM entry AS e
  WHERE e.expected > 0 AND w.id = e.id AND w.version = e.expected
    AND (e.expected_commit_id IS NULL OR w.commit_id = e.expected_commit_id) {leased}
  RETURNING w.id
), created AS (
  INSERT INTO {schema}.workflow
    (id, version, commit_id, definition, state, model_version, data, created_at, updated_at, entered_at, has_timers)
  SELECT id, version, commit_id, definition, state, model_version, data, created_at, updated_at,
    COALESCE(entered_at, updated_at), has_timers
  FROM entry AS e WHERE expected = 0 {leased}
  ON CONFLICT (id) DO NOTHING
  RETURNING id
), won AS (
  SELECT id FROM updated UNION ALL SELECT id FROM created
), committed AS (
  -- "IS TRUE" keeps the subquery a hash that is probed; as a join, without hash joins, it would be a nested loop.
  INSERT INTO {schema}.workflow_commit
    (workflow_id, version, id, definition, state, model_version, data, created_at, updated_at, command, command_data,
     events, metadata, idempotency_key, recorded_at)
  SELECT id, version, commit_id, definition, state, model_version, data, created_at, updated_at, command, command_data,
    events, metadata, idempotency_key, recorded_at
  FROM entry WHERE recorded_at IS NOT NULL AND (id IN (SELECT id FROM won)) IS TRUE
), answered AS (
  INSERT INTO {schema}.idempotency
    (workflow_id, key, command, fingerprint, definition, state, data, model_version, version, created_at, updated_at,
     events)
  SELECT id, idempotency_key, command, COALESCE(fingerprint, ''), definition, state, data, model_version, version,
    created_at, updated_at, events
  FROM entry
  WHERE idempotency_key IS NOT NULL AND command IS NOT NULL AND (id IN (SELECT id FROM won)) IS TRUE
  -- The key of a record whose retention is over may be used again.
  ON CONFLICT (workflow_id, key) DO UPDATE
  SET command = EXCLUDED.command, fingerprint = EXCLUDED.fingerprint, definition = EXCLUDED.definition,
    state = EXCLUDED.state, data = EXCLUDED.data, model_version = EXCLUDED.model_version, version = EXCLUDED.version,
    created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, events = EXCLUDED.events,
    kept_since = EXCLUDED.kept_since
){timers}
SELECT id FROM entry WHERE expected IS NOT NULL AND (id IN (SELECT id FROM won)) IS NOT TRUE;

-- name: found
-- What stands in the way of saves that lost, and whose commit follows the version that they expected. A statement of its
-- own: the one that lost may have waited for a lock, and would report the row as it was before.
SELECT q.id, w.id, w.definition, w.state, w.data::text, w.model_version, w.version, w.created_at, w.updated_at,
  w.commit_id, w.entered_at, w.has_timers, c.id
FROM unnest($1::text[], $2::bigint[]) AS q (id, version)
LEFT JOIN {schema}.workflow AS w ON w.id = q.id
LEFT JOIN {schema}.workflow_commit AS c ON c.workflow_id = q.id AND c.version = q.version;

-- name: locked
-- Which of these workflows somebody holds locked now.
WITH free AS (
  SELECT id FROM {schema}.workflow WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
SELECT id FROM {schema}.workflow WHERE id = ANY ($1::text[]) AND (id IN (SELECT id FROM free)) IS NOT TRUE;

-- name: recall
SELECT k.workflow_id, k.key, k.command, k.fingerprint, k.events::text, k.definition, k.state, k.data::text,
  k.model_version, k.version, k.created_at, k.updated_at
FROM unnest($1::text[], $2::text[]) AS q (workflow_id, key)
JOIN {schema}.idempotency AS k ON k.workflow_id = q.workflow_id AND k.key = q.key
WHERE k.kept_since > clock_timestamp() - $3::interval
  -- The key of a command that is still to be delivered holds for as long as that takes.
  OR EXISTS (SELECT FROM {schema}.outbox AS o WHERE o.key = k.key);

-- name: history
SELECT position, id, workflow_id, definition, version, command, command_data::text, events::text, state, model_version,
  metadata::text, idempotency_key, recorded_at
FROM {schema}.workflow_commit WHERE workflow_id = $1 AND version > $2::bigint ORDER BY version LIMIT $3::bigint;

-- name: snapshot_at
SELECT workflow_id, definition, state, data::text, model_version, version, created_at, updated_at
FROM {schema}.workflow_commit WHERE workflow_id = $1 AND version = $2::bigint;

-- name: commits
-- One statement, so that horizon and commits are of one moment.
SELECT s.horizon, EXISTS (SELECT FROM {schema}.workflow_commit WHERE position IS NULL),
  c.position, c.id, c.workflow_id, c.definition, c.version, c.command, c.command_data::text, c.events::text, c.state,
  c.model_version, c.metadata::text, c.idempotency_key, c.recorded_at
FROM {schema}.sequencer AS s
LEFT JOIN LATERAL (
  SELECT * FROM {schema}.workflow_commit WHERE position > $1::bigint ORDER BY position LIMIT $2::bigint
) AS c ON true
ORDER BY c.position;

-- name: number
-- The sequencer. It runs in a statement begun after the advisory lock is held, so that it sees every commit that the
-- holder before it numbered. {only} narrows it to one workflow.
WITH next AS MATERIALIZED (
  SELECT workflow_id, version, row_number() OVER (ORDER BY number) AS rank
  FROM (
    SELECT workflow_id, version, number FROM {schema}.workflow_commit
    WHERE position IS NULL {only} ORDER BY number LIMIT {limit}
  ) AS unnumbered
), head AS (
  UPDATE {schema}.sequencer SET last_position = last_position + (SELECT count(*) FROM next)
  WHERE (SELECT count(*) FROM next) > 0
  RETURNING last_position - (SELECT count(*) FROM next) AS before
), numbered AS (
  UPDATE {schema}.workflow_commit AS c SET position = head.before + next.rank
  FROM next CROSS JOIN head
  WHERE c.workflow_id = next.workflow_id AND c.version = next.version
)
SELECT count(*), (SELECT count(*) FROM head) FROM next;

-- name: find_any
SELECT id, definition, state, data::text, model_version, version, created_at, updated_at, commit_id, entered_at,
  has_timers
FROM {schema}.workflow WHERE id > $1 ORDER BY id LIMIT $2::bigint;

-- name: find_state
SELECT id, definition, state, data::text, model_version, version, created_at, updated_at, commit_id, entered_at,
  has_timers
FROM {schema}.workflow WHERE id > $1 AND state = $3 ORDER BY id LIMIT $2::bigint;

-- name: find_definition
-- Merges the states' stretches of the one index: an index on (definition, id), too, would cost at every change of state.
WITH RECURSIVE present AS (
  (SELECT state FROM {schema}.workflow WHERE definition = $3 ORDER BY state LIMIT 1)
  UNION ALL
  SELECT (
    SELECT w.state FROM {schema}.workflow AS w WHERE w.definition = $3 AND w.state > p.state ORDER BY w.state LIMIT 1
  )
  FROM present AS p WHERE p.state IS NOT NULL
), page AS MATERIALIZED (
  SELECT here.id FROM present AS p
  CROSS JOIN LATERAL (
    SELECT w.id FROM {schema}.workflow AS w
    WHERE w.definition = $3 AND w.state = p.state AND w.id > $1 ORDER BY w.id LIMIT $2::bigint
  ) AS here
  ORDER BY here.id LIMIT $2::bigint
)
SELECT w.id, w.definition, w.state, w.data::text, w.model_version, w.version, w.created_at, w.updated_at, w.commit_id,
  w.entered_at, w.has_timers
FROM page JOIN {schema}.workflow AS w ON w.id = page.id ORDER BY w.id;

-- name: find_definition_state
SELECT id, definition, state, data::text, model_version, version, created_at, updated_at, commit_id, entered_at,
  has_timers
FROM {schema}.workflow WHERE definition = $3 AND state = $4 AND id > $1 ORDER BY id LIMIT $2::bigint;

-- name: count_any
SELECT count(*) FROM {schema}.workflow;

-- name: count_state
SELECT count(*) FROM {schema}.workflow WHERE state = $1;

-- name: count_definition
SELECT count(*) FROM {schema}.workflow WHERE definition = $1;

-- name: count_definition_state
SELECT count(*) FROM {schema}.workflow WHERE definition = $1 AND state = $2;

-- name: count_by_state
SELECT state, count(*) FROM {schema}.workflow WHERE definition = $1 GROUP BY state;

-- name: forget
-- Several statements: all but the first begin after the row's lock was got, and so see what a save brought
-- that the first one waited for.
DELETE FROM {schema}.workflow WHERE id = {id};
DELETE FROM {schema}.workflow_commit WHERE workflow_id = {id};
DELETE FROM {schema}.idempotency WHERE workflow_id = {id};
DELETE FROM {schema}.timer WHERE workflow_id = {id};
DELETE FROM {schema}.outbox WHERE source_id = {id} OR target_id = {id};

-- name: first_to_keep
-- The position of the first commit that is young enough to stay, or one after the last: what goes is older than all that
-- stays to be read on, whatever the clocks were that dated the commits.
SELECT COALESCE(
  (SELECT position FROM {schema}.workflow_commit
   WHERE position IS NOT NULL AND recorded_at >= clock_timestamp() - $1::interval ORDER BY position LIMIT 1),
  (SELECT last_position + 1 FROM {schema}.sequencer));

-- name: prune
-- Some of the commits between two positions, short enough not to hold up saves; never the newest of a workflow.
WITH page AS MATERIALIZED (
  SELECT workflow_id, version, position FROM {schema}.workflow_commit
  WHERE position > $1::bigint AND position < $2::bigint ORDER BY position LIMIT $3::bigint
), old AS MATERIALIZED (
  SELECT workflow_id, version, position FROM page
  WHERE EXISTS (SELECT FROM {schema}.workflow AS w WHERE w.id = page.workflow_id AND w.version > page.version)
), gone AS (
  DELETE FROM {schema}.workflow_commit AS c USING old
  WHERE c.workflow_id = old.workflow_id AND c.version = old.version
  RETURNING 1
), raised AS (
  UPDATE {schema}.sequencer SET horizon = GREATEST(horizon, (SELECT max(position) FROM old))
  WHERE EXISTS (SELECT FROM old)
)
SELECT (SELECT count(*) FROM gone), count(*), max(position) FROM page;

-- name: expire_keys
WITH old AS (
  SELECT workflow_id, key FROM {schema}.idempotency
  WHERE kept_since <= clock_timestamp() - $1::interval
    AND NOT EXISTS (SELECT FROM {schema}.outbox AS o WHERE o.key = idempotency.key)
  ORDER BY kept_since LIMIT $2::bigint
), gone AS (
  DELETE FROM {schema}.idempotency AS k USING old
  WHERE k.workflow_id = old.workflow_id AND k.key = old.key AND k.kept_since <= clock_timestamp() - $1::interval
  RETURNING 1
)
SELECT count(*) FROM gone;

-- name: listen
UPDATE {schema}.sequencer SET heard_until = clock_timestamp() + $1::interval;

-- name: notify
SELECT pg_notify($1, '');

-- name: is_heard
SELECT heard_until > clock_timestamp() FROM {schema}.sequencer;

-- name: isolation
SELECT current_setting('transaction_isolation');
