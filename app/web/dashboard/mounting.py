"""The dashboard's addresses: GET shows, POST changes."""

from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.web.dashboard import (
    audit,
    connections,
    credentials,
    directory,
    inbox,
    notices,
    policies,
    requests,
    selection,
    services,
    sessions,
    ssh,
    targets,
)
from app.web.dashboard.doors import Page, lost
from app.web.sse import page_events

STATIC: Final = Path(__file__).resolve().parent.parent / "static"

GETS: Final[tuple[tuple[str, Page], ...]] = (
    ("/", inbox.inbox),
    ("/inbox/list", inbox.inbox_list),
    ("/decisions", selection.review),
    ("/requests", requests.history),
    ("/requests/{request_id}", requests.one),
    ("/requests/{request_id}/status", requests.one_status),
    ("/requests/{request_id}/items/{number}", requests.call),
    ("/requests/{request_id}/body", requests.body),
    ("/setup", sessions.setup),
    ("/sign-in", sessions.sign_in_form),
    ("/account", sessions.account),
    ("/targets", targets.index),
    ("/targets/{target_id}", targets.one),
    ("/services", services.index),
    ("/services/{preset}", services.one),
    ("/connections", connections.index),
    ("/connect/callback", connections.came_back),
    ("/policies", policies.index),
    ("/policies/new", policies.new),
    ("/policies/dry-run", policies.dry_run_form),
    ("/policies/{policy_id}", policies.one),
    ("/agents", directory.agents),
    ("/agents/{agent_id}", directory.agent),
    ("/people", directory.people),
    ("/audit", audit.index),
    ("/notices", notices.index),
    ("/notices/webhooks/{webhook_id}", notices.one),
    ("/account/link/{secret}", notices.offered),
    ("/events", page_events),
)
"""Pages; none of them changes anything."""

POSTS: Final[tuple[tuple[str, Page], ...]] = (
    ("/decisions", selection.decide),
    ("/requests/{request_id}/decide", requests.decide),
    ("/requests/{request_id}/settle", requests.settle),
    ("/requests/{request_id}/reconcile", requests.reconcile),
    ("/requests/{request_id}/cancel", requests.cancel),
    ("/setup", sessions.set_up),
    ("/sign-in", sessions.sign_in),
    ("/sign-out", sessions.sign_out),
    ("/account/password", sessions.change_password),
    ("/account/sessions/end", sessions.end_sessions),
    ("/account/keys", sessions.create_key),
    ("/account/keys/{key_id}/revoke", sessions.revoke_key),
    ("/targets", targets.create),
    ("/ssh-hosts", ssh.create),
    ("/targets/{target_id}/ssh", ssh.update),
    ("/targets/{target_id}/host-key/look", ssh.look),
    ("/targets/{target_id}/host-key", ssh.enrol),
    ("/services/{preset}", services.create),
    ("/targets/{target_id}", targets.update),
    ("/targets/{target_id}/delete", targets.delete),
    ("/targets/{target_id}/breaker", targets.close_breaker),
    ("/credentials", credentials.create),
    ("/credentials/{credential_id}", credentials.replace),
    ("/credentials/{credential_id}/delete", credentials.delete),
    ("/connections", connections.create),
    ("/connections/{credential_id}", connections.replace),
    ("/connections/{credential_id}/connect", connections.connect),
    ("/connections/{credential_id}/disconnect", connections.disconnect),
    ("/connect/callback", connections.finish),
    ("/policies", policies.create),
    ("/policies/dry-run", policies.dry_run),
    ("/policies/{policy_id}", policies.update),
    ("/policies/{policy_id}/switch", policies.switch),
    ("/policies/{policy_id}/delete", policies.delete),
    ("/agents", directory.create_agent),
    ("/agents/{agent_id}", directory.update_agent),
    ("/agents/{agent_id}/keys", directory.create_key),
    ("/agents/{agent_id}/keys/{key_id}", directory.change_key),
    ("/people", directory.create_person),
    ("/people/groups", directory.put_group),
    ("/people/groups/{group_id}", directory.put_group),
    ("/people/{person_id}", directory.update_person),
    ("/installation", directory.set_owner),
    ("/notices/again", notices.send_again),
    ("/notices/webhooks", notices.create),
    ("/notices/webhooks/{webhook_id}", notices.change),
    ("/account/link/{secret}", notices.accept),
    ("/account/identities/{identity_id}/unlink", notices.unlink),
    ("/account/leave", notices.delegate),
    ("/account/leave/{delegation_id}/end", notices.end_leave),
    ("/account/preferences", notices.prefer),
)
"""Forms, each answered by a redirect to a page, or by the page with what is wrong."""


class CachedFiles(StaticFiles):
    """Static files that browsers may keep, asking whether they are still the same."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file with our cache header."""
        answer = super().file_response(*args, **kwargs)
        answer.headers["cache-control"] = "no-cache"
        return answer


def mount(app: FastAPI) -> None:
    """Add the dashboard's routes."""
    paths = {path for path, _ in (*GETS, *POSTS)}
    by_method: dict[str, dict[str, Page]] = {"GET": dict(GETS), "POST": dict(POSTS)}
    order = [path for path, _ in (*GETS, *POSTS)]
    for path in sorted(paths, key=order.index):
        for method, doors in by_method.items():
            if path in doors:
                app.router.routes.append(Route(path, doors[path], methods=[method]))
    app.add_exception_handler(HTTPException, lost)
    app.router.routes.append(Mount("/static", CachedFiles(directory=STATIC), name="static"))
