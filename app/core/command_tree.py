"""From a shell command's text to its tree, by tree-sitter's grammar of bash.

The only module that knows the parser. What it meets and does not know makes the line opaque.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from app.core.command_escapes import ansi_quoted, braces, double_quoted, shells_differ
from app.core.command_found import EXPRESSIONS, Parts
from app.core.command_parts import Assignment, Program, Redirect, Word, bare_word, program_name
from app.core.command_values import bind

_LANGUAGE: Final = Language(tree_sitter_bash.language())

_PLAIN: Final = bytes(byte if byte < 0x80 else ord(".") for byte in range(256))  # noqa: PLR2004
_BLANK: Final = re.compile(r"(?<!\\)[ \t]")
_BLANK_FIRST: Final = re.compile(rb"(?:^|[\s;|&()<>='\"])\\[ \t]")
_APART: Final = b" \t\n;&|()<>`"
_PASSED: Final = frozenset({"comment", "heredoc_start", "heredoc_end", "file_descriptor"})
_COMPOUND: Final[Mapping[str, str]] = {
    "list": "chaining", "subshell": "subshell", "compound_statement": "group",
    "if_statement": "control", "elif_clause": "control", "else_clause": "control",
    "c_style_for_statement": "control", "while_statement": "control",
    "case_statement": "control", "case_item": "control", "do_group": "control",
    "negated_command": "negation", "test_command": "test",
}  # fmt: skip
_MOST_LEVELS: Final = 60
_MAX_NODES: Final = 4_000


def take_apart(data: bytes) -> Parts:
    """Return the parts of a command.

    :param data: UTF-8. The parser gets a dot for each byte beyond ASCII, which is a part of a word
        as those are to a shell: its scanner asks the C library about characters beyond its tables,
        and that reads memory that is not there.
    """
    root = Parser(_LANGUAGE).parse(data.translate(_PLAIN)).root_node
    parts = Parts(data)
    if root.has_error:
        parts.doubt("it is not written as a shell would read it")
    if b"\\" in data and _BLANK_FIRST.search(data):
        parts.doubt("a word begins with a blank")  # the parser leaves the blank out
    nodes = root.children
    if len(nodes) > 1:
        parts.features.add("chaining")
    _statements(parts, nodes, 0)
    return parts


def _statements(parts: Parts, nodes: Iterable[Node], level: int) -> None:
    for node in nodes:
        if node.is_named:
            _statement(parts, node, level)
        elif node.type == "&":
            parts.features.add("background")


def _statement(parts: Parts, node: Node, level: int, *, fed: bool = False) -> None:
    kind = node.type
    parts.visited += 1
    if level > _MOST_LEVELS or parts.visited > _MAX_NODES:
        parts.doubt("it is nested too deep, or too large")
        return
    if handler := _HANDLERS.get(kind):
        handler(parts, node, level, fed)
    elif kind in _COMPOUND:
        parts.features.add(_COMPOUND[kind])
        _statements(parts, node.children, level + 1)
    elif kind in EXPRESSIONS:
        parts.loose.append(_word(parts, node, level))
    elif kind not in _PASSED or (kind == "comment" and not _begins(parts, node)):
        parts.doubt(f"it uses what can't be explained here ({kind.replace('_', ' ')})")
        _statements(parts, node.children, level + 1)


def _begins(parts: Parts, node: Node) -> bool:
    """Whether a comment is one to a shell: the grammar takes ``[ a ]#$(b)`` for one."""
    return not node.start_byte or parts.data[node.start_byte - 1] in _APART


