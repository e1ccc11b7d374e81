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

# A partition for each deployment of a release: several releases may share one Cassandra. The
# newest version is the first row, and the definition is the one big cell. Why the identifiers are
# fixed is said in `records.py`.
LEDGER_TABLES = (
    BOOKKEEPING
    | CANARY_TABLE
    | STAMP_TABLES
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
# lock's fencing token and store the value. Every write brings its own TTL. The queue is rewritten
# all the time and holds nothing that lives longer than seconds, hence its short grace: a row that
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
