"""The optimization profile: which shapes an engine takes, and which of them it is tuned for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...common.bundle import Tensor
from ...common.errors import UserError
from ..config import ShapeRange, TensorRTConfig

_DEFAULT = TensorRTConfig()
Sizes = tuple[int, int, int]


def optimization_profile(inputs: Sequence[Tensor], config: TensorRTConfig) -> dict[str, ShapeRange]:
    """The shapes of every input.

    The first dimension is the batch, from `min_batch`, `opt_batch` and `max_batch`. Dimensions of one name are equal,
    so a range given for one input serves the others. An input of a fixed batch keeps it.

    Args:
        inputs: as the bundle declares them; a string in a shape is a dynamic dimension.
        config: batches and named shapes.

    Raises:
        UserError: a shape is given for an input that isn't there, has another rank, contradicts a fixed size or
            another shape given; or a dynamic dimension has no range.
    """
    declared = {tensor.name: tensor for tensor in inputs}
    for name, given in config.shapes.items():
        _check(declared, name, given)
    if not config.shapes:
        _check_batch(inputs, config)
    named = _named(declared, config)
    return {tensor.name: _range(tensor, named) for tensor in inputs}


def _check(declared: Mapping[str, Tensor], name: str, given: ShapeRange) -> None:
    if name not in declared:
        raise UserError(f"A shape is given for the input {name!r}, which the model doesn't have.", where="shapes",
                        fix=f"Its inputs: {', '.join(map(_shown, declared.values()))}.")
    tensor = declared[name]
    if len(given.min) != len(tensor.shape):
        raise UserError(f"The shapes given for the input {name!r} have {len(given.min)} dimensions; it has "
                        f"{len(tensor.shape)}.", where="shapes", fix=f"It is declared as {_shown(tensor)}.")
    for place, size in enumerate(tensor.shape):
        sizes = (given.min[place], given.opt[place], given.max[place])
        if isinstance(size, int) and set(sizes) != {size}:
            raise UserError(f"Dimension {place} of the input {name!r} is {size} in the model, and can't be "
                            f"{_words(sizes)}.", where="shapes", fix=f"It is declared as {_shown(tensor)}.")


def _named(declared: Mapping[str, Tensor], config: TensorRTConfig) -> dict[str, Sizes]:
    """The range of each named dimension that was given one."""
    found: dict[str, Sizes] = {}
    for name, given in config.shapes.items():
        for dimension, sizes in zip(declared[name].shape, zip(given.min, given.opt, given.max, strict=True),
                                    strict=True):
            if isinstance(dimension, str) and found.setdefault(dimension, sizes) != sizes:
                raise UserError(
                    f"The dimension {dimension!r} is given as {_words(found[dimension])} and, of the input {name!r}, "
                    f"as {_words(sizes)}.", where="shapes",
                    fix="Dimensions of one name are equal: give them the same range.",
                )
    for tensor in declared.values():
        if tensor.shape and isinstance(tensor.shape[0], str):
            found.setdefault(tensor.shape[0], _batches(config))
    return found


def _range(tensor: Tensor, named: Mapping[str, Sizes]) -> ShapeRange:
    ranges = list(_dimensions(tensor, named))
    low, middle, high = ([sizes[which] for sizes in ranges] for which in range(3))
    return ShapeRange(min=low, opt=middle, max=high)


def _dimensions(tensor: Tensor, named: Mapping[str, Sizes]) -> Iterator[Sizes]:
    for place, size in enumerate(tensor.shape):
        if isinstance(size, int):
            yield size, size, size
        elif size in named:
            yield named[size]
        else:
            raise UserError(f"Dimension {place} ({size!r}) of the input {tensor.name!r} is dynamic, and no range is "
                            "given for it.", where="shapes", fix=f"Give one with --shape {_example(tensor)}.")


def _check_batch(inputs: Sequence[Tensor], config: TensorRTConfig) -> None:
    """A batch that was asked for, and isn't the fixed one, is a mistake; the usual ones were not asked for."""
    firsts = [tensor.shape[0] for tensor in inputs if tensor.shape]
    fixed = [(batch, batch, batch) for batch in firsts if isinstance(batch, int)]
    if fixed and len(fixed) == len(firsts) and _batches(config) not in (_batches(_DEFAULT), *fixed):
        raise UserError(
            f"The model takes batches of {fixed[0][0]} only (input {_shown(inputs[0])}), not of "
            f"{_words(_batches(config))}.", where="min_batch, opt_batch, max_batch",
            fix=f"Leave them out or set all to {fixed[0][0]}; or export the model with a dynamic batch.",
        )


def _batches(config: TensorRTConfig) -> Sizes:
    return config.min_batch, config.opt_batch, config.max_batch


def _words(sizes: Sizes) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else f"{sizes[0]} to {sizes[2]}, best at {sizes[1]}"


def _shown(tensor: Tensor) -> str:
    return f"{tensor.name} ({', '.join(map(str, tensor.shape))})"


def _example(tensor: Tensor) -> str:
    """Such as `x=1x128:8x128:64x128`, with 128 where nobody knows."""
    batches = _batches(_DEFAULT)
    shapes = ("x".join(str(size if isinstance(size, int) else batch if not place else 128)
                       for place, size in enumerate(tensor.shape)) for batch in batches)
    return f"{tensor.name}={':'.join(shapes)}"


__all__ = ["optimization_profile"]
