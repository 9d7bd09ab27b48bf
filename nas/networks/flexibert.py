"""The encoders of FlexiBERT, one architecture each (Tuli et al. 2022).

What a layer does between its tokens, with X [T, h] cut into heads of d features:

- sdp, wma: attention, softmax(Q K^T / sqrt(d)) V and softmax(Q W K^T) V (Vaswani et al. 2017; Luong et al. 2015).
- dft, dct: the real part of the Fourier transform over tokens and features (FNet, Lee-Thorp et al. 2022), and the
  cosine transform. Both are orthonormal here, so that no residual is drowned; FNet's grows with sqrt(T d).
- conv5, conv9: a convolution whose kernel each token makes from a span around it (ConvBERT, Jiang et al. 2020).

Linear layers lead into the heads and out of them. Nothing is dropped out. Products are written out, because
per-sample passes run through them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.errors import UsageError
from nas.search_spaces import Architecture
from nas.search_spaces.transformers.flexibert import KERNELS, FlexiBertSpace

SPREAD = 0.02  # standard deviation of fresh weights, as in BERT (Devlin et al. 2019)


def split(x: Tensor, heads: int) -> Tensor:
    """[B, T, h] to [B, n, T, d]."""
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)


def merged(x: Tensor) -> Tensor:
    """[B, n, T, d] to [B, T, h]."""
    return x.transpose(1, 2).flatten(2)


def unpadded(x: Tensor, mask: Tensor | None) -> Tensor:
    """[B, T, h] with zeros where the mask [B, T] is false."""
    return x if mask is None else x * mask.unsqueeze(-1)


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V in every head, or softmax(Q W K^T) V with a W [d, d] of its own.

    Args:
        hidden: Features of a token.
        heads: Number of heads.
        weighted: Whether there is a W.
    """

    def __init__(self, hidden: int, heads: int, *, weighted: bool) -> None:
        super().__init__()
        self.heads, size = heads, hidden // heads
        self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))
        self.bilinear = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(heads if weighted else 0))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, h] to the same shape; no token looks at one that the mask [B, T] leaves out."""
        query, key, value = (split(layer(x), self.heads) for layer in (self.query, self.key, self.value))
        if self.bilinear:
            parts = zip(self.bilinear, query.unbind(1), strict=True)
            query = torch.stack([layer(part) for layer, part in parts], 1)
        else:
            query = query / math.sqrt(query.shape[-1])
        scores = torch.matmul(query, key.mT)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        return self.output(merged(torch.matmul(scores.softmax(-1), value)))  # type: ignore[no-any-return]


def transform_matrices(kind: str, size: int) -> Tensor:
    """[P, size, size]: the orthonormal DCT-II, or cosine and sine part of the DFT; row k is frequency k."""
    rows, columns = torch.arange(size)[:, None], torch.arange(size)[None].double()
    if kind == "dct":
        matrix = torch.cos(math.pi / size * rows * (columns + 0.5)) * math.sqrt(2 / size)
        matrix[0] /= math.sqrt(2)
        return matrix[None].float()
    angles = 2 * math.pi / size * (rows * columns % size)
    return (torch.stack([angles.cos(), angles.sin()]) / math.sqrt(size)).float()


class LinearTransform(nn.Module):
    """A fixed transform over tokens and features in every head, between two linear layers; padding counts as zeros.

    With M the orthonormal DCT-II, or C and S the parts of the DFT: M X M^T, or C X C - S X S.

    Args:
        hidden: Features of a token.
        heads: Number of heads.
        tokens: Length of the longest sequences; for shorter ones the matrix over tokens is made anew each time.
        kind: "dct" or "dft".
    """

    over_tokens: Tensor
    over_features: Tensor

    def __init__(self, hidden: int, heads: int, tokens: int, kind: str) -> None:
        super().__init__()
        self.heads, self.kind = heads, kind
        self.input, self.output = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.register_buffer("over_tokens", transform_matrices(kind, tokens), persistent=False)
        self.register_buffer("over_features", transform_matrices(kind, hidden // heads), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, h] to the same shape."""
        x = split(unpadded(self.input(x), mask), self.heads)
        over_tokens = self.over_tokens
        if x.shape[2] != over_tokens.shape[-1]:
            over_tokens = transform_matrices(self.kind, x.shape[2]).to(x.device, x.dtype)
        first, *others = (
            torch.matmul(torch.matmul(rows, x), columns.mT)
            for rows, columns in zip(over_tokens, self.over_features, strict=True)
        )
        for other in others:
            first = first - other
        return self.output(merged(first))  # type: ignore[no-any-return]


