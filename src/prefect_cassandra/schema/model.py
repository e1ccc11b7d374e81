"""`keyspaces.yaml`: the keyspaces of an installation and how often each environment keeps them.

```yaml
environments:
  local:
    replication: {datacenter1: 1}
  production:
    replication: {dc1: 3}
keyspaces:
  flights:
    description: Flights of New York by the questions asked of them.
    migrations: flights/schema        # relative to this file
    replication:                      # optional, for environments that differ
      production: {dc1: 5}
orchestration:                        # optional, replication only: names and tables are built in
  prefect_state:
    replication: {production: {dc1: 5}}
```

The file is closed: a key nobody reads is an error, because a misspelt `replicaton` would otherwise
keep data once without a word.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from prefect_cassandra.errors import ConfigurationError

STATE = "prefect_state"
LEDGER = "prefect_ledger"
ORCHESTRATION = {
    STATE: "What Prefect shares between processes: results, locks, run logs.",
    LEDGER: "Stamps, blocks, statements and the record of applied migrations.",
}
_SYSTEM = re.compile(r"system(_.*)?|dse(_.*)?")
# Cassandra's limit is 48 for the directory name; lower case only, so that no name needs quotes.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
# The words CQL keeps for itself (`ReservedKeywords.java`): `CREATE KEYSPACE values` does not parse.
_RESERVED = re.compile(
    "add|allow|alter|and|apply|asc|authorize|batch|begin|by|columnfamily|create|default|delete|desc|"
    "describe|drop|entries|execute|from|full|grant|if|in|index|infinity|insert|into|is|keyspace|"
    "limit|materialized|mbean|mbeans|modify|nan|norecursive|not|null|of|on|or|order|primary|rename|"
    "replace|revoke|schema|select|set|table|to|token|truncate|unlogged|unset|update|use|using|view|"
    "where|with|values"
)


def _keyspace_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("use 1 to 48 lower-case letters, digits and _, beginning with a letter")
    if _RESERVED.fullmatch(name):
        raise ValueError(f"{name!r} is a word of CQL itself; {name}_data would do")
    if name in ORCHESTRATION:
        raise ValueError(
            f"{name!r} belongs to the orchestration; only its replication can be set, "
            "under `orchestration`"
        )
    if _SYSTEM.fullmatch(name):
        raise ValueError(f"{name!r} belongs to the database itself")
    return name


def _orchestration_name(name: str) -> str:
    if name not in ORCHESTRATION:
        raise ValueError(f"the orchestration keyspaces are {' and '.join(ORCHESTRATION)}")
    return name


Copies = Annotated[int, Field(ge=1, le=99, strict=True)]
Replication = Annotated[dict[str, Copies], Field(min_length=1)]
"""Datacenter name to the number of copies kept there."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Environment(_Closed):
    """One place the keyspaces live in, and the replication they get there by default."""

    replication: Replication


class Overrides(_Closed):
    """An orchestration keyspace: nothing but its replication is the installation's to choose."""

    replication: dict[str, Replication] = {}


class Application(_Closed):
    """One data domain: a keyspace, its migrations, a flow role and a reader role.

    Without migrations its tables are somebody else's to make: on Kubernetes the platform makes
    keyspace and roles, and the image that brings the flows brings the migrations.
    """

    migrations: Path | None = None
    description: str = ""
    replication: dict[str, Replication] = {}


class Keyspaces(_Closed):
    """The whole file; see the module for an example."""

    environments: Annotated[dict[str, Environment], Field(min_length=1)]
    keyspaces: dict[Annotated[str, AfterValidator(_keyspace_name)], Application] = {}
    orchestration: dict[Annotated[str, AfterValidator(_orchestration_name)], Overrides] = {}

    def environment(self, name: str) -> Environment:
        """Return one environment.

        Raises:
            ConfigurationError: The file has no such environment.
        """
        if name not in self.environments:
            raise ConfigurationError(
                f"there is no environment {name!r}{_closest(name, list(self.environments))}",
                hint=f"The file has: {', '.join(self.environments)}.",
            )
        return self.environments[name]

    def replication(self, environment: str) -> dict[str, dict[str, int]]:
        """Return keyspace -> datacenter -> copies for one environment, orchestration first.

        Raises:
            ConfigurationError: The file has no such environment.
        """
        default = self.environment(environment).replication
        overrides: dict[str, dict[str, dict[str, int]]] = {name: {} for name in ORCHESTRATION}
        overrides |= {name: spec.replication for name, spec in self.orchestration.items()}
        overrides |= {name: spec.replication for name, spec in self.keyspaces.items()}
        return {name: own.get(environment, default) for name, own in overrides.items()}


@dataclass(frozen=True, slots=True)
class Installation:
    """One cluster and what it is to hold.

    Attributes:
        keyspaces: The file, read by `load_keyspaces`.
        environment: Which of the file's environments the cluster is.
        secrets: Folder of the roles' password files, one sub-folder per role.
    """

    keyspaces: Keyspaces
    environment: str
    secrets: Path

    @property
    def applications(self) -> list[str]:
        """The application keyspaces."""
        return list(self.keyspaces.keyspaces)

    @property
    def replication(self) -> dict[str, dict[str, int]]:
        """Keyspace -> datacenter -> copies."""
        return self.keyspaces.replication(self.environment)


def load_keyspaces(path: Path) -> Keyspaces:
    """Read and check a `keyspaces.yaml`; migration folders become absolute.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or holds something unknown or wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", hint="Name the file with --file."
        ) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from None
    try:
        parsed = Keyspaces.model_validate(content)
    except ValidationError as error:
        lines = "; ".join(_explain(dict(item)) for item in error.errors(include_url=False))
        raise ConfigurationError(f"{path}: {lines}") from None
    _check_environments(parsed, path)
    folder = path.resolve().parent
    found = {
        name: spec.model_copy(update={"migrations": folder / spec.migrations})
        if spec.migrations
        else spec
        for name, spec in parsed.keyspaces.items()
    }
    return parsed.model_copy(update={"keyspaces": found})


def _check_environments(parsed: Keyspaces, path: Path) -> None:
    """Refuse a replication for an environment that is not in the file: it would never be used."""
    known = list(parsed.environments)
    overrides = {name: spec.replication for name, spec in parsed.keyspaces.items()}
    overrides |= {name: spec.replication for name, spec in parsed.orchestration.items()}
    for name, replication in overrides.items():
        for environment in replication:
            if environment not in known:
                raise ConfigurationError(
                    f"{path}: {name}.replication names the environment {environment!r}, which is "
                    f"not there{_closest(environment, known)}"
                )


_FIELDS: dict[str, list[str]] = {
    "": list(Keyspaces.model_fields),
    "environments": list(Environment.model_fields),
    "keyspaces": list(Application.model_fields),
    "orchestration": list(Overrides.model_fields),
}


def _explain(item: dict[str, Any]) -> str:
    """Turn one pydantic finding into a sentence that names the place in the file."""
    place = [str(part) for part in item["loc"] if part != "[key]"]
    where = ".".join(place)
    if item["type"] == "extra_forbidden":
        fields = _FIELDS[place[0] if len(place) > 1 else ""]
        hint = _closest(place[-1], fields) or f" (known here: {', '.join(fields)})"
        return f"{where}: unknown key{hint}"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where or 'the file'}: {message}"


def _closest(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
