"""What each operation of PyTorch does to the channels that go through it: one function a kind.

An operation without a rule fixes the channels that it reads, so that a network that computes something unknown is
permuted less, never wrongly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_map

from .atoms import ANY, NONE
from .products import addmm, convolution, embedding, product
from .tracer import Operand, Source, Step, Tracer, operands

MOVES = frozenset((
    "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "slice", "select",
    "squeeze", "unsqueeze", "clone", "contiguous", "detach", "alias", "roll", "split", "split_with_sizes", "chunk",
    "unbind", "repeat", "flip", "index_select", "gather", "index", "unfold", "cat", "stack", "diagonal", "lift_fresh",
    "pixel_shuffle", "pixel_unshuffle", "narrow", "swapaxes", "movedim", "unsafe_split", "flatten",
))
ELEMENTWISE = frozenset((
    "add", "sub", "mul", "div", "rsub", "pow", "relu", "gelu", "silu", "sigmoid", "tanh", "exp", "neg", "sqrt", "rsqrt",
    "erf", "hardswish", "hardtanh", "hardsigmoid", "leaky_relu", "elu", "clamp", "clamp_min", "clamp_max", "where",
    "maximum", "minimum", "abs", "log", "softplus", "mish", "square", "reciprocal", "sign", "cos", "sin", "masked_fill",
    "_to_copy", "to", "copy", "addcmul", "lerp", "_prelu_kernel", "eq", "ne", "lt", "le", "gt", "ge", "logical_not",
    "relu6", "native_dropout", "bitwise_not", "logical_and", "log_sigmoid_forward", "celu", "selu", "floor", "round",
))
INDEXED = frozenset(("index", "gather", "index_select"))
VIEWS = frozenset(("view", "_unsafe_view", "reshape"))
EACH_CHANNEL = frozenset((
    "avg_pool2d", "avg_pool1d", "max_pool2d_with_indices", "_adaptive_avg_pool2d", "upsample_bilinear2d",
    "upsample_nearest2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "grid_sampler_2d",
    "upsample_nearest1d", "upsample_linear1d", "adaptive_max_pool2d", "reflection_pad2d", "replication_pad2d",
))
OVER_AXES = frozenset(("mean", "sum", "amax", "amin", "var", "linalg_vector_norm", "logsumexp", "std"))
SOFTMAX = frozenset(("_softmax", "_log_softmax", "softmax", "log_softmax"))
SHAPE_ONLY = frozenset(("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full",
                        "new_empty", "fill", "zero", "size", "sym_size"))


def label(tracer: Tracer, step: Step) -> Any:
    """The labels of what an operation made; the tracer learns what it joins, tells apart and fixes."""
    name = step.func.overloadpacket.__name__
    plain = name[:-1] if name.endswith("_") and not name.startswith("__") else name
    if plain in SHAPE_ONLY:
        return torch.full(step.result.shape, ANY) if plain == name and isinstance(step.result, torch.Tensor) else None
    if plain in MOVES:
        return _moved(tracer, step)
    _mark_parts(tracer, step)
    if plain in ELEMENTWISE:
        read = operands(step.args[1:2]) if plain == "copy" else step.operands
        return _elementwise(tracer, step, read) if plain == name else _written(tracer, step, read)
    return RULES.get(plain, lost)(tracer, step)


def _mark_parts(tracer: Tracer, step: Step) -> None:
    """Channels of which only some take part in an operation are not like the others."""
    for number, operand in enumerate(step.operands):
        if isinstance(operand.known, torch.Tensor):
            tracer.atoms.mark(operand.known, torch.tensor(number), -tracer.event)


def lost(tracer: Tracer, step: Step) -> Any:
    """Nobody knows what becomes of the channels."""
    for operand in step.operands:
        if operand.known is not None:
            why = f"they go through {step.func.overloadpacket.__name__}, which has no rule"
            tracer.atoms.fix(tracer.labels(operand), why)
    return tree_map(lambda made: torch.full(made.shape, NONE) if isinstance(made, torch.Tensor) else None, step.result)


def _moved(tracer: Tracer, step: Step) -> Any:
    """The same movement on the labels, or on the places of a parameter's elements."""
    data = operands(step.args[:1]) if step.func.overloadpacket.__name__ in INDEXED else step.operands
    names = {operand.known.name if isinstance(operand.known, Source) else None for operand in data}
    if len(names) == 1 and None not in names:
        moved = _run(step, data, lambda operand: operand.known.index)
        return tree_map(lambda index: Source(str(next(iter(names))), index), moved)
    return _run(step, data, tracer.labels)


