"""The user's own pictures: a folder per class, under `train` and `val`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ..common.errors import UserError
from ..common.lazy import require
from .loaders import Batch, Loaders

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp"}
_LAYOUT = "Lay the pictures out as ROOT/train/CLASS/*.jpg and ROOT/val/CLASS/*.jpg."
_SPLIT_SEED = 24


class Pictures(Dataset[Batch]):
    """Pictures on disk, decoded when asked for.

    Args:
        samples: path and class of each.
        size: height and width in pixels.
        channels: 3 (RGB) or 1 (grey).
        mean: of each channel, on the scale 0 to 1.
        std: of each channel, on the scale 0 to 1.
        augment: random crop and mirror instead of the centre.
    """

    def __init__(
        self, samples: list[tuple[Path, int]], size: int, channels: int, mean: Sequence[float], std: Sequence[float],
        augment: bool,
    ) -> None:
        self.samples, self.size, self.mode, self.augment = samples, size, "RGB" if channels == 3 else "L", augment
        self.mean, self.std = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Batch:
        """One picture, float32 (channels, size, size), and its class, int64 ()."""
        path, label = self.samples[index]
        image = _open(path, self.mode)
        image = image.resize((self.size, self.size), box=_crop(image.size, self.augment), resample=2)
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(self.size, self.size, -1)
        pixels = pixels.permute(2, 0, 1).float() / 255
        if self.augment and torch.rand(()) < 0.5:
            pixels = pixels.flip(2)
        return (pixels - self.mean) / self.std, torch.tensor(label)


def _open(path: Path, mode: str) -> Any:
    image = require("PIL.Image", extra="train", purpose="The data set 'image_folder'")
    try:
        with image.open(path) as file:
            return file.convert(mode)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise UserError(f"This picture can't be read ({error}).", where=str(path), fix="Mend or delete it.") from error


def _crop(shape: tuple[int, int], augment: bool) -> tuple[float, float, float, float]:
    width, height = shape
    side = min(shape) * (float(torch.empty(()).uniform_(0.5, 1.0)) ** 0.5 if augment else 1.0)
    across, down = torch.rand(2).tolist() if augment else (0.5, 0.5)
    left, top = (width - side) * across, (height - side) * down
    return left, top, left + side, top + side


def image_folder(
    root: str, size: int = 224, batch: int = 32, calibration: int = 512, channels: int = 3,
    mean: Sequence[float] = (0.485, 0.456, 0.406), std: Sequence[float] = (0.229, 0.224, 0.225), augment: bool = True,
    workers: int = 0,
) -> Loaders:
    """Pictures of `root/train/CLASS` and `root/val/CLASS`; a fixed part of train, not augmented, calibrates.

    Args:
        root: the folder.
        size: height and width in pixels. Defaults to 224.
        batch: samples per batch. Defaults to 32.
        calibration: pictures that calibrate. Defaults to 512, or all there are.
        channels: 3 for RGB, 1 for grey. Defaults to 3.
        mean: of each channel, on the scale 0 to 1. Defaults to ImageNet's.
        std: of each channel, on the scale 0 to 1. Defaults to ImageNet's.
        augment: random crop and mirror in training. Defaults to True.
        workers: processes that decode. Defaults to 0, none.

    Returns:
        Loaders of float32 (N, channels, size, size) and int64 (N,), classes numbered in alphabetical order.

    Raises:
        UserError: no such folder, no classes, classes that differ, a class without pictures; while it is used: a
            picture that can't be read, named.
    """
    if min(size, batch, calibration) < 1 or channels not in (1, 3) or workers < 0:
        raise UserError("image_folder needs a size, batch and calibration above 0, channels 1 or 3.", where="data.args")
    mean, std = (tuple(mean)[:channels], tuple(std)[:channels])
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise UserError(f"mean and std need {channels} numbers each, std above 0.", where="data.args")
    train, val = _samples(Path(root))
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(_SPLIT_SEED))[:calibration].tolist()

    def loader(samples: list[tuple[Path, int]], training: bool) -> DataLoader[Batch]:
        pictures = Pictures(samples, size, channels, mean, std, training and augment)
        return DataLoader(pictures, batch, shuffle=training, num_workers=workers)

    low, high = ((end - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1) for end in (0, 1))
    few = [train[index] for index in chosen]
    return Loaders(loader(train, True), loader(val, False), loader(few, False), bounds=(low, high))


def _samples(root: Path) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
    names, other = _classes(root / "train"), _classes(root / "val")
    if names != other:
        odd = ", ".join(sorted(set(names) ^ set(other)))
        raise UserError(f"train and val don't have the same classes; only in one of them: {odd}.", where=str(root))
    return _pictures(root / "train", names), _pictures(root / "val", names)


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError("There is no such folder.", where=str(folder), fix=_LAYOUT)
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise UserError("This folder has no classes: no folder in it.", where=str(folder), fix=_LAYOUT)
    return names


def _pictures(folder: Path, names: list[str]) -> list[tuple[Path, int]]:
    samples = []
    for label, name in enumerate(names):
        paths = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not paths:
            raise UserError("This class has no pictures.", where=str(folder / name), fix=_LAYOUT)
        samples += [(path, label) for path in paths]
    return samples


__all__ = ["Pictures", "image_folder"]
