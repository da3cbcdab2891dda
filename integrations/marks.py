"""Marks words in mixed or look-alike letters, in texts of a card that are visible already."""

from markupsafe import Markup, escape

from app.core.visible import visible


def marked(text: str, style: str = "") -> Markup:
    """Return a text as HTML, with its words in mixed or look-alike letters marked.

    :param style: how a marked word looks, where no style sheet is sure to be read.
    """
    inline = f' style="{escape(style)}"' if style else ""
    parts = [
        f'<mark class="mixed"{inline}>{escape(piece.text)}</mark>'
        if piece.kind == "mixed"
        else str(escape(piece.text))
        for piece in visible(text).pieces
    ]
    return Markup("".join(parts))  # noqa: S704 - every piece was escaped above
