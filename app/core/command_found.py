"""What is gathered while a command is taken apart."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from app.core.command_parts import Assignment, Program, Redirect, Word


class Spanning(Protocol):
    """A node of the parser's tree, as far as its place is concerned."""

    @property
    def start_byte(self) -> int:
        """Where it begins."""
        ...

    @property
    def end_byte(self) -> int:
        """Where it ends."""
        ...


EXPRESSIONS: Final = frozenset({
    "word", "number", "string", "raw_string", "concatenation", "ansi_c_string",
    "translated_string", "simple_expansion", "expansion", "command_substitution",
    "process_substitution", "arithmetic_expansion", "brace_expression", "array", "subscript",
    "binary_expression", "unary_expression", "ternary_expression", "postfix_expression",
    "parenthesized_expression", "variable_name", "special_variable_name", "regex",
    "extglob_pattern", "test_operator", "string_content",
})  # fmt: skip
"""Kinds of nodes that stand for words."""


@dataclass(slots=True)
class Parts:
    """What is gathered while a tree is walked."""

    data: bytes
    plain: bool = False
    programs: list[Program] = field(default_factory=list[Program])
    redirects: list[Redirect] = field(default_factory=list[Redirect])
    assignments: list[Assignment] = field(default_factory=list[Assignment])
    loose: list[Word] = field(default_factory=list[Word])
    features: set[str] = field(default_factory=set[str])
    opaque: list[str] = field(default_factory=list[str])
    defined: set[str] = field(default_factory=set[str])
    visited: int = 0

    def text(self, node: Spanning) -> str:
        """Return the source of a node."""
        return self.data[node.start_byte : node.end_byte].decode(errors="replace")

    def doubt(self, reason: str) -> None:
        """Note why the line can't be explained."""
        if reason not in self.opaque:
            self.opaque.append(reason)

    def join(self, below: "Parts") -> None:
        """Take over what was found in a text inside this one, except its programs."""
        self.redirects += below.redirects
        self.assignments += below.assignments
        self.loose += below.loose
        self.features |= below.features
        for reason in below.opaque:
            self.doubt(reason)
