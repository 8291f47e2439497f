"""Every message that the page on errors quotes is a message of the source."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
GAP = "…"


def templates():
    """Return the texts of the source that are no docstrings, with a gap where a value is put in."""
    found = []
    for path in sorted((ROOT / "src" / "hepfm").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
                found.append("".join(parts))
            elif (
                isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
            ):
                found.append(node.value)
    return [text for text in found if " " in text]


def quoted():
    """Return the messages in the first column of the page's tables."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def is_in(message, texts):
    """Tell whether the pieces of a message stand in a text of the source, in their order."""
    pieces = [re.escape(piece.strip()) for piece in message.split(GAP) if piece.strip(" ;:,.?")]
    pattern = re.compile(".*".join(pieces), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_messages_are_those_of_the_source():
    texts = templates()
    missing = [message for message in quoted() if not is_in(message, texts)]
    assert not missing, "\n".join(missing)


def test_there_are_messages_and_a_wrong_one_is_found():
    assert len(quoted()) > 40
    assert not is_in("cannot find … anywhere; give up", templates())
