from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.auth import LoginProvider, credentials
from prefect_cassandra.driver.config import Login
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "username").write_text("ada\n")
    (tmp_path / "password").write_text("first\n")
    return tmp_path


def said(authenticator: Any) -> bytes:
    return authenticator.evaluate_challenge(b"PLAIN-START")


def test_each_connection_gets_the_credentials_of_its_own_moment(folder: Any) -> None:
    provider = LoginProvider(Login(folder=folder))
    before = said(provider.new_authenticator("10.0.0.1"))

    (folder / "password").write_text("second")

    assert before == b"\x00ada\x00first"
    assert said(provider.new_authenticator("10.0.0.1")) == b"\x00ada\x00second"


def test_credentials_keep_every_blank_but_the_line_break_at_the_end(folder: Any) -> None:
    (folder / "password").write_text("  with blanks \r\n")

    assert credentials(Login(folder=folder)) == ("ada", "  with blanks ")


def test_credentials_given_by_value_need_no_file() -> None:
    assert credentials(Login("ada", "x")) == ("ada", "x")


@pytest.mark.parametrize("name", ["username", "password"])
def test_missing_credential_file_is_named(folder: Any, name: Any) -> None:
    (folder / name).unlink()

    with pytest.raises(ConfigurationError, match=str(folder / name)):
        LoginProvider(Login(folder=folder)).new_authenticator("10.0.0.1")


def test_empty_credential_file_is_named(folder: Any) -> None:
    (folder / "password").write_text("\n")

    with pytest.raises(ConfigurationError, match="password is empty"):
        credentials(Login(folder=folder))


def test_credential_file_that_is_no_text_is_named_without_its_content(folder: Any) -> None:
    (folder / "password").write_bytes(b"\xff\xfesecret")

    with pytest.raises(ConfigurationError, match="not text") as caught:
        credentials(Login(folder=folder))

    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


def test_provider_never_shows_the_password() -> None:
    assert "hunter2" not in repr(LoginProvider(Login("ada", "hunter2")))
