"""The tables of `prefect_ledger` that every installation has, as CQL.

They are made by `schema apply`, as superuser, because whoever makes a table may do everything with
it. The rooms above know how to use them; here is only what they look like.
"""

from __future__ import annotations

from prefect_cassandra.schema.canary import CANARY_TABLE
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.records import BOOKKEEPING

FLOW_VERSIONS = "flow_versions"

# A partition for each deployment of a release: several releases may share one Cassandra. The
# newest version is the first row, and the definition is the one big cell. Why the identifiers are
# fixed is said in `records.py`.
LEDGER_TABLES = (
    BOOKKEEPING
    | CANARY_TABLE
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
