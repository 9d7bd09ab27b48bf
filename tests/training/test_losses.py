from __future__ import annotations

import pytest
import torch

from nas.training.losses import label_loss, soft_loss, soft_targets


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]])
    labels = torch.tensor([0, 2])
    target = torch.full((2, 3), 0.1 / 3)
    target[[0, 1], labels] += 0.9
    torch.testing.assert_close(label_loss(logits, labels, 0.1), soft_loss(logits, target))


def test_soft_loss_is_cross_entropy() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    target = torch.tensor([[0.2, 0.5, 0.3]])
    expected = -(target * torch.log_softmax(logits, 1)).sum()
    torch.testing.assert_close(soft_loss(logits, target), expected)


def test_targets_are_cut_from_the_graph() -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    soft = soft_targets(logits)
    assert not soft.requires_grad
    torch.testing.assert_close(soft.sum(1), torch.ones(2))
    with pytest.raises(AssertionError):
        soft_loss(logits, torch.softmax(logits, 1))
