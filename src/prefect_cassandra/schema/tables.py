"""The tables of `prefect_ledger` and `prefect_state` that every installation has, as CQL.

They are made by `schema apply`, as superuser, because whoever makes a table may do everything with
it. The rooms above know how to use them; here is only what they look like.
"""

from __future__ import annotations

from prefect_cassandra.schema.canary import CANARY_TABLE
from prefect_cassandra.schema.model import LEDGER, STATE
from prefect_cassandra.schema.records import BOOKKEEPING

FLOW_VERSIONS = "flow_versions"
STAMP_CLOCKS = "stamp_clocks"
STAMP_BLOCKS = "stamp_blocks"
LOAD_BLOCKS = "load_blocks"
LOAD_CHUNKS = "load_chunks"
RUN_LOGS = "run_logs"
LOG_PLACES = "log_places"
RUN_BLOCKS = "run_blocks"
PERSON_BLOCKS = "person_blocks"
CHANGE_CURSORS = "change_cursors"
KEY_FILTERS = "key_filters"
UNDOINGS = "undoings"
UNFINISHED = "unfinished"
BEFORE_IMAGES = "before_images"
REMOVED_KEYS = "removed_keys"

# A clock is one row for ever. The records of its blocks are filed by the hour, because a table may
# be loaded for years; once more by load, so that a retry finds its own; and a block has at most
# 125,000 chunks. How they work together is said in `ledger/stamps.py`.
STAMP_TABLES = {
    STAMP_CLOCKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{STAMP_CLOCKS} (
  table_name text PRIMARY KEY,
  next bigint,
  newest text
) WITH ID = 70726566-6563-4000-8000-000000000011
  AND comment = 'The next free stamp of a table, and its newest blocks. Written with IF only.'""",
    STAMP_BLOCKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{STAMP_BLOCKS} (
  table_name text,
  hour timestamp,
  start bigint,
  length bigint,
  stride int,
  previous bigint,
  load_key text,
  generation int,
  first_chunk int,
  chunk_rows int,
  kind text,
  run text,
  task text,
  attempt int,
  deployment text,
  version text,
  image text,
  git_commit text,
  person text,
  source text,
  created_at timestamp,
  id uuid,
  state text,
  ended_at timestamp,
  chunks int,
  rows bigint,
  PRIMARY KEY ((table_name, hour), start)
) WITH CLUSTERING ORDER BY (start DESC)
  AND ID = 70726566-6563-4000-8000-000000000012
  AND comment = 'Who has which stamps of a table and what for, by the hour of the first one.'""",
    LOAD_BLOCKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{LOAD_BLOCKS} (
  table_name text,
  load_key text,
  generation int,
  start bigint,
  length bigint,
  stride int,
  first_chunk int,
  chunk_rows int,
  id uuid,
  state text,
  chunks int,
  rows bigint,
  PRIMARY KEY ((table_name, load_key), generation, start)
) WITH ID = 70726566-6563-4000-8000-000000000013
  AND comment = 'The blocks of a load, so that its next attempt finds them.'""",
    LOAD_CHUNKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{LOAD_CHUNKS} (
  table_name text,
  start bigint,
  number int,
  digest blob,
  owner uuid,
  slot bigint,
  first_row bigint,
  rows int,
  state text,
  run text,
  attempt int,
  PRIMARY KEY ((table_name, start), number, digest, owner)
) WITH ID = 70726566-6563-4000-8000-000000000014
  AND comment = 'The chunks written in a block, which begins at start: what each held.'""",
}

