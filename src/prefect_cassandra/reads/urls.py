"""URLs as they may be shown: logins stand in some of them."""

from __future__ import annotations

import re

# `sftp://name:password@host`, also behind another one as in `simplecache::sftp://...`.
_LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
# A signed URL has its key in the query. Elsewhere a question mark may be part of a glob.
_QUERY = re.compile(r"(https?://[^?\s]*)\?[^\s'\"]*", re.IGNORECASE)


def without_login(text: str) -> str:
    """Return a URL, or a message with URLs in it, without users, passwords and signatures."""
    return _QUERY.sub(r"\1", _LOGIN.sub("", text))
