"""A copy of a database of PostgreSQL, as it was made, for the next test that wants one."""

from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg
from psycopg import sql

_MOST: Final = 40 << 20
"""Bytes above which a database is not worth keeping: what was deleted still takes room."""

_TABLES: Final = """
    SELECT relname FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""
_SEQUENCES: Final = """
    SELECT sequencename, COALESCE(last_value, start_value), last_value IS NOT NULL
      FROM pg_sequences WHERE schemaname = 'public'
"""
_SHAPE: Final = """
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT concat_ws(' ', 'column', attrelid::regclass, attname, atttypid, attnotnull) AS line
          FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
         WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'class', relname, relkind, relacl)
          FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname, tgenabled)
          FROM pg_trigger
        UNION ALL SELECT concat_ws(' ', 'function', proname, md5(prosrc))
          FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, convalidated)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'setting', setconfig)
          FROM pg_db_role_setting JOIN pg_database ON setdatabase = pg_database.oid
         WHERE datname = current_database()
    ) AS lines
"""
_LEAVE: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Made:
    """What a database holds when it was just made.

    :ivar shape: a digest of its tables, triggers, functions, constraints and settings.
    :ivar rows: of the tables that are not empty, as COPY writes them.
    """

    shape: str
    rows: dict[str, bytes]
    sequences: tuple[tuple[str, int, bool], ...]


def look(url: str) -> Made:
    """Return what a database holds."""
    with psycopg.connect(url, autocommit=True) as connection:
        shape = connection.execute(_SHAPE).fetchone()
        tables = [str(name) for (name,) in connection.execute(_TABLES)]
        rows = {table: _copied(connection, table) for table in tables}
        sequences = tuple(connection.execute(_SEQUENCES).fetchall())
    assert shape is not None
    return Made(shape[0], {table: data for table, data in rows.items() if data}, sequences)


def wipe(url: str, made: Made) -> bool:
    """Bring a database back to what it was; False where it was changed beyond its rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_LEAVE)
        shape = connection.execute(_SHAPE).fetchone()
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        if shape is None or shape[0] != made.shape or size is None or size[0] > _MOST:
            return False
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
            for (table,) in connection.execute(_TABLES).fetchall():
                connection.execute(_named("DELETE FROM {}", table))
            for table, data in made.rows.items():
                with connection.cursor().copy(_named("COPY {} FROM STDIN", table)) as copy:
                    copy.write(data)
            for name, value, called in made.sequences:
                connection.execute("SELECT setval(%s::regclass, %s, %s)", (name, value, called))
    return True


def _copied(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor().copy(_named("COPY {} TO STDOUT", table)) as copy:
        return b"".join(bytes(piece) for piece in copy)


def _named(statement: LiteralString, name: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(name))
