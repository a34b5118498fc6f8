"""A finding, and the rule that it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ....common.schema import Document

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Finding(Document):
    """Something about one node that is worth knowing before an engine is built.

    Attributes:
        id: of the rule, such as `QDQ002`; it never changes its meaning.
        severity: `error` (TensorRT refuses it, or computes something else), `warning` (it costs speed) or `note`.
        node: the node's name, or that of its first output; empty where it concerns the whole model.
        text: what is the case.
        why: why it matters.
        fix: what to do about it.
    """

    id: str
    severity: Severity
    node: str
    text: str
    why: str
    fix: str


@dataclass(frozen=True)
class Rule:
    """One rule of the linter.

    Attributes:
        id: family and number.
        severity: of all its findings.
        title: what it finds, for the documentation.
        why: why that matters, a whole sentence.
        fix: what helps in general, a whole sentence.
        anywhere: it is wrong in every runtime, not only in TensorRT.
    """

    id: str
    severity: Severity
    title: str
    why: str
    fix: str
    anywhere: bool = False

    def at(self, node: ir.Node | str, text: str, fix: str | None = None) -> Finding:
        """A finding of this rule.

        Args:
            node: the node, or a name.
            text: what is the case, with numbers and names.
            fix: what helps here, if it is not what helps in general.
        """
        name = node if isinstance(node, str) else name_of(node)
        return Finding(id=self.id, severity=self.severity, node=name, text=text, why=self.why, fix=fix or self.fix)


def name_of(node: ir.Node) -> str:
    """A node's name, or its first output's where it has none."""
    name: str | bytes = node.name or (str(node.outputs[0].name) if node.outputs else node.op_type)
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name  # bytes: a damaged file's


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; the order stays within each severity."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def at_least(findings: Iterable[Finding], severity: Severity) -> list[Finding]:
    """Those that are as bad as `severity`, or worse."""
    limit = SEVERITIES.index(severity)
    return [finding for finding in findings if SEVERITIES.index(finding.severity) <= limit]


__all__ = ["SEVERITIES", "Finding", "Rule", "Severity", "at_least", "by_severity", "name_of"]
