"""HTML and SVG elements with everything escaped that was not made here."""

from __future__ import annotations

from markupsafe import Markup, escape

Child = str | Markup | None


def tag(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """One element; text children are escaped, `Markup` children are not.

    Args:
        name: `div`, `svg`, `path`, ...
        children: text and elements, in order; None is left out.
        attributes: a trailing underscore is dropped (`class_`), others become dashes (`aria_label`); None is left out.
    """
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children if child is not None)
    return Markup("<{0}{1}>{2}</{0}>").format(name, pairs, inner)


def svg(title: str, description: str, width: int, height: int, *children: Child) -> Markup:
    """A drawing that stretches to its box in both directions and is read out as `title` and `description`."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *children,
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        role="img",
        focusable="false",
    )


def left(percentage: float) -> str:
    """The style that puts a mark at `percentage` of its track."""
    return f"left:{percentage:.2f}%"


__all__ = ["Child", "left", "svg", "tag"]
