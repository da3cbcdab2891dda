"""The commands of tests/core/corpus, one a line."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "core" / "corpus"
CODE = re.compile(r"\{U\+([0-9A-F]+)\}")


def corpus(name: str) -> list[str]:
    """Return the commands of a file; ␤ stands for a new line, {U+A0} for a character."""
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    return [
        CODE.sub(lambda found: chr(int(found[1], 16)), line.replace("␤", "\n"))
        for line in lines
        if line and not line.startswith("# ")
    ]