def _pipeline(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: FBT001
    for child in node.children:
        if child.is_named:
            _statement(parts, child, level + 1, fed=fed)
            fed = True
        elif child.type == "|&":
            parts.features.add("stderr pipe")
            fed = True
        else:
            fed = True


def _redirected(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: FBT001
    first = len(parts.programs)
    found = list[Redirect]()
    for child in node.children:
        if child.type.endswith("_redirect"):
            found.append(_redirect(parts, child, level))
        elif child.is_named:
            _statement(parts, child, level + 1, fed=fed)
    if found and len(parts.programs) > first:
        reads = any(one.body is not None or "<" in one.operator for one in found)
        for at in range(first if reads else len(parts.programs) - 1, len(parts.programs)):
            old = parts.programs[at]
            last = at == len(parts.programs) - 1
            redirects = (*old.redirects, *found) if last else old.redirects
            parts.programs[at] = replace(old, redirects=redirects, fed=old.fed or reads)


def _redirect(parts: Parts, node: Node, level: int) -> Redirect:
    if node.type == "heredoc_redirect":
        return _here_document(parts, node, level)
    operator, descriptor, target = "", "", None
    for child in node.children:
        if not child.is_named:
            operator = child.type
        elif child.type == "file_descriptor":
            descriptor = _descriptor(parts, child)
        elif target is None and operator[-1:] != "-":
            target = _word(parts, child, level)
        else:  # the grammar takes words behind the target as more targets: they are arguments
            _word(parts, child, level)
            parts.doubt("a word follows a redirection's target")
    if node.type == "herestring_redirect":
        parts.features.add("here-document")
        made = Redirect("<<<", None, descriptor, target)
    else:
        made = Redirect(operator, target, descriptor)
        if target is not None and not target.text:
            parts.doubt("a redirection names no file")
    parts.features.add("redirect")
    parts.redirects.append(made)
    return made


def _descriptor(parts: Parts, node: Node) -> str:
    """Return the number before a redirection; the grammar takes ``-x1`` for one."""
    text = parts.text(node)
    if not text.isdigit():
        parts.doubt("a word stands right before a redirection")
    return text


def _here_document(parts: Parts, node: Node, level: int) -> Redirect:
    parts.features.update(("redirect", "here-document"))
    body = Word("")
    made = None
    for child in node.children:
        if child.type == "heredoc_body":
            named = [one for one in child.children if one.type != "heredoc_content"]
            body = Word(parts.text(child), known=not named)
            for one in named:
                _word(parts, one, level)
        elif child.type == "pipeline" or child.type in _HANDLERS:
            _statement(parts, child, level + 1, fed=True)
            parts.features.add("chaining")
        elif child.type.endswith("_redirect"):
            _redirect(parts, child, level)
        elif child.is_named and child.type not in _PASSED:
            parts.doubt("words follow a here-document's name")
            _statement(parts, child, level + 1)
    made = Redirect("<<", None, "", body)
    parts.redirects.append(made)
    return made


def _command(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: FBT001
    head: Word | None = None
    words, redirects, assignments = list[Word](), list[Redirect](), list[Assignment]()
    end = -1
    for child in node.children:
        kind = child.type
        if child.start_byte == end and not kind.endswith("_redirect"):
            parts.doubt("two words of it may be one to a shell")
        end = child.end_byte
        if kind == "word" or kind in EXPRESSIONS:
            words.append(_word(parts, child, level))
        elif kind == "command_name":
            head = _word(parts, child.children[0], level) if child.children else Word("")
        elif kind == "variable_assignment":
            assignments.append(_assignment(parts, child, level))
        elif kind.endswith("_redirect"):
            redirects.append(_redirect(parts, child, level))
        elif kind == "subshell":
            parts.doubt("parentheses stand where an argument is expected")
            _statement(parts, child, level + 1)
        else:
            words.append(Word(parts.text(child), known=False))
            parts.doubt(f"an argument can't be explained ({kind.replace('_', ' ')})")
    reads = any(one.body is not None or "<" in one.operator for one in redirects)
    _enter(parts, head or Word(""), words, redirects, assignments, fed=fed or reads)


def _enter(
    parts: Parts,
    head: Word,
    words: list[Word],
    redirects: list[Redirect],
    assignments: list[Assignment],
    *,
    fed: bool,
) -> None:
    if not head.plain or not head.text or "=" in head.text:
        parts.doubt("the program's name is not written out")
    elif not head.text.isascii():
        parts.doubt("the program's name has letters that may look like others")
    name = program_name(head.text)
    if head.text in parts.defined:
        parts.features.add("recursion")
    parts.programs.append(
        Program(name, head.text, tuple(words), tuple(redirects), tuple(assignments), (), fed)
    )


def _assignment(parts: Parts, node: Node, level: int) -> Assignment:
    parts.features.add("assignment")
    name, value = "", Word("")
    for child in node.children:
        if child.type == "variable_name":
            name = parts.text(child)
        elif child.type == "subscript":
            name = parts.text(child)
            _word(parts, child, level)
        elif child.is_named:
            value = _word(parts, child, level)
    made = Assignment(name, value)
    parts.assignments.append(made)
    return made


def _alone(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: ARG001, FBT001
    _assignment(parts, node, level)


def _declaration(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: FBT001
    """``export A=b``, ``unset A``: a program of the shell's own."""
    name = node.children[0].type
    words, assignments = list[Word](), list[Assignment]()
    for child in node.children[1:]:
        if child.type == "variable_assignment":
            assignments.append(_assignment(parts, child, level))
        elif child.type == "variable_name":
            words.append(Word(parts.text(child)))
        else:
            words.append(_word(parts, child, level))
    _enter(parts, Word(name), words, [], assignments, fed=fed)


def _function(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: ARG001, FBT001
    parts.features.add("function")
    parts.doubt("it defines a function")
    outside = set(parts.defined)
    for child in node.children:
        if child.type == "word":
            parts.defined.add(parts.text(child))
        elif child.is_named:
            _statement(parts, child, level + 1)
    parts.defined = outside


def _loop(parts: Parts, node: Node, level: int, fed: bool) -> None:  # noqa: ARG001, FBT001
    """``for NAME in words``: each word is a value of the variable."""
    parts.features.add("control")
    name, values, first = "", list[Word](), len(parts.programs)
    for child in node.children:
        if child.type == "variable_name" and not name:
            name = parts.text(child)
        elif child.type in EXPRESSIONS:
            values.append(_word(parts, child, level))
            parts.assignments.append(Assignment(name, values[-1]))
        elif child.is_named:
            first, assigned = len(parts.programs), len(parts.assignments)
            _statement(parts, child, level + 1)
            if node.children[0].type == "for":
                bind(parts, (name, values), first, assigned, parts.text(node))


_Handler = Callable[[Parts, Node, int, bool], None]
_HANDLERS: Final[Mapping[str, _Handler]] = {
    "command": _command,
    "pipeline": _pipeline,
    "redirected_statement": _redirected,
    "variable_assignment": _alone,
    "declaration_command": _declaration,
    "unset_command": _declaration,
    "function_definition": _function,
    "for_statement": _loop,
}


def _word(parts: Parts, node: Node, level: int) -> Word:
    """Return the word that a node stands for, and enter the programs inside it."""
    kind = node.type
    if kind in {"word", "raw_string"}:
        raw = parts.text(node)
        if shells_differ(raw):
            parts.doubt("shells read a backslash of it in different ways")
        if kind == "word" and _BLANK.search(raw):
            parts.doubt("a bracket of it is left open")
        return bare_word(raw) if kind == "word" else Word(raw[1:-1])
    if kind == "number" and not node.children:
        return Word(parts.text(node))
    if kind == "string":
        return _string(parts, node, level)
    if kind in {"concatenation", "number"}:  # the grammar takes ``2#$(a)`` for a number
        return _joined(parts, node, level)
    if kind in {"ansi_c_string", "translated_string"}:
        parts.features.add("expansion")
        raw = parts.text(node)
        text = ansi_quoted(raw[2:-1]) if kind == "ansi_c_string" else raw[2:-1]
        return Word(text, known=False, pieces=(text,))
    return _expansion(parts, node, level)


def _string(parts: Parts, node: Node, level: int) -> Word:
    raw = parts.text(node)
    inside = [child for child in node.children if child.is_named and child.type != "string_content"]
    if not inside and "$" not in raw.replace("\\$", "") and "`" not in raw.replace("\\`", ""):
        return Word(double_quoted(raw[1:-1]))
    pieces, last = list[str](), node.start_byte + 1
    for child in inside:
        _word(parts, child, level)
        pieces.append(parts.data[last : child.start_byte].decode(errors="replace"))
        last = child.end_byte
    pieces.append(parts.data[last : node.end_byte - 1].decode(errors="replace"))
    if not inside:  # a lone dollar
        return Word(double_quoted(raw[1:-1]), known="$(" not in raw and "`" not in raw)
    return Word(raw[1:-1], known=False, pieces=tuple(double_quoted(piece) for piece in pieces))


def _joined(parts: Parts, node: Node, level: int) -> Word:
    known, glob, text = True, False, ""
    pieces, unquoted = [""], ""
    end = node.start_byte
    for child in node.children:
        if child.start_byte != end:
            known = False
            parts.doubt("a word has a gap")
        end = child.end_byte
        if child.type == "$" and child.next_sibling is not None:
            parts.doubt("shells read a dollar before a quotation mark in different ways")
        one = _word(parts, child, level) if child.is_named else Word(parts.text(child))
        unquoted += parts.text(child) if child.type in {"word", "number"} else "\0"
        known, glob, text = known and one.known, glob or one.glob, text + one.text
        more = one.pieces if not one.known else (one.text,)
        pieces[-1] += more[0] if more else ""
        pieces.extend(more[1:] if more else ("",))
    if braces(unquoted):
        parts.features.add("expansion")
        return Word(text, known=False, pieces=tuple(pieces))
    return Word(text, known, glob, () if known else tuple(pieces))


def _expansion(parts: Parts, node: Node, level: int) -> Word:
    raw = parts.text(node)
    if node.type == "heredoc_body" or node.type.endswith("substitution"):
        _substitution(parts, node, level)
    else:
        _inside(parts, node, raw, level)
    start = "/dev/fd/" if node.type == "process_substitution" else ""
    return Word(raw, known=False, pieces=(start, ""))


def _inside(parts: Parts, node: Node, raw: str, level: int) -> None:
    """Enter what an expansion such as ``${a:-b}`` or ``$((a))`` holds."""
    parts.features.add("expansion")
    before = len(parts.programs)
    if "!" in raw[:4]:
        parts.doubt("it reads a variable whose name is in a variable")
    if level >= _MOST_LEVELS:
        parts.doubt("it is nested too deep, or too large")
        return
    for child in node.children:
        if child.is_named and child.type not in {"variable_name", "special_variable_name"}:
            _word(parts, child, level + 1)
    if len(parts.programs) == before and ("`" in raw or "$(" in raw.replace("$((", "")):
        parts.doubt("an expansion holds what can't be explained")


def _substitution(parts: Parts, node: Node, level: int) -> None:
    parts.features.add("substitution")
    first = len(parts.programs)
    if level >= _MOST_LEVELS:
        parts.doubt("it is nested too deep, or too large")
        return
    inner = [child for child in node.children if child.is_named]
    for child in inner:
        if child.type.endswith("_redirect"):
            _redirect(parts, child, level + 1)
        else:
            _statement(parts, child, level + 1)
    for at in range(first, len(parts.programs)):
        parts.programs[at] = replace(parts.programs[at], substituted=True)