# Where the blocks of a run are, and those of a person's runs; what they are is in `stamp_blocks`. A
# run's partition has about 50 bytes for each of its loads and statements, a person's has an hour.
TRAIL_TABLES = {
    RUN_BLOCKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{RUN_BLOCKS} (
  run text,
  table_name text,
  start bigint,
  PRIMARY KEY (run, table_name, start)
) WITH ID = 70726566-6563-4000-8000-000000000020
  AND comment = 'Where the blocks of a flow run are: what it wrote.'""",
    PERSON_BLOCKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{PERSON_BLOCKS} (
  person text,
  hour timestamp,
  table_name text,
  start bigint,
  PRIMARY KEY ((person, hour), table_name, start)
) WITH ID = 70726566-6563-4000-8000-000000000021
  AND comment = 'Where the blocks of runs are that a person or service started.'""",
    CHANGE_CURSORS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{CHANGE_CURSORS} (
  table_name text,
  name text,
  stamp bigint,
  run text,
  moved_at timestamp,
  PRIMARY KEY ((table_name, name))
) WITH ID = 70726566-6563-4000-8000-000000000022
  AND comment = 'How far those who follow a table have taken its changes. Never goes back.'""",
}

# A chunk's filter has a partition of its own, because a block of many chunks has megabytes of them.
# What was deleted is looked for by the partition it was in, day by day.
# All of them expire and none is deleted, so whole files of a day go at once; and since a cell that
# expires can come back on no node, one day is grace enough.
STATEMENT_TABLES = {
    KEY_FILTERS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{KEY_FILTERS} (
  table_name text,
  start bigint,
  number int,
  digest blob,
  filter blob,
  PRIMARY KEY ((table_name, start, number), digest)
) WITH ID = 70726566-6563-4000-8000-000000000040
  AND compaction = {{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS',
    'compaction_window_size': 1}}
  AND gc_grace_seconds = 86400
  AND comment = 'Which keys a chunk may have written. Kept for the undo window.'""",
    REMOVED_KEYS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{REMOVED_KEYS} (
  table_name text,
  partition blob,
  day date,
  stamp bigint,
  place int,
  what text,
  keys text,
  columns text,
  statement text,
  parameters text,
  PRIMARY KEY ((table_name, partition, day), stamp, place)
) WITH CLUSTERING ORDER BY (stamp DESC, place ASC)
  AND ID = 70726566-6563-4000-8000-000000000041
  AND compaction = {{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS',
    'compaction_window_size': 1}}
  AND gc_grace_seconds = 86400
  AND comment = 'What stamped statements deleted, by partition. Kept for the undo window.'""",
}

# What was undone is kept as long as the table: its stamps must never be used again. What is left to
# do is a handful of rows at any time; one that comes back after it was deleted is looked at and
# deleted again, so its tombstones need not be kept for long. An image is at most 32 MiB of values
# in parts of half a MiB, written with the undo window as its TTL, and read with all of its parts.
UNDO_TABLES = {
    UNDOINGS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{UNDOINGS} (
  table_name text,
  load_key text,
  generation int,
  reason text,
  state text,
  person text,
  run text,
  begun_at timestamp,
  ended_at timestamp,
  rows_removed bigint,
  cells_cleared bigint,
  cells_restored bigint,
  PRIMARY KEY ((table_name, load_key), generation)
) WITH ID = 70726566-6563-4000-8000-000000000030
  AND comment = 'Which contents of a load were undone, or swept when others replaced them.'""",
    UNFINISHED: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{UNFINISHED} (
  table_name text,
  load_key text,
  generation int,
  reason text,
  run text,
  since timestamp,
  PRIMARY KEY (table_name, load_key, generation)
) WITH ID = 70726566-6563-4000-8000-000000000031
  AND gc_grace_seconds = 3600
  AND comment = 'What ledger repair finishes if nobody else does.'""",
    BEFORE_IMAGES: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{BEFORE_IMAGES} (
  table_name text,
  start bigint,
  number int,
  owner uuid,
  part int,
  parts int,
  taken_at bigint,
  image blob,
  PRIMARY KEY ((table_name, start, number), owner, part)
) WITH ID = 70726566-6563-4000-8000-000000000032
  AND compaction = {{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS',
    'compaction_window_size': 1}}
  AND comment = 'What the rows of a chunk held before it was written, for undoing it.'""",
}

