"""Password files: `<secrets>/<role>/username` and `password`, the layout of a mounted Secret.

A password is on disk before the database knows it: the other order can lose the only copy. What
goes to the database is a bcrypt hash, so no statement, log line or trace ever holds a password.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

import bcrypt

from prefect_cassandra.errors import ConfigurationError

# What org.apache.cassandra.auth hashes with itself; a higher cost is paid at every new connection.
_ROUNDS = 10
_STAGED = "password.next"
_known_to_match: set[bytes] = set()


class PasswordFolder:
    """The folder with one sub-folder per role.

    Args:
        folder: Made on first use, for the owner of the process only (0700; files 0600).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def login_folder(self, role: str) -> Path:
        """Return the folder to log in from as `role`."""
        return self.folder / role

    def agrees(self, role: str, hashed: str) -> bool:
        """Say whether a password file of the role opens the hash the database holds.

        The staged one counts: `recover` puts it in its place.
        """
        return any(
            password is not None and _matches(password, hashed)
            for password in (self._read(role, "password"), self._read(role, _STAGED))
        )

    def is_rotating(self, role: str) -> bool:
        """Say whether a rotation of the role was begun and not finished."""
        return (self.folder / role / _STAGED).exists()

    def ensure(self, role: str) -> None:
        """Make username and password files where there are none."""
        self._make_folder(role)
        self._write(role, "username", role)
        if self._read(role, "password") is None:
            self._write(role, "password", _new_password())

    def recover(self, role: str, hashed: str) -> None:
        """Finish or forget a rotation that was interrupted, by what the database holds."""
        staged = self._read(role, _STAGED)
        if staged is None:
            return
        if _matches(staged, hashed):
            self.promote(role)
        elif self.agrees(role, hashed):
            (self.folder / role / _STAGED).unlink()

    def stage(self, role: str) -> str:
        """Write a new password beside the one in use; returns its hash for the database."""
        self._make_folder(role)
        password = _new_password()
        self._write(role, _STAGED, password)
        return _hash(password)

    def promote(self, role: str) -> None:
        """Put the staged password in place of the one in use, in one move."""
        home = self.folder / role
        (home / _STAGED).replace(home / "password")
        _sync_folder(home)

    def hashed(self, role: str) -> str:
        """Return a fresh hash of the role's password.

        Raises:
            ConfigurationError: The role has no password file.
        """
        password = self._read(role, "password")
        if password is None:
            raise ConfigurationError(f"{self.folder / role / 'password'} is missing or empty")
        return _hash(password)

    def _read(self, role: str, name: str) -> str | None:
        try:
            text = (self.folder / role / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {self.folder / role / name}: {error.strerror}"
            ) from None
        # Editors and `echo` leave a line end that is not part of the password.
        return text.rstrip("\r\n") or None

    def _make_folder(self, role: str) -> None:
        for folder in (self.folder, self.folder / role):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _write(self, role: str, name: str, content: str) -> None:
        home = self.folder / role
        if self._read(role, name) == content:
            return
        # mkstemp makes the file 0600 from its first moment; the move makes it complete or absent.
        handle, temporary = tempfile.mkstemp(dir=home, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(home / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(home)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _new_password() -> str:
    return secrets.token_urlsafe(32)


def _hash(password: str) -> str:
    # Cassandra's jBCrypt knows the prefix $2a$ and not the newer $2b$.
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS, prefix=b"2a")).decode()


def _matches(password: str, hashed: str) -> bool:
    # A check is slow on purpose, and one `apply` asks several times about the same pair.
    pair = hashlib.sha256(f"{password}\0{hashed}".encode()).digest()
    if pair not in _known_to_match:
        try:
            if not bcrypt.checkpw(password.encode(), hashed.encode()):
                return False
        except ValueError:
            return False
        _known_to_match.add(pair)
    return True
