r"""Any text as LaTeX that sets it as it reads: what is escaped, where a line may break, how wide it is.

Needs no package and no font encoding but the one that every document has.
"""

import re
import unicodedata
from functools import cache

BREAK = "\u200b"
"""A place where a line may break, and that is not seen."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{special: f"\\{special}" for special in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # a straight one
    "`": r"\`{}",
    "[": "{[}",  # after the end of a row, a bare one would begin the space that is left under it
    "*": "{*}",  # likewise
    BREAK: r"\allowbreak{}",
    "–": "--",
    "—": "---",
    "‑": "-",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
    "§": r"\S{}",
    "©": r"\copyright{}",
    "£": r"\pounds{}",
}
_MATHS = {
    "×": r"\times", "÷": r"\div", "±": r"\pm", "·": r"\cdot", "−": "-", "∓": r"\mp", "∗": "*", "⋅": r"\cdot",
    "≥": r"\geq", "≤": r"\leq", "≫": r"\gg", "≪": r"\ll", "≠": r"\neq", "≈": r"\approx", "≡": r"\equiv",
    "∼": r"\sim", "≃": r"\simeq", "∝": r"\propto", "∞": r"\infty", "→": r"\to", "←": r"\leftarrow",
    "↔": r"\leftrightarrow", "⇒": r"\Rightarrow", "↦": r"\mapsto", "↑": r"\uparrow", "↓": r"\downarrow",
    "∈": r"\in", "∉": r"\notin", "⊂": r"\subset", "⊆": r"\subseteq", "∪": r"\cup", "∩": r"\cap",
    "⊗": r"\otimes", "⊕": r"\oplus", "⊙": r"\odot", "∘": r"\circ", "°": r"^{\circ}", "∑": r"\sum",
    "∏": r"\prod", "√": r"\surd", "∂": r"\partial", "∇": r"\nabla", "∀": r"\forall", "∃": r"\exists",
    "∥": r"\|", "ℓ": r"\ell", "⟨": r"\langle", "⟩": r"\rangle", "¬": r"\neg", "•": r"\bullet",
    "ε": r"\varepsilon", "ϵ": r"\epsilon", "ϑ": r"\vartheta", "ϕ": r"\varphi", "φ": r"\phi", "ϖ": r"\varpi",
    "ϱ": r"\varrho", "ς": r"\varsigma", "µ": r"\mu",
}  # fmt: skip
_GREEK = (
    " alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega "
)
"""The Greek letters that TeX has, by its names of them."""
_GREEK_ALIKE = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEZHIKMNOPTYXo", strict=True))
"""Those it has no command for, since they look like Latin ones."""
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip
"""Accents that every font encoding has, by the character that combines them."""
_LETTERS = {
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "å": r"\aa{}", "Å": r"\AA{}",
}  # fmt: skip

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿᵀ", "0123456789+-()nT")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎", "0123456789+-()")
_TOKEN = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿᵀ]+)|(?P<lowered>[₀₁₂₃₄₅₆₇₈₉₊₋₍₎]+)"
    r"|(?<=[\w)])\^(?P<power>-?\d+)"
    r"|(?P<about>~(?=[ \d]))|(?P<hyphens>-{2,})|(?P<quotes>'{2,})"
    r"|(?P<other>.)",
    re.DOTALL,
)


def escape(text: str) -> str:
    """Write text so that LaTeX sets it as it reads; what stands between backticks is set as code.

    Powers (``10^9``), raised and lowered digits, Greek letters and signs become TeX's own. A character that
    no font of every document has is set by its number, ``[U+6CE8]``, so that it is not lost.
    """
    return "".join(map(_token, _TOKEN.finditer(readable(text))))


def readable(text: str) -> str:
    """The text with what :func:`escape` knows no way to set written as its number, and spaces plain."""
    return "".join(map(_readable, unicodedata.normalize("NFC", text)))


@cache
def _readable(character: str) -> str:
    if character == BREAK:
        return BREAK
    if character.isspace():
        return " "
    plain = character.isascii() and character.isprintable()
    known = plain or ord(character) in {**_RAISED, **_LOWERED} or _sign(character)
    return character if known else f"[U+{ord(character):04X}]"


def _token(match: re.Match[str]) -> str:
    kind, text = match.lastgroup, match[match.lastgroup or 0]
    if kind == "code":
        return rf"\texttt{{{escape(text)}}}"
    if kind == "raised":
        return rf"\textsuperscript{{{_minus(text.translate(_RAISED))}}}"
    if kind == "lowered":
        return rf"\textsubscript{{{_minus(text.translate(_LOWERED))}}}"
    if kind == "power":
        return rf"\textsuperscript{{{_minus(text)}}}"
    if kind == "about":
        return r"$\sim$"
    if kind in ("hyphens", "quotes"):  # which would run together into a dash or a double quote
        return "{}".join(text)
    return _sign(text) or text


def _minus(digits: str) -> str:
    return digits.replace("-", "$-$")


@cache
def _sign(character: str) -> str:
    """How TeX sets one character; empty where it is none that needs more than itself, or that is known."""
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character in _MATHS:
        return f"${_MATHS[character]}$"
    if character in _LETTERS:
        return _LETTERS[character]
    if character in _GREEK_ALIKE:
        return _GREEK_ALIKE[character]
    if greek := re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, "")):
        name = greek[2].lower().replace("lamda", "lambda")
        name = name if greek[1] == "SMALL" else name.capitalize()
        return rf"$\{name}$" if f" {name} " in _GREEK else ""
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[1] in _ACCENTS and parts[0].isascii() and parts[0].isalpha():
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return ""


def breakable(text: str, room_pt: float) -> str:
    """The text with places to break a line at in words wider than ``room_pt``, as :func:`width_pt` has it.

    They stand after a sign, before a hump, and where that is not enough, anywhere.
    """

    def broken(match: re.Match[str]) -> str:
        if width_pt(match[0]) <= room_pt:
            return match[0]
        parts = re.split(r"(?<=[._/:,=()-])|(?<=[a-z])(?=[A-Z])", match[0])
        return BREAK.join(piece for part in parts for piece in _pieces(part, room_pt))

    return re.sub(r"\S+", broken, readable(text))


def _pieces(word: str, room_pt: float) -> list[str]:
    """A word cut so that each piece has room."""
    pieces = [""]
    for character in word:
        if width_pt(pieces[-1] + character) > room_pt:
            pieces.append("")
        pieces[-1] += character
    return list(filter(None, pieces))


_WIDTHS = {
    0.0: BREAK,
    2.7: " !',.:;[]fijl|",
    3.4: "()-Irst",
    4.3: "*/0123456789?aceoz",
    4.8: '$JS`"bdghknpquvxy',
    6.2: "BCEFLPTZw",
    6.7: "#&+<=>@ADGHKNOQRUVXY^_~",
    8.8: "%MWm",
    12.0: "…",
}
_PT = {character: width for width, characters in _WIDTHS.items() for character in characters}


def width_pt(text: str) -> float:
    """How wide a text is at most, in points, at 8 points in Computer Modern or in anything narrower."""
    letters = unicodedata.normalize("NFD", readable(text))  # an accent stands above what it is on
    return sum(0 if unicodedata.combining(letter) else _PT.get(letter, 8.8) for letter in letters)
