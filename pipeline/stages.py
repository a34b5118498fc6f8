"""The stages of a run, each as a `Stage`: settings and files in, files out. The rooms do the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common import bundle, files
from ..common.machine import describe, versions
from ..engines.config import EngineConfig
from ..training.config import TrainConfig
from . import fingerprint
from .onnx_recipe import AnyRecipe, OnnxRecipe
from .recipe import Recipe
from .stage import Stage, StageRecord

BUNDLE = "bundle"
_WEIGHTS, _METRICS = "weights.safetensors", "metrics.json"


@dataclass(frozen=True)
class Context:
    """The recipe, resolved, and the records of the stages done so far, by name."""

    recipe: AnyRecipe
    done: dict[str, StageRecord]

    def inputs(self, *after: str, **settings: Any) -> dict[str, Any]:
        """A stage's inputs: its settings, and what the stages `after` which it comes have made."""
        return {**settings, "from": {name: self.done[name].outputs for name in after}}

    def training(self, *after: str, **settings: Any) -> dict[str, Any]:
        """The same for a stage that builds the network and reads the samples: those, and the packages, count too."""
        packages = versions(("torch", "nvidia-modelopt", "accelerate"))
        code = fingerprint.of_rooms("training", "calibrate", "common")
        network = fingerprint.of_network(self.trained)
        return self.inputs(*after, **settings, twofour=code, versions=packages, **network)

    @property
    def trained(self) -> Recipe:
        """The recipe, where it starts from a PyTorch network."""
        assert isinstance(self.recipe, Recipe)
        return self.recipe

    def last(self, *names: str) -> str | None:
        """The last of the named stages that was done."""
        return next((name for name in reversed(names) if name in self.done), None)


def train(context: Context, config: TrainConfig) -> Stage:
    """Dense, sparse or quantization-aware training."""
    recipe, name = context.trained, config.stage
    student = context.last("calibrate") if name == "qat" else context.last("dense", "sparse")
    teacher = config.teacher
    after = sorted({stage for stage in (student, teacher) if stage})

    def work(run: Path, key: str) -> dict[str, float]:
        from ..training.stage import StageRequest, train_stage

        request = StageRequest(
            model=recipe.model,
            data=recipe.data,
            train=config,
            seed=recipe.seed,
            key=key,
            student=run / student if student else None,
            teacher=run / teacher if teacher else None,
        )
        return train_stage(request, run / name)

    def tidy(run: Path) -> None:
        if any((run / name).glob("checkpoint*")) or (run / name / "permuted.safetensors").is_file():
            from ..training.stage import forget

            forget(run / name)

    phases = [fingerprint.of_data(phase.data) for phase in config.phases or [] if phase.data]
    settings: dict[str, Any] = {"train": config.model_dump(mode="json"), "phases": phases}
    if config.adversarial and config.gan.discriminator:
        settings["discriminator"] = fingerprint.of_model(config.gan.discriminator)
    inputs = context.training(*after, **settings)
    return Stage(name, name, inputs, work, lambda run: _made(run, name), tidy)


def calibrate(context: Context) -> Stage:
    """Quantizers inserted and their ranges chosen."""
    recipe, source = context.trained, context.last("dense", "sparse")
    assert source is not None

    def work(run: Path, _key: str) -> dict[str, float]:
        from ..training.calibration import calibration_stage

        folder = run / "calibrate"
        return calibration_stage(recipe.model, recipe.data, recipe.calibrate, run / source, folder, recipe.seed)

    settings = recipe.calibrate.model_dump(mode="json")
    inputs = context.training(source, calibrate=settings)
    return Stage("calibrate", "calibrate", inputs, work, lambda run: _made(run, "calibrate"))


def export(context: Context) -> Stage:
    """The bundle."""
    recipe, source = context.trained, context.last("calibrate", "qat")
    assert source is not None
    metrics = {name: record.metrics for name, record in context.done.items() if record.metrics}

    def work(run: Path, _key: str) -> dict[str, float]:
        from .exporting import export_stage

        return export_stage(recipe, run, source, metrics)

    settings = {"export": recipe.export.model_dump(mode="json"), "exporter": fingerprint.of_rooms("export")}
    packages = versions(("onnx", "onnxscript", "onnx-ir"))
    described = {"name": recipe.name, "metric": recipe.validation.metric, "metrics": metrics, "packages": packages}
    inputs = context.training("dense", source, **settings, **described)
    return Stage("export", "export", inputs, work, lambda run: _bundle_files(run))


