"""`arms/arms.json`: the plans that a profile compares, kept so that the next profile need not build them again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ...common import console, files
from ...common.errors import UserError
from ...common.schema import Document
from ..config import Arm, TensorRTConfig
from ..records import ArmBuild, SparsityLine
from .build_plan import BuiltPlan
from .signature import is_ours, sign

ARMS, INDEX = "arms", "arms.json"


class Origin(Document):
    """What a build depends on, apart from chance.

    Attributes:
        bundle_digest: of the bundle.
        typed: SHA-256 of the engine's typed graph: another version of twofour may write another one.
        options: of the build.
        version: of TensorRT.
        gpu: name, UUID and driver.
    """

    bundle_digest: str
    typed: str
    options: TensorRTConfig
    version: str
    gpu: dict[str, Any]


class Stored(Document):
    """One plan in the folder.

    Attributes:
        arm: what it is a build of.
        number: which build of that arm.
        file: its name.
        sha256: of its content.
        signature: see `signature.sign`.
        origin: what it was built from.
        seconds: the builder took.
        sparsity_log: what the builder said of sparsity.
    """

    arm: Arm
    number: int
    file: str
    sha256: str
    signature: str
    origin: Origin
    seconds: float
    sparsity_log: list[SparsityLine]

    def build(self) -> ArmBuild:
        """As the profile's record lists it."""
        return ArmBuild(arm=self.arm, number=self.number, file=f"{ARMS}/{self.file}", seconds=self.seconds,
                        sparsity_log=self.sparsity_log)


class _Index(Document):
    schema_version: Literal[1] = 1
    plans: list[Stored]


class ArmIndex:
    """The plans in an engine's folder; each is on record as soon as it is whole.

    Args:
        engine: the engine's folder.
    """

    def __init__(self, engine: Path) -> None:
        self._folder = engine / ARMS
        self._plans = {(stored.arm, stored.number): stored for stored in self._read()}

    def find(self, arm: Arm, number: int, origin: Origin) -> Stored | None:
        """The plan, if it was built here from the same and is whole; it is forgotten if it is not."""
        stored = self._plans.get((arm, number))
        if stored is None or (stored.origin == origin and self._whole(stored)):
            return stored
        del self._plans[arm, number]
        return None

    def add(self, arm: Arm, number: int, origin: Origin, built: BuiltPlan) -> Stored:
        """Write a plan and put it on record.

        Raises:
            UserError: no room, or the folder can't be written.
        """
        name = f"{arm}-{number}.plan"
        path = self._folder / name
        with files.atomic(path) as temporary:
            temporary.write_bytes(built.plan)
        digest = files.sha256(path)
        self._plans[arm, number] = stored = Stored(
            arm=arm, number=number, file=name, sha256=digest, signature=sign(digest), origin=origin,
            seconds=built.seconds, sparsity_log=built.sparsity,
        )
        index = _Index(plans=list(self._plans.values()))
        files.write_json(self._folder / INDEX, index.model_dump(mode="json"))
        return stored

    def _read(self) -> list[Stored]:
        path = self._folder / INDEX
        if not path.is_file():
            return []
        try:
            return _Index.model_validate(files.read_json(path)).plans
        except (UserError, ValidationError):
            console.warn(f"{path} is damaged; the plans that are compared are built again.")
            return []

    def _whole(self, stored: Stored) -> bool:
        with suppress(UserError, OSError):
            path = files.inside(self._folder, stored.file)
            return path.is_file() and files.sha256(path) == stored.sha256 and is_ours(stored.sha256, stored.signature)
        return False


__all__ = ["ARMS", "INDEX", "ArmIndex", "Origin", "Stored"]
