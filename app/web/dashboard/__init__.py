"""The dashboard: pages and form posts over the same services as the API.

Every action works as a plain form; the script only refreshes what the server rendered.
"""

from app.web.dashboard.mounting import mount

__all__ = ("mount",)
