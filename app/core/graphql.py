"""GraphQL: whether a call may ask for fields under other names than they have."""

from collections.abc import Mapping, Sequence
from typing import cast

from app.core.facts import UNCLEAR


def may_be_graphql(http: Mapping[str, object] | None) -> bool:
    """Whether a call may be GraphQL; one with a body that nobody could read may.

    It is told by a path that ends in ``/graphql``, by ``query`` or a stored document in its JSON
    body (or in one of several, in a list), and by a document in the address.

    :param http: the call as policies see it.
    """
    if http is None:
        return False
    path, body = str(http.get("path", "")), http.get("json")
    if body is UNCLEAR or path.rstrip("/").lower().endswith("graphql"):
        return True
    if http.get("query") is UNCLEAR:
        return True
    query = cast("Mapping[str, object]", http.get("query") or {})
    if "extensions" in query or "{" in str(query.get("query", "")):
        return True
    several = cast("Sequence[object]", body) if isinstance(body, list) else (body,)
    return any(isinstance(one, Mapping) and ("query" in one or "extensions" in one)
               for one in several)  # fmt: skip
