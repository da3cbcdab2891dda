"""The schema: made by migrations alone, guarded by triggers, the same as the models say."""

import json
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from app.core.errors import StoreUnavailable
from app.store.database import Database
from app.store.migrate import current, downgrade, head, migrate, scripts
from app.store.tables import RequestRow
from tests.support.sources import ROOT

LATE = (
    "import sys; from app.store.database import Database; from app.store.migrate import migrate; "
    "print('here', flush=True); sys.stdin.readline(); migrate(Database(sys.argv[1]))"
)
"""A process that says that it is there, waits for the word, and migrates."""

REFUSED = {
    "payload": "UPDATE requests SET payload = payload",
    "digest": "UPDATE requests SET digest = 'other'",
    "verdict": "UPDATE requests SET status = 'denied', verdict = '{}'",
    "created_at": "UPDATE requests SET created_at = 1",
    "request": "DELETE FROM requests",
    "audit changed": "UPDATE audit SET actor = 'nobody'",
    "audit cut": "DELETE FROM audit",
    "vote changed": "UPDATE votes SET choice = 'approve'",
    "vote withdrawn": "DELETE FROM votes",
    "version changed": "UPDATE policy_versions SET document = '{}'",
    "version removed": "DELETE FROM policy_versions",
    "call revived": "UPDATE request_items SET status = 'waiting'",
    "call removed": "DELETE FROM request_items",
}

ROWS: dict[str, dict[str, Any]] = {
    "requests": {
        "id": "req_1", "agent_id": "agt_1", "key_id": "key_1", "kind": "plain", "action": "a",
        "urgency": "normal", "reason": "", "payload": b"{}", "digest": "d", "effect": "review",
        "verdict": "{}", "quorum": 1, "route": "", "require_reason": False, "valid_for": 1,
        "created_at": 1, "expires_at": 2, "status": "pending", "version": 1, "approvals": 0,
        "comment": "", "attempt": 0, "fence": 0, "denials": 0, "stage": 0,
    },
    "audit": {
        "at": 1, "event": "e", "actor": "system", "actor_name": "", "subject": "request:req_1",
        "details": "{}",
    },
    "votes": {
        "request_id": "req_1", "person_id": "per_1", "choice": "deny", "digest": "d",
        "comment": "", "channel": "api", "cast_at": 1, "assurance": 2, "display": "",
    },
    "request_items": {
        "request_id": "req_1", "number": 1, "target_id": "tgt_1", "status": "succeeded",
        "fence": 1,
    },
    "policy_versions": {
        "policy_id": "pol_1", "version": 1, "document": "{}", "author": "", "created_at": 1,
    },
}  # fmt: skip


@pytest.fixture
def database(database_url: str) -> Database:
    """An empty database, migrated."""
    made = Database(database_url)
    migrate(made)
    return made


@pytest.fixture
def engine(database: Database) -> Engine:
    """A connection source to a database with one row in each guarded table."""
    opened = database.engine(writer=True)
    with opened.begin() as connection:
        for table, row in ROWS.items():
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    return opened


def tables(database: Database) -> set[str]:
    opened = database.engine(writer=False)
    with opened.connect() as connection:
        return set(inspect(connection).get_table_names())


def first() -> Any:
    """Return the module of the first migration."""
    path = scripts() / "versions" / "20261120_0000_first.py"
    namespace: dict[str, Any] = {}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), namespace)
    return namespace


@pytest.mark.requirement("OPS-1")
def test_up_from_empty(database_url: str) -> None:
    database = Database(database_url)
    assert current(database) is None
    migrate(database)
    assert current(database) == head()
    assert tables(database) == set(SQLModel.metadata.tables) | {"alembic_version"}
    migrate(database)
    assert current(database) == head()


@pytest.mark.requirement("OPS-1")
@pytest.mark.filterwarnings("ignore:.*expression-based index 'ix_requests_identical'")
@pytest.mark.filterwarnings("ignore:.*expression-based index ix_requests_identical")
def test_models_and_migrations_agree(database: Database) -> None:
    import_module("app.store.tables_bundles")
    import_module("app.store.tables_directory")
    import_module("app.store.tables_limits")
    import_module("app.store.tables_notices")
    import_module("app.store.tables_bodies")
    with database.engine(writer=False).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_down_one_and_up(database: Database) -> None:
    downgrade(database, "20261120_0000")
    assert current(database) == "20261120_0000"
    assert "deliveries" not in tables(database)
    migrate(database)
    downgrade(database, "base")
    assert current(database) is None
    assert tables(database) == {"alembic_version"}
    migrate(database)
    assert current(database) == head()
    assert tables(database) == set(SQLModel.metadata.tables) | {"alembic_version"}


