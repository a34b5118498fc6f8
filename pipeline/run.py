"""The whole job, in order, in one run folder; what is done already is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ..common import files
from ..common.console import say, warn
from ..common.errors import MissingError, UserError
from ..engines.backend import find
from ..engines.config import EngineConfig
from . import stages
from .onnx_recipe import AnyRecipe, OnnxRecipe, load_any
from .preflight import preflight
from .stage import Stage, StageRecord, perform
from .teaching import ACCURACY_ONLY, FOUR

RECIPE = "recipe.yaml"


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        folder: the run folder.
        done: the record of every stage, by name, in order.
        skipped: optional engines that this machine can't build, by backend, with the reason.
        changed: some stage was done now, not kept.
        note: what people have to know of it.
    """

    folder: Path
    done: dict[str, StageRecord] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    changed: bool = False
    note: str | None = None


def open_run(
    target: Path, out: Path | None, overrides: list[str], inputs: Path | None = None
) -> tuple[AnyRecipe, Path]:
    """The resolved recipe and the run folder that `target` means.

    Args:
        target: a recipe file, a run folder made before, or an ONNX file with Q/DQ.
        out: the run folder. Defaults to `runs/NAME`, or the folder that is the target.
        overrides: `--set`.
        inputs: samples for an ONNX file. Defaults to what its recipe says.

    Raises:
        UserError: it is none of these, or the recipe is wrong.
    """
    source = target / RECIPE if target.is_dir() else target
    if target.is_dir() and not source.is_file():
        raise UserError("This folder is no run: it has no recipe.yaml.", where=str(target), fix="Name a recipe file.")
    recipe = load_any(_packaged(source), overrides, inputs).resolved()
    folder = out or (target if target.is_dir() else Path("runs") / recipe.name)
    if folder.exists() and not folder.is_dir():
        raise UserError("The run folder is a file.", where=str(folder), fix="Choose another with --out.")
    return recipe, folder


def _packaged(path: Path) -> Path:
    """A recipe that comes with twofour can be named alone (`digits-resnet`)."""
    ready = Path(__file__).parent.parent / "recipes" / path.with_suffix(".yaml").name
    return ready if not path.exists() and path.parent == Path(".") and ready.is_file() else path


def run(recipe: AnyRecipe, folder: Path, until: str | None = None) -> Outcome:
    """Do every stage up to `until` (`train`, `calibrate`, `export`, or None for all). The folder must be locked.

    Raises:
        UserError, MissingError: as the stages do; what was finished before is kept.
    """
    outcome = Outcome(folder, note=_note(recipe, until))
    files.sweep(folder)
    preflight(recipe, folder, until)
    _write_recipe(recipe, folder)
    for stage in _plan(recipe, outcome, until):
        outcome.done[stage.name], redone = perform(stage, folder)
        outcome.changed = outcome.changed or redone
    return outcome


def _note(recipe: AnyRecipe, until: str | None) -> str | None:
    if isinstance(recipe, OnnxRecipe) or recipe.calibrate.bits != FOUR:
        return None
    if until == "export":
        raise UserError(ACCURACY_ONLY, where="calibrate.bits: 4", fix="Use `twofour run`, or set calibrate.bits to 8.")
    return ACCURACY_ONLY


def _write_recipe(recipe: AnyRecipe, folder: Path) -> None:
    text = yaml.safe_dump(recipe.document(), sort_keys=False, allow_unicode=True)
    path = folder / RECIPE
    if not path.is_file() or path.read_bytes() != text.encode():
        files.write_text(path, text)


def _plan(recipe: AnyRecipe, outcome: Outcome, until: str | None) -> Iterator[Stage]:
    """The stages in order; each is described when those before it are done, since it depends on what they made."""
    context = stages.Context(recipe, outcome.done)
    yield from _network(context, until)
    if until in ("train", "calibrate", "export"):
        return
    for config in recipe.engines:
        yield from _engine(config, context, outcome)


def _network(context: stages.Context, until: str | None) -> Iterator[Stage]:
    """Up to the bundle, or to an earlier `until`."""
    if isinstance(context.recipe, OnnxRecipe):
        if until in ("train", "calibrate"):
            raise UserError(f"A network that comes as an ONNX file has nothing to {until}.",
                            where=context.recipe.model.onnx, fix="Use `twofour run` or `twofour export`.")
        yield stages.convert(context)
        return
    yield from _training(context)
    if until == "train":
        return
    if "calibrate" not in context.done:
        yield stages.calibrate(context)
    if until != "calibrate" and context.trained.calibrate.bits != FOUR:
        yield stages.export(context)


def _training(context: stages.Context) -> Iterator[Stage]:
    for config in context.trained.training:
        if config.stage == "qat":
            yield stages.calibrate(context)
        yield stages.train(context, config)


def _engine(config: EngineConfig, context: stages.Context, outcome: Outcome) -> Iterator[Stage]:
    try:
        device = find(config.backend).device()
    except MissingError as error:
        if not config.optional:
            raise
        outcome.skipped[config.backend] = str(error)
        warn(f"the optional engine {config.backend} is skipped: {error}")
        return
    engine = stages.build(context, config, device)
    yield engine
    yield stages.profile(context, engine)
    yield stages.validate(context, engine)
    say(f"engine {config.backend}: {outcome.folder / engine.folder}")


__all__ = ["RECIPE", "Outcome", "open_run", "run"]
