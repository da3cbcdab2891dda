"""Marks words in mixed or look-alike letters, in texts of a card that are visible already."""

from markupsafe import Markup, escape

from app.core.visible import visible


def marked(text: str) -> Markup:
    """Return a text as HTML, with its words in mixed or look-alike letters marked."""
    parts = [
        f'<mark class="mixed">{escape(piece.text)}</mark>'
        if piece.kind == "mixed"
        else str(escape(piece.text))
        for piece in visible(text).pieces
    ]
    return Markup("".join(parts))  # noqa: S704 - every piece was escaped above