@pytest.mark.requirement("GW-3", "OPS-1")
def test_credentials_that_are_there_say_what_they_add(database: Database) -> None:
    downgrade(database, "20261121_0000")
    adds = {
        "bearer": ({"token"}, ["Authorization: "]),
        "headers": ({"X-B", "X-A"}, ["X-A: ", "X-B: "]),
        "query": ({"key"}, ["?key="]),
    }
    opened = database.engine(writer=True)
    with opened.begin() as connection:
        for kind, (fields, _) in adds.items():
            row = {"id": f"crd_{kind}", "name": kind, "kind": kind, "key": b"-"}
            connection.execute(
                text(
                    "INSERT INTO credentials (id, vault, name, description, kind, version, "
                    "created_at, updated_at) VALUES (:id, 'default', :name, '', :kind, 1, 1, 1)"
                ),
                row,
            )
            for name in fields:
                connection.execute(
                    text(
                        "INSERT INTO vault_fields (credential_id, name, sealed, master_key) "
                        "VALUES (:id, :field, :key, 'k')"
                    ),
                    {**row, "field": name},
                )
    migrate(database)
    with opened.connect() as connection:
        found = connection.execute(text("SELECT kind, adds, domains FROM credentials")).all()
    opened.dispose()
    assert {row[0]: json.loads(row[1]) for row in found} == {
        kind: wanted for kind, (_, wanted) in adds.items()
    }
    assert {row[2] for row in found} == {"[]"}


def test_every_table_has_text_or_counted_keys(database: Database) -> None:
    with database.engine(writer=False).connect() as connection:
        seen = inspect(connection)
        for table in seen.get_table_names():
            assert seen.get_pk_constraint(table)["constrained_columns"], table
        kinds = {
            (table, column["name"]): str(column["type"])
            for table in seen.get_table_names()
            for column in seen.get_columns(table)
            if column["name"] == "id" and table != "jobs"
        }
    assert kinds and set(kinds.values()) <= {"VARCHAR"}


@pytest.mark.requirement("REQ-2", "AUD-1")
@pytest.mark.parametrize("what", REFUSED)
def test_the_record_refuses_changes(engine: Engine, what: str) -> None:
    with engine.connect() as connection, connection.begin() as unit:
        with pytest.raises(DBAPIError) as refusal:
            connection.execute(text(REFUSED[what]))
        unit.rollback()
    words = str(refusal.value)
    assert "does not change" in words or "kept" in words or "refuse" in words or "only" in words


@pytest.mark.requirement("AUD-1")
def test_postgresql_refuses_to_empty_the_record(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        return  # SQLite knows no TRUNCATE; its DELETE without WHERE is in the list above
    for table in ROWS:
        with engine.connect() as connection, connection.begin() as unit:
            with pytest.raises(DBAPIError, match="is refused"):
                connection.execute(text(f"TRUNCATE {table} CASCADE"))
            unit.rollback()


@pytest.mark.requirement("REQ-2")
def test_every_submitted_column_is_guarded() -> None:
    columns = list(RequestRow.model_fields)
    submitted = tuple(columns[: columns.index("created_at") + 1])
    guarded = tuple("route" if name == "approvers" else name for name in first()["REQUEST_COLUMNS"])
    assert guarded == submitted


@pytest.mark.requirement("REQ-2")
def test_each_submitted_column_refuses_by_itself(engine: Engine) -> None:
    for column in first()["REQUEST_COLUMNS"]:
        with engine.connect() as connection, connection.begin() as unit:
            with pytest.raises(DBAPIError):
                connection.execute(text(f"UPDATE requests SET {column} = {column}"))
            unit.rollback()


def test_what_happens_later_can_be_written(engine: Engine) -> None:
    with engine.begin() as connection:
        changed = connection.execute(
            text("UPDATE requests SET status = 'denied', version = 2, decided_at = 3")
        )
    assert changed.rowcount == 1


def test_an_unknown_status_is_refused(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text("UPDATE requests SET status = 'maybe'"))


@pytest.mark.requirement("OPS-1")
def test_processes_that_start_at_once_all_succeed(database_url: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LATE, database_url], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in started:
        assert process.stdout and process.stdout.readline() == "here\n"
    for process in started:
        assert process.stdin
        process.stdin.write("now\n")
        process.stdin.flush()
    said = [process.communicate(timeout=40)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert current(Database(database_url)) == head()


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.engine(writer=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '29990101_0000'"))
    with pytest.raises(StoreUnavailable, match="another version"):
        migrate(database)
    assert current(database) == "29990101_0000"


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    for step in (migrate, current):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            step(database)


@pytest.mark.requirement("OPS-1")
def test_an_installed_wheel_brings_its_migrations(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True, timeout=50,
    )  # fmt: skip
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import app.store.migrate as m; from app.store.database import Database; import sys; "
        "d = Database(sys.argv[1]); m.migrate(d); print(m.scripts()); print(m.current(d))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'wheel.db'}"],
        cwd=tmp_path / "site", capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "site/app/store/migrations"), head()]


@pytest.mark.requirement("T64", "REQ-2")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO votes SELECT * FROM votes",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit",
        "INSERT OR REPLACE INTO requests SELECT * FROM requests",
        "INSERT OR REPLACE INTO policy_versions SELECT * FROM policy_versions",
        "UPDATE requests SET expires_at = 99",
    ],
)
def test_nothing_is_replaced(engine: Engine, statement: str) -> None:
    if engine.dialect.name != "sqlite":
        statement = statement.replace(" OR REPLACE", "")  # which PostgreSQL does not have
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.requirement("T28", "T29")
def test_what_is_over_stays_over_and_a_grant_is_not_prolonged(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE requests SET valid_until = 5"))
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE requests SET valid_until = 99"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE requests SET status = 'succeeded'"))
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE requests SET status = 'approved'"))


def test_file_names_say_the_revisions() -> None:
    found = ScriptDirectory(str(scripts()))
    assert found.get_current_head() == head()
    for revision in found.walk_revisions():
        assert Path(revision.path).name.startswith(f"{revision.revision}_")
