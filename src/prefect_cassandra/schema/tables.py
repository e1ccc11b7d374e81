"""The tables of `prefect_ledger` that every installation has, as CQL.

They are made by `schema apply`, as superuser, because whoever makes a table may do everything with
it. The rooms above know how to use them; here is only what they look like.
"""

from __future__ import annotations

from prefect_cassandra.schema.canary import CANARY_TABLE
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.records import BOOKKEEPING

FLOW_VERSIONS = "flow_versions"
STAMP_CLOCKS = "stamp_clocks"
STAMP_BLOCKS = "stamp_blocks"
LOAD_BLOCKS = "load_blocks"
LOAD_CHUNKS = "load_chunks"
RUN_BLOCKS = "run_blocks"
PERSON_BLOCKS = "person_blocks"
UNDOINGS = "undoings"
UNFINISHED = "unfinished"
BEFORE_IMAGES = "before_images"

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
