"""Names in files whose encoding nobody wrote down."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_CANDIDATES = ("gb18030", "cp932", "big5", "euc_kr", "cp1252", "cp1251", "latin-1")


def utf8_content(data: bytes) -> bytes:
    """A text file's content without its byte order mark; UTF-16 and UTF-32 become UTF-8."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            text = data[len(mark) :]
            if encoding == "utf-8":
                return text
            if text.count(0) > len(text) // 4:  # digits and spaces have a zero byte each; other marks are chance
                return text.decode(encoding, errors="replace").encode()
    return data


def uncommented(text: bytes) -> bytes:
    """A line without what follows a `#` after white space, which in names may be part of them."""
    return re.split(rb"\s#", b" " + text, maxsplit=1)[0].strip()


def encoding_of(names: Sequence[bytes], finds: Callable[[str], bool] = lambda name: False) -> str:
    """The encoding of some names: UTF-8 if it can be, else the one that finds most files and reads most like names.

    Every name can be decoded with it, and names that differ stay different.

    Args:
        names: as they are in the file.
        finds: whether a decoded name leads to a file.
    """
    if all(_decodes(name, "utf-8") for name in names):
        return "utf-8"
    fitting = [code for code in _CANDIDATES if all(_decodes(name, code) for name in names)]
    odd = [name for name in names if not name.isascii()]

    def merit(encoding: str) -> tuple[int, float]:
        texts = [name.decode(encoding) for name in odd]
        return sum(map(finds, texts)), sum(_plausibility(text, encoding) for text in texts)

    return max(fitting, key=merit)  # the first of equals


def _decodes(name: bytes, encoding: str) -> bool:
    try:
        name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _plausibility(text: str, encoding: str) -> float:
    """How much a text reads like a name in the languages of an encoding: -1 to 1, the mean over its odd bytes."""
    total, count = 0.0, 0
    for before, letter, after in zip(" " + text[:-1], text, text[1:] + " ", strict=True):
        if letter.isascii():
            continue
        raw = letter.encode(encoding)
        total += len(raw) * (1.0 if _is_usual(before, letter, after, raw, encoding) else -1.0)
        count += len(raw)
    return total / max(count, 1)


def _is_usual(before: str, letter: str, after: str, raw: bytes, encoding: str) -> bool:
    if encoding == "gb18030":  # the common characters of GB 2312 and its punctuation
        return len(raw) == 2 and (0xB0 <= raw[0] <= 0xD7 or 0xA1 <= raw[0] <= 0xA3) and raw[1] >= 0xA1
    if encoding == "cp932":  # kana and the common characters of JIS
        return len(raw) == 2 and (0x81 <= raw[0] <= 0x84 or 0x88 <= raw[0] <= 0x97)
    if encoding == "big5":
        return len(raw) == 2 and 0xA4 <= raw[0] <= 0xC6
    if encoding == "euc_kr":
        return "\uac00" <= letter <= "\ud7a3"
    if encoding == "cp1251":
        return "\u0400" <= letter <= "\u04ff" and not (before + after).strip().replace("_", "").isascii()
    # Western letters stand alone, or two in a word of plain ones; in the others' encodings odd bytes come in rows.
    plain = [other.isascii() for other in (before, after)]
    in_word = any(other.isascii() and other.isalpha() for other in (before, after))
    return letter.isalpha() and (all(plain) or (any(plain) and in_word))