class DynamicConvolution(nn.Module):
    """A convolution over tokens; each token makes one kernel a head, softmax(W (Q * S)) with a span S around it.

    S is a depthwise convolution of the input and a linear layer, Q a linear layer. Padding counts as zeros.

    Args:
        hidden: Features of a token.
        heads: Number of heads.
        kernel: Tokens that a kernel sees, odd.
    """

    def __init__(self, hidden: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.heads, self.taps = heads, kernel
        # A convolution over an image one pixel wide: proxies know images and linear layers, not sequences.
        self.span = nn.Conv2d(hidden, hidden, (kernel, 1), padding=(kernel // 2, 0), groups=hidden, bias=False)
        self.point, self.query = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.kernel = nn.Linear(hidden, heads * kernel)
        self.value, self.output = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, h] to the same shape."""
        near = self.span(unpadded(x, mask).mT.unsqueeze(-1)).squeeze(-1).mT
        kernels = split(self.kernel(self.query(x) * self.point(near)), self.heads).softmax(-1)  # [B, n, T, k]
        return self.output(merged(convolved(split(unpadded(self.value(x), mask), self.heads), kernels)))  # type: ignore[no-any-return]


def convolved(x: Tensor, kernels: Tensor) -> Tensor:
    """out[t] = sum over i of kernels[t, i] x[t + i - k // 2], zeros beyond the ends; [B, n, T, d] and [B, n, T, k]."""
    length, taps = kernels.shape[-2:]
    padded = F.pad(x, (0, 0, taps // 2, taps // 2))
    total = torch.zeros_like(x)
    for i in range(taps):
        total = torch.addcmul(total, kernels[..., i : i + 1], padded[:, :, i : i + length])
    return total


class FeedForward(nn.Module):
    """Widen, GELU, narrow, on every token; with residual and norm.

    Args:
        hidden: Features of a token.
        width: Units between.
    """

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.widen, self.narrow, self.norm = nn.Linear(hidden, width), nn.Linear(width, hidden), nn.LayerNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, h] to the same shape."""
        return self.norm(x + self.narrow(F.gelu(self.widen(x))))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """An operation between tokens with residual and norm, then the stack of feed-forward networks.

    Args:
        operation: What happens between tokens.
        hidden: Features of a token.
        width: Units of a feed-forward network.
        stack: How many of them.
    """

    def __init__(self, operation: nn.Module, hidden: int, width: int, stack: int) -> None:
        super().__init__()
        self.operation, self.norm = operation, nn.LayerNorm(hidden)
        self.feed_forwards = nn.Sequential(*(FeedForward(hidden, width) for _ in range(stack)))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, h] to the same shape."""
        return self.feed_forwards(self.norm(x + self.operation(x, mask)))  # type: ignore[no-any-return]


def operation(name: str, hidden: int, heads: int, tokens: int) -> nn.Module:
    """The module of an operation of the space."""
    if name in KERNELS:
        return DynamicConvolution(hidden, heads, KERNELS[name])
    if name in ("dct", "dft"):
        return LinearTransform(hidden, heads, tokens, name)
    return Attention(hidden, heads, weighted=name == "wma")


class FlexiBert(nn.Module):
    """Embeddings of words and positions, layers, the mean over tokens, a classifier.

    Args:
        space: Vocabulary, length and classes.
        arch: The encoder.

    Raises:
        UsageError: `arch` is of another space.
    """

    def __init__(self, space: FlexiBertSpace, arch: Architecture) -> None:
        super().__init__()
        space.require(arch)
        chosen, hidden = arch.genes, int(arch["hidden"])
        self.words, self.positions = (
            nn.Embedding(space.task.vocabulary, hidden),
            nn.Embedding(space.task.length, hidden),
        )
        self.norm = nn.LayerNorm(hidden)
        self.layers = nn.ModuleList()
        for layer in range(int(arch["depth"])):
            heads, width, stack = (int(chosen[f"layer{layer}.{kind}"]) for kind in ("heads", "width", "stack"))
            mixing = operation(str(chosen[f"layer{layer}.operation"]), hidden, heads, space.task.length)
            self.layers.append(Layer(mixing, hidden, width, stack))
        self.classifier = nn.Linear(hidden, space.task.classes)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=SPREAD)
            if isinstance(part, nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sequences of words to logits.

        Args:
            tokens: [B, T] int64, T at most the space's `length`.
            mask: [B, T] bool, true for tokens that count; None counts all. Padding behind a sequence changes nothing
                in networks without linear transforms; those see zeros there.

        Returns:
            Logits [B, K].

        Raises:
            UsageError: The sequences are longer than the space allows.
        """
        length = tokens.shape[1]
        if length > self.positions.num_embeddings:
            raise UsageError(f"sequences of {length} tokens; this space has {self.positions.num_embeddings} at most")
        x = self.norm(self.words(tokens) + self.positions.weight[:length])
        for layer in self.layers:
            x = layer(x, mask)
        count = length if mask is None else mask.sum(1, keepdim=True).clamp(min=1)
        return self.classifier(unpadded(x, mask).sum(1) / count)  # type: ignore[no-any-return]
