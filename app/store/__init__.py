"""The only SQL of the project, for SQLite and PostgreSQL; no row leaves this package."""