def convert(context: Context) -> Stage:
    """The bundle of a network that came as an ONNX file."""
    recipe = context.recipe
    assert isinstance(recipe, OnnxRecipe)

    def work(run: Path, _key: str) -> dict[str, float]:
        from .foreign import foreign_stage

        return foreign_stage(recipe, run / BUNDLE)

    code = fingerprint.of_rooms("export", "common", "pipeline")
    packages = versions(("onnx", "onnx-ir", "onnxruntime"))
    inputs = context.inputs(**fingerprint.of_onnx(recipe), twofour=code, versions=packages)
    return Stage("export", "export", inputs, work, lambda run: _bundle_files(run))


def build(context: Context, config: EngineConfig, device: str) -> Stage:
    """One engine."""
    folder = f"engines/{config.backend}-{device}"

    def work(run: Path, _key: str) -> dict[str, float]:
        from ..engines.backend import find

        record = find(config.backend).build(bundle.read(run / BUNDLE), config, run / folder)
        return {"engine_bytes": float(record.sizes[record.engine])}

    settings = {"engine": config.model_dump(mode="json"), "device": device, "machine": describe()}
    inputs = context.inputs("export", **settings, twofour=_code())
    return Stage(f"build {config.backend}", folder, inputs, work, lambda run: _engine_files(run, folder))


def profile(context: Context, engine: Stage) -> Stage:
    """How fast the engine is."""
    config = context.recipe.profile

    def work(run: Path, _key: str) -> dict[str, float]:
        from ..engines.profile import profile_engine

        record = profile_engine(run / engine.folder, config, run / BUNDLE)
        return {f"speedup_batch_{ratio.batch}": ratio.speedup for ratio in record.ratios}

    name, folder = f"profile {engine.folder.split('/')[1]}", f"{engine.folder}/profile"
    inputs = context.inputs(engine.name, profile=config.model_dump(mode="json"), machine=describe(), twofour=_code())
    return Stage(name, folder, inputs, work, lambda run: _listed(run, folder, "profile.json"))


def validate(context: Context, engine: Stage) -> Stage:
    """How accurate the engine is."""
    config = context.recipe.validation

    def work(run: Path, _key: str) -> dict[str, float]:
        from ..engines.validate import validate_engine

        record = validate_engine(run / engine.folder, run / BUNDLE, config)
        return {record.metric: record.value, "agreement": record.agreement.score}

    name, folder = f"validate {engine.folder.split('/')[1]}", f"{engine.folder}/validate"
    inputs = context.inputs(engine.name, "export", validate=config.model_dump(mode="json"), twofour=_code())
    return Stage(name, folder, inputs, work, lambda run: _validation_files(run, folder))


def _code() -> dict[str, Any]:
    return fingerprint.of_rooms("engines", "export/graph", "common")


def _made(run: Path, folder: str) -> list[str]:
    """The files that a training or calibration stage leaves, checkpoints aside."""
    known = (_WEIGHTS, _METRICS, "masks.safetensors", "layers.json", "ranges.json", "placement.json",
             "permutation.json", "features.json", "discriminator.safetensors")
    return _listed(run, folder, *(name for name in known if (run / folder / name).is_file()))


def _bundle_files(run: Path) -> list[str]:
    manifest = bundle.Manifest.model_validate(files.read_json(run / BUNDLE / bundle.MANIFEST))
    return _listed(run, BUNDLE, bundle.MANIFEST, *manifest.files)


def _engine_files(run: Path, folder: str) -> list[str]:
    from ..engines.records import ENGINE, read_engine

    return _listed(run, folder, ENGINE, *read_engine(run / folder).files)


def _validation_files(run: Path, folder: str) -> list[str]:
    from ..engines.records import SAMPLES, VALIDATION

    pictures = [SAMPLES] if (run / folder / SAMPLES).is_file() else []
    return _listed(run, folder, VALIDATION, *pictures)


def _listed(_run: Path, folder: str, *names: str) -> list[str]:
    return [f"{folder}/{name}" for name in names]


__all__ = ["BUNDLE", "Context", "build", "calibrate", "convert", "export", "profile", "train", "validate"]
