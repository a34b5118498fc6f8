"""What every answer at the top of the report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "neutral", "none"]


@dataclass(frozen=True)
class Card:
    """One answer.

    Attributes:
        question: what was asked.
        figure: the number that answers it.
        word: the verdict.
        tone: how the verdict is coloured; the word says the same.
        lines: what the figure is made of.
    """

    question: str
    figure: str
    word: str
    tone: Tone
    lines: tuple[str, ...]


__all__ = ["Card", "Tone"]
