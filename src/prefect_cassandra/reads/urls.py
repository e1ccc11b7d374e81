"""URLs as they may be shown: logins stand in some of them."""

from __future__ import annotations

import re

# `sftp://name:password@host`, also behind another one as in `simplecache::sftp://...`.
_LOGIN = re.compile(r"(?P<scheme>[\w+.-]{0,32})://(?P<login>[^/?#\s]*)@")
# What stands there is a container of a storage account or a repository, which everybody may see.
_NO_LOGIN = frozenset({"abfs", "abfss", "wasb", "wasbs", "github"})
# Of a web server's login the name alone may be a token.
_NAME_IS_SECRET = frozenset({"http", "https"})
# A signed URL has its key in the query. Elsewhere a question mark may be part of a glob.
_QUERY = re.compile(r"(https?://[^?\s]*)\?[^\s'\"]*", re.IGNORECASE)


def without_login(text: str) -> str:
    """Return a URL, or a message with URLs in it, without users, passwords and signatures."""

    def shown(found: re.Match[str]) -> str:
        scheme = found["scheme"]
        return found[0] if scheme.lower() in _NO_LOGIN else f"{scheme}://"

    return _QUERY.sub(r"\1", _LOGIN.sub(shown, text))


def holds_secret(url: str) -> bool:
    """Tell whether a URL holds what nobody else may know; the name of a user alone is not that."""
    if _QUERY.search(url):
        return True
    return any(map(_is_secret, _LOGIN.finditer(url)))


def _is_secret(found: re.Match[str]) -> bool:
    scheme = found["scheme"].lower()
    if scheme in _NO_LOGIN:
        return False
    _, _, password = found["login"].partition(":")
    return bool(password) or (scheme in _NAME_IS_SECRET and bool(found["login"]))