def _run(step: Step, data: list[Operand], shown: Any) -> Any:
    def replace(leaf: Any) -> Any:
        if not isinstance(leaf, Operand):
            return leaf
        return shown(leaf) if any(leaf is one for one in data) else leaf.value

    args, kwargs = tree_map(replace, (step.args, step.kwargs))
    if step.func.overloadpacket.__name__ in VIEWS:  # labels may lie in memory in another order than the values
        return args[0].reshape(args[1])
    return step.func(*args, **kwargs)


def _written(tracer: Tracer, step: Step, read: list[Operand]) -> torch.Tensor:
    """An operation in place: views of the same tensor see its new labels too."""
    labels, target = _elementwise(tracer, step, read), step.args[0].known
    if isinstance(target, torch.Tensor):
        return target.copy_(labels)
    tracer.atoms.fix(labels, "they are written into a part of another tensor")
    return torch.full(labels.shape, NONE)


def _elementwise(tracer: Tracer, step: Step, read: list[Operand]) -> torch.Tensor:
    """What is computed from values at the same place: their channels are one."""
    found = torch.full(step.made.shape, ANY)
    for operand in read:
        found = _meet(tracer, found, tracer.labels(operand))
    return found


def _meet(tracer: Tracer, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Labels of what is computed from two values at each place; int64 tensors that broadcast.

    A channel that meets what depends on its place is told apart from those that meet another place.
    """
    shape = (first + second).shape
    for channels, places in ((first, second), (second, first)):
        keys = torch.arange(places.numel()).view(places.shape).expand(shape)
        met = (channels.expand(shape) > 0) & (places.expand(shape) == NONE)
        if met.any():
            tracer.atoms.mark(torch.where(met, channels.expand(shape), ANY), keys, tracer.event)
    first, second = first.expand(shape), second.expand(shape)
    both = (first > 0) & (second > 0)
    tracer.atoms.join(torch.where(both, first, ANY), second, "")
    return torch.maximum(first, second)


def _each_channel(tracer: Tracer, step: Step) -> Any:
    """What looks at one channel of one sample: (N, C, ...) to (N, C, ...)."""
    labels = tracer.labels(step.args[0]).flatten(2)
    tracer.atoms.join(labels, labels[..., :1], "they are no channels of a picture where it is pooled or resized")
    spread = [1] * (step.made.ndim - 2)
    return labels[..., 0].view(*labels.shape[:2], *spread).expand(step.made.shape).clone()


def _over_axes(tracer: Tracer, step: Step) -> Any:
    """What is left of channels when some axes are averaged or summed away."""
    labels, axes = tracer.labels(step.args[0]), _axes(step)
    kept = [axis for axis in range(labels.ndim) if axis not in axes]
    flat = labels.permute(*kept, *axes).reshape(*(labels.shape[axis] for axis in kept), -1)
    one = flat.amax(-1)
    alike = ((flat == one[..., None]) | (flat == ANY)).all(-1)
    places = torch.arange(one.numel()).view(*one.shape, 1)
    tracer.atoms.mark(torch.where(alike[..., None], ANY, flat), places, tracer.event)
    return torch.where(alike, one, NONE).view(step.made.shape)


def _axes(step: Step) -> list[int]:
    """The axes that an operation takes away: all of them where it names none."""
    ndim = step.args[0].value.ndim
    place = 2 if step.func.overloadpacket.__name__ == "linalg_vector_norm" else 1
    given = step.kwargs.get("dim", step.args[place] if len(step.args) > place else None)
    axes = [given] if isinstance(given, int) else list(given or range(ndim))
    return [axis % ndim for axis in axes]


def _softmax(tracer: Tracer, step: Step) -> Any:
    """The channels stay; those of different rows are told apart."""
    labels, axis = tracer.labels(step.args[0]), step.args[1]
    rows = labels.select(axis, 0)
    keys = torch.arange(rows.numel()).view(rows.shape).unsqueeze(axis % labels.ndim)
    tracer.atoms.mark(labels, keys, tracer.event)
    return labels.clone()


def _layer_norm(tracer: Tracer, step: Step) -> Any:
    """Mean and deviation are of all channels of a row; scale and shift move with them."""
    labels, shape = tracer.labels(step.args[0]), step.args[1]
    rows = labels.numel() // max(1, torch.Size(shape).numel())
    keys = torch.arange(rows).view(*labels.shape[: labels.ndim - len(shape)], *[1] * len(shape))
    tracer.atoms.mark(labels, keys, tracer.event)
    return _scaled(tracer, step, labels, step.args[2:4], None)


def _batch_norm(tracer: Tracer, step: Step) -> Any:
    """Every vector has a value for each channel, axis 1."""
    labels = tracer.labels(step.args[0])
    return _scaled(tracer, step, labels, step.args[1:5], (-1, *[1] * (labels.ndim - 2)))


def _group_norm(tracer: Tracer, step: Step) -> Any:
    """Channels of one group share mean and deviation."""
    labels, groups = tracer.labels(step.args[0]), step.args[6]
    count, channels = labels.shape[:2]
    keys = torch.arange(count)[:, None] * groups + torch.arange(channels) // (channels // groups)
    spread = [1] * (labels.ndim - 2)
    tracer.atoms.mark(labels, keys.view(count, channels, *spread), tracer.event)
    return _scaled(tracer, step, labels, step.args[1:3], (-1, *spread))


def _scaled(tracer: Tracer, step: Step, labels: torch.Tensor, vectors: Any, shape: Any) -> list[torch.Tensor]:
    """A normalisation's vectors meet the channels; statistics that it returns have none."""
    for vector in operands(list(vectors)):
        its = tracer.labels(vector)
        labels = _meet(tracer, labels, its if shape is None else its.view(shape))
    return [labels.clone(), *(torch.full(made.shape, NONE) for made in step.result[1:])]


def _padded(tracer: Tracer, step: Step) -> Any:
    """What is put around is the same for all channels."""
    value, sides = step.args[0].value, step.args[1]
    labels = torch.full(step.made.shape, ANY)
    inner = torch.constant_pad_nd(torch.ones(value.shape, dtype=torch.int64), sides, 0).bool()
    labels[inner] = torch.constant_pad_nd(tracer.labels(step.args[0]), sides, 0)[inner]
    return labels


def _strided(tracer: Tracer, step: Step) -> Any:
    """A view by its strides: the labels are laid out in memory as the values are."""
    value, *given = step.args
    laid = torch.empty_like(value.value, dtype=torch.int64)
    if laid.stride() != value.value.stride():  # not dense
        return lost(tracer, step)
    laid.copy_(tracer.labels(value))
    offset = given[2] - value.value.storage_offset() if len(given) > 2 and given[2] is not None else 0
    return laid.as_strided(given[0], given[1], offset)


RULES: dict[str, Any] = {
    "convolution": convolution, "_convolution": convolution, "mm": product, "bmm": product, "addmm": addmm,
    "baddbmm": addmm, "embedding": embedding, "as_strided": _strided, "native_layer_norm": _layer_norm,
    "constant_pad_nd": _padded, "native_batch_norm": _batch_norm, "cudnn_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm, "native_group_norm": _group_norm,
    **dict.fromkeys(EACH_CHANNEL, _each_channel), **dict.fromkeys(OVER_AXES, _over_axes),
    **dict.fromkeys(SOFTMAX, _softmax),
}

__all__ = ["label"]
