"""Text of users in logs and on terminals: it must not contain line breaks or control sequences of its own."""


def visible(text: str) -> str:
    """Replaces each character that is not printable by its escape, so that the text is one line.

    >>> visible("a\\nb\\x1b[31m\\u202e")
    'a\\\\nb\\\\x1b[31m\\\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(map(visible, text.split("\n")))
