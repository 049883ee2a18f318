"""Discord's markdown as a person reads it: without the marks, and without the backslashes that make signs harmless."""

import re

_LINK = re.compile(r"(?<!\\)\[((?:[^\]\\\n]|\\.)+)\]\(<?(https?://[^\s)>]+)>?\)")
_MARK = re.compile(
    r"\\([\\*_~`|<>\[\]()@#:.+\->])"  # a sign that is meant
    r"|\*{1,3}|~~|\|\||`+"
    r"|__|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)"
    r"|^(?:#{1,3}|-#|>) ",
    re.MULTILINE,
)


def plain(text: str) -> str:
    """The words of the text."""
    return _MARK.sub(lambda found: found[1] or "", _LINK.sub(r"\1", text))
