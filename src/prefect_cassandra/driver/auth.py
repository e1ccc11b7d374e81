"""Logging in, with credentials read at the moment a connection is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cassandra.auth import AuthProvider, PlainTextAuthenticator

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.config import Login


class LoginProvider(AuthProvider):  # type: ignore[misc]  # the driver has no types
    """Gives each new connection the credentials that hold now.

    A mounted Kubernetes secret changes under a running process; reading it per connection means a
    rotation needs no restart. Nothing is kept between two connections.
    """

    def __init__(self, login: Login) -> None:
        self._login = login

    def __repr__(self) -> str:
        return f"LoginProvider({self._login!r})"

    def new_authenticator(self, host: str) -> Any:
        """Return the driver's authenticator for one connection.

        Raises:
            ConfigurationError: A credential file is missing, unreadable or empty.
        """
        del host  # the same role logs in everywhere
        username, password = credentials(self._login)
        return PlainTextAuthenticator(username, password)


def credentials(login: Login) -> tuple[str, str]:
    """Return user name and password as they are now.

    Raises:
        ConfigurationError: A credential file is missing, unreadable or empty; names its path.
    """
    if login.folder is None:
        return login.username or "", login.password or ""
    return _read(login.folder / "username"), _read(login.folder / "password")


def _read(path: Path) -> str:
    try:
        # Editors and `echo` end files with a line break; no password of ours does.
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(
            f"The credential file {path} cannot be read: {error.strerror}.",
            hint="Mount the secret there with the keys username and password.",
        ) from error
    except UnicodeDecodeError:
        # The original error shows the bytes, and they are the password.
        raise ConfigurationError(
            f"The credential file {path} is not text.", hint="Write it in UTF-8."
        ) from None
    if not text:
        raise ConfigurationError(
            f"The credential file {path} is empty.", hint="Fill the secret it is mounted from."
        )
    return text
