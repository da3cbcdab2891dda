"""Use cases. They own the transactions; they may import app.core and app.store."""
