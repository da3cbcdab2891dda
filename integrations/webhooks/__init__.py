"""Outgoing webhooks: signed, to checked addresses only. Imports the core and httpx."""
