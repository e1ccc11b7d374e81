"""The start program is imported the way Python finds it in a pod: from its own folder."""

from __future__ import annotations

import sys

from support.snippets import ROOT

sys.path.insert(0, str(ROOT / "charts" / "prefect-cassandra" / "files" / "cassandra"))