# A partition for each deployment of a release: several releases may share one Cassandra. The
# newest version is the first row, and the definition is the one big cell. Why the identifiers are
# fixed is said in `records.py`.
LEDGER_TABLES = (
    BOOKKEEPING
    | CANARY_TABLE
    | STAMP_TABLES
    | TRAIL_TABLES
    | STATEMENT_TABLES
    | UNDO_TABLES
    | {
        FLOW_VERSIONS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{FLOW_VERSIONS} (
  release text,
  deployment text,
  number int,
  label text,
  state text,
  image text,
  image_tag text,
  git_commit text,
  created_at timestamp,
  created_by text,
  kubernetes_user text,
  restored_from int,
  promoted_from text,
  definition text,
  writer uuid,
  package_version text,
  PRIMARY KEY ((release, deployment), number)
) WITH CLUSTERING ORDER BY (number DESC)
  AND ID = 70726566-6563-4000-8000-000000000010
  AND comment = 'Versions of deployments. Written by the flows commands only, with IF.'""",
    }
)

RECORDS = "records"
RECORD_PARTS = "record_parts"
LOCK_QUEUE = "lock_queue"

# A record and the lock on it share a partition, so that one conditional write can compare the
# lock's fencing token and store the value. Every write brings its own TTL. A record that is written
# again and again is read each time with the tombstones of its older versions, so these go after a
# day: an old version that came back later would stand behind the newest, where nobody reads it, and
# the holder of a lock that came back with a lease that has ended. The queue is rewritten all the
# time and holds nothing that lives longer than seconds, hence its short grace: a row that
# came back after it would be gone by its TTL.
RESULT_TABLES = {
    RECORDS: f"""CREATE TABLE IF NOT EXISTS {STATE}.{RECORDS} (
  key text,
  fence bigint static,
  holder text static,
  until bigint static,
  host text static,
  since timestamp static,
  version bigint,
  writer uuid,
  size bigint,
  parts int,
  sha256 blob,
  content blob,
  PRIMARY KEY (key, version, writer)
) WITH CLUSTERING ORDER BY (version DESC, writer DESC)
  AND ID = 70726566-6563-4000-8000-000000000061
  AND gc_grace_seconds = 86400
  AND comment = 'Results of runs by storage key, newest version first, and the locks on them.'""",
    RECORD_PARTS: f"""CREATE TABLE IF NOT EXISTS {STATE}.{RECORD_PARTS} (
  writer uuid,
  number int,
  content blob,
  PRIMARY KEY ((writer, number))
) WITH ID = 70726566-6563-4000-8000-000000000062
  AND comment = 'Results too large for one row, in parts.'""",
    LOCK_QUEUE: f"""CREATE TABLE IF NOT EXISTS {STATE}.{LOCK_QUEUE} (
  key text,
  place bigint,
  waiter uuid,
  PRIMARY KEY (key, place, waiter)
) WITH gc_grace_seconds = 600
  AND ID = 70726566-6563-4000-8000-000000000060
  AND comment = 'Who waits for the lock on a record, in the order of their coming.'""",
}
# Lines of logs expire, so whole files of them go at once: time windows of a day, and no repair by
# reads, which would bring old lines into new windows. The server says how long a line lives; the
# default counts for who does not. A deleted run stays deleted if a node is away for a day; should
# it be away for longer, lines that come back expire as they would have.
_EXPIRING = """compaction = {'class': 'TimeWindowCompactionStrategy',
   'compaction_window_unit': 'DAYS', 'compaction_window_size': 1}
  AND gc_grace_seconds = 86400
  AND read_repair = 'NONE'"""

# How lines are found again is said in `state/logs.py`.
LOG_TABLES = {
    RUN_LOGS: f"""CREATE TABLE IF NOT EXISTS {STATE}.{RUN_LOGS} (
  flow_run_id uuid,
  bucket timestamp,
  at bigint,
  id uuid,
  level int,
  task_run_id uuid,
  name text,
  message text,
  PRIMARY KEY ((flow_run_id, bucket), at, id)
) WITH ID = 70726566-6563-4000-8000-000000000070
  AND default_time_to_live = 2592000
  AND {_EXPIRING}
  AND comment = 'Lines of logs by flow run and ten minutes; `at` is microseconds since 1970.'""",
    LOG_PLACES: f"""CREATE TABLE IF NOT EXISTS {STATE}.{LOG_PLACES} (
  shelf text,
  bucket timestamp,
  flow_run_id uuid,
  PRIMARY KEY ((shelf), bucket, flow_run_id)
) WITH ID = 70726566-6563-4000-8000-000000000071
  AND default_time_to_live = 2678400
  AND {_EXPIRING}
  AND comment = 'Where there are lines of logs: by flow run, by task run and by hour.'""",
}

STATE_TABLES = RESULT_TABLES | LOG_TABLES
