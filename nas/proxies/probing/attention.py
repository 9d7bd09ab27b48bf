"""torch's own attention in single steps, so that its layers can be seen."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nas.errors import UsageError


def self_attention(
    linear: Callable[[Tensor, Tensor, Tensor | None], Tensor], query: Tensor, key: Tensor, value: Tensor, width: int,
    heads: int, in_weight: Tensor | None, in_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None,
    add_zero_attn: bool, dropout: float, out_weight: Tensor, out_bias: Tensor | None, training: bool = True,
    key_padding_mask: Tensor | None = None, need_weights: bool = True, attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None, static_k: Tensor | None = None, static_v: Tensor | None = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """What `torch.nn.functional.multi_head_attention_forward` gives for self-attention without dropout.

    Query, key and value are the same tensor, [T, B, D] or [T, D]; `linear` is called for the two projections, with
    batches first [B, T, D]. Everything else is as there.

    Raises:
        UsageError: Another kind of attention.
    """
    if query is not key or key is not value or use_separate_proj_weight or in_weight is None:
        raise UsageError("of torch's own attention a proxy takes self-attention with one input projection")
    if bias_k is not None or bias_v is not None or add_zero_attn:
        raise UsageError("of torch's own attention a proxy takes none with bias_kv or add_zero_attn")
    alone = query.dim() == 2
    x = (query.unsqueeze(1) if alone else query).transpose(0, 1)
    b, t, _ = x.shape
    q, k, v = (part.view(b, t, heads, -1).transpose(1, 2) for part in linear(x, in_weight, in_bias).chunk(3, -1))
    scores = q @ k.transpose(-1, -2) / math.sqrt(width // heads)
    if attn_mask is not None:
        mask = attn_mask if attn_mask.dim() < 3 else attn_mask.view(b, heads, t, t)
        scores = scores.masked_fill(mask, -math.inf) if mask.dtype is torch.bool else scores + mask
    if key_padding_mask is not None:
        mask = key_padding_mask.view(b, 1, 1, t)
        scores = scores.masked_fill(mask, -math.inf) if mask.dtype is torch.bool else scores + mask
    weights = scores.softmax(-1)
    y = linear((weights @ v).transpose(1, 2).reshape(b, t, width), out_weight, out_bias).transpose(0, 1)
    shown = weights.mean(1) if average_attn_weights else weights
    if alone:
        y, shown = y.squeeze(1), shown.squeeze(0)
    return y, shown if need_weights else None
