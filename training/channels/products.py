"""Channels in sums of products: what a layer reads becomes columns, what it makes becomes rows."""

from __future__ import annotations

from typing import Any

import torch

from .atoms import ANY, NONE
from .tracer import Operand, Source, Step, Tracer

MIXED = "they are read beside what has no channels"
SUMMED = "they are summed over in a product that is no layer"


def product(tracer: Tracer, step: Step) -> torch.Tensor:
    """(..., n, k) times (..., k, m)."""
    return _product(tracer, *step.args[:2])


def addmm(tracer: Tracer, step: Step) -> torch.Tensor:
    """A product and what is added to it, usually a bias."""
    made = _product(tracer, *step.args[1:3])
    return _biased(tracer, made, tracer.labels(step.args[0]))


def _product(tracer: Tracer, first: Operand, second: Operand) -> torch.Tensor:
    if isinstance(second.known, Source) and not isinstance(first.known, Source):
        made = _layer(tracer, tracer.labels(first), second.known)
    elif isinstance(first.known, Source) and not isinstance(second.known, Source):
        turned = Source(first.known.name, first.known.index.transpose(-2, -1))
        made = _layer(tracer, tracer.labels(second).transpose(-2, -1), turned)
        made = None if made is None else made.transpose(-2, -1)
    else:
        made = None
    return _contract(tracer, tracer.labels(first), tracer.labels(second)) if made is None else made.clone()


def _biased(tracer: Tracer, made: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    tracer.atoms.join(made, bias.expand(made.shape), MIXED)
    return made


def _layer(tracer: Tracer, labels: torch.Tensor, source: Source) -> torch.Tensor | None:
    """(..., n, k) through a parameter (k, m), or None where each matrix of a batch has its own."""
    index = source.index
    if index.ndim == 3:
        if not torch.equal(index, index[:1].expand(index.shape)):
            return None
        index = index[0]
    rows = tracer.matrix(source, index.t()[..., None], _columns(tracer, labels.reshape(-1, labels.shape[-1]))).rows
    return rows.expand(*labels.shape[:-1], len(rows))


def _columns(tracer: Tracer, labels: torch.Tensor) -> torch.Tensor:
    """(places, channels) that one column of a matrix reads each."""
    columns = labels.amax(0)
    tracer.atoms.join(labels, columns, MIXED)
    return columns


def _contract(tracer: Tracer, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Two tensors that are no parameters, such as queries and keys, or scores and values."""
    shape = (*first.shape[:-1], second.shape[-1])
    channels = bool((first > 0).any()), bool((second > 0).any())
    if channels == (True, False):
        return _contract(tracer, second.transpose(-2, -1), first.transpose(-2, -1)).transpose(-2, -1)
    if channels == (False, False):
        return torch.full(shape, NONE)
    along = bool((first != first[..., :1]).any()), bool((second != second[..., :1, :]).any())
    if channels == (False, True) and not along[1]:
        tracer.atoms.mark(second, _numbers(second.shape[:-1]).unsqueeze(-1), tracer.event)
        return second[..., :1, :].expand(shape).clone()
    if all(channels) and all(along):
        _paired(tracer, first, second)
    else:
        tracer.atoms.fix(first, SUMMED)
        tracer.atoms.fix(second, SUMMED)
    return torch.full(shape, NONE)


def _paired(tracer: Tracer, first: torch.Tensor, second: torch.Tensor) -> None:
    """The sum is over channels of both."""
    left, right = first.amax(-2), second.amax(-1)
    tracer.atoms.join(first, left.unsqueeze(-2), MIXED)
    tracer.atoms.join(second, right.unsqueeze(-1), MIXED)
    tracer.atoms.join(left, right, MIXED)
    tracer.atoms.mark(left, _numbers(left.shape[:-1]).unsqueeze(-1), tracer.event)


def _numbers(shape: Any) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).view(shape)


def convolution(tracer: Tracer, step: Step) -> torch.Tensor:
    """(N, C, ...) to (N, K, ...), grouped, depthwise or transposed."""
    args, made = step.args, step.made
    labels, weight, transposed, groups = tracer.labels(args[0]), args[1], args[6], args[8]
    columns = _columns(tracer, labels.transpose(0, 1).flatten(1).t())
    if not isinstance(weight.known, Source):
        tracer.atoms.fix(labels, "they go through a convolution whose weight is computed")
        tracer.atoms.fix(tracer.labels(weight), "they are computed with before a convolution uses them")
        return torch.full(made.shape, NONE)
    rows = _rows(tracer, weight.known, columns, transposed, groups)
    if isinstance(args[2], Operand):
        rows = _biased(tracer, rows, tracer.labels(args[2]))
    return rows.view(-1, *[1] * (made.ndim - 2)).expand(made.shape).clone()


def _rows(tracer: Tracer, source: Source, columns: torch.Tensor, transposed: bool, groups: int) -> torch.Tensor:
    index = source.index.flatten(2)
    width = len(columns) // groups
    if groups > 1 and width == 1:
        return _depthwise(tracer, source, columns, transposed)
    made = []
    for group, block in enumerate(index.chunk(groups)):
        matrix = block.transpose(0, 1) if transposed else block
        made.append(tracer.matrix(source, matrix, columns[group * width : (group + 1) * width]).rows)
    return torch.cat(made)


def _depthwise(tracer: Tracer, source: Source, columns: torch.Tensor, transposed: bool) -> torch.Tensor:
    """Each channel makes its own: the weight moves with it."""
    columns = torch.where(columns == ANY, NONE, columns)
    elements = tracer.elements(source).flatten(1 if not transposed else 2)
    times = elements.shape[1] if transposed else len(elements) // len(columns)
    rows = columns.repeat_interleave(times)
    tracer.atoms.join(elements.reshape(len(rows), -1), rows[:, None], MIXED)
    return rows


def embedding(tracer: Tracer, step: Step) -> torch.Tensor:
    """Rows of a table, chosen by number: its columns are channels, its rows stay."""
    table = step.args[0].known
    if not isinstance(table, Source):
        tracer.atoms.fix(tracer.labels(step.args[0]), "they go through a computed embedding")
        return torch.full(step.made.shape, NONE)
    usage = tracer.matrix(table, table.index[..., None], torch.full(table.index.shape[1:], ANY))
    tracer.atoms.fix(usage.rows, "they are rows of an embedding")
    return usage.columns.expand(step.made.shape).clone()


__all__ = ["addmm", "convolution", "embedding", "product"]
