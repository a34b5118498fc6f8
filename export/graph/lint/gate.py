"""Findings as a gate, for commands that must fail when a graph isn't clean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ....common.errors import GateError, UserError
from .finding import SEVERITIES, Finding, Severity, at_least


def find_severity(text: str) -> Severity:
    """The severity that a user names.

    Raises:
        UserError: there is none of that name.
    """
    for severity in SEVERITIES:
        if text == severity:
            return severity
    raise UserError(f"There is no severity {text!r}.", where="--fail-on", fix="Use error, warning or note.")


def require_clean(findings: Sequence[Finding], severity: Severity) -> None:
    """Insist that no finding is as bad as `severity`.

    Raises:
        GateError: some are; each rule is named with the number of its findings.
    """
    reaching = at_least(findings, severity)
    if reaching:
        rules = ", ".join(f"{rule} ({count})" for rule, count in Counter(one.id for one in reaching).items())
        text = "1 finding reaches" if len(reaching) == 1 else f"{len(reaching)} findings reach"
        raise GateError(f"{text} {severity}: {rules}.", fix="docs/lint.md explains each rule.")


__all__ = ["find_severity", "require_clean"]
