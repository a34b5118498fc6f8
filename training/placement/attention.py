"""Scaled dot-product attention written out, so that both of its products and its softmax can be quantized."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F


def attend(
    quantize: Callable[[str, torch.Tensor], torch.Tensor], query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attn_mask: torch.Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """What `torch.nn.functional.scaled_dot_product_attention` computes, with its arguments.

    Args:
        quantize: takes a quantizer's name and a tensor.
        query: (..., heads, T, dim).
        key: (..., heads, S, dim).
        value: (..., heads, S, dim_v).
        attn_mask: bool (True takes part) or float (added). Defaults to none.
        dropout_p: share of the probabilities dropped. Defaults to 0.
        is_causal: a token sees itself and those before it. Defaults to False.
        scale: of the scores. Defaults to dim ** -0.5.
        enable_gqa: key and value have fewer heads. Defaults to False.

    Returns:
        (..., heads, T, dim_v).
    """
    if enable_gqa:
        key, value = (part.repeat_interleave(query.shape[-3] // part.shape[-3], -3) for part in (key, value))
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    query, key = quantize("input_quantizer_q", query), quantize("input_quantizer_k", key)
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    shares = F.dropout(torch.softmax(scores, -1), dropout_p)
    return quantize("softmax_quantizer", shares) @ quantize("input_quantizer_v", value)


__all__ = ["attend"]
