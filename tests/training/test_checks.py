import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from twofour.common.errors import UserError
from twofour.training.evaluate import evaluate

MODEL = nn.Linear(4, 3)


def batch(inputs=None, targets=None):
    return torch.zeros(2, 4) if inputs is None else inputs, torch.tensor([0, 2]) if targets is None else targets


def refused(*batches):
    with pytest.raises(UserError) as raised:
        evaluate(MODEL, batches)
    assert raised.value.exit_code == 2
    return str(raised.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (batch(targets=torch.tensor([0, 3])), "labels from 0 to 3, but the model has 3 classes"),
        (batch(targets=torch.tensor([-1, 0])), "out of range"),
        (batch(targets=torch.tensor([0.0, 1.0])), "not one integer per sample"),
        (batch(targets=torch.tensor([0])), "ragged"),
        (batch(inputs=torch.tensor([[0.0] * 4, [float("nan")] * 4])), "NaN or infinity. Look at sample 1"),
        (batch(inputs=torch.full((2, 4), float("inf"))), "NaN or infinity"),
        (batch(inputs=torch.zeros(2, 5)), "shape (2, 5)"),
        (torch.zeros(2, 4), "not a pair"),
        ((torch.zeros(2, 4), [0, 1]), "not a pair"),
    ],
)
def test_a_bad_batch_is_refused_with_loader_and_number(bad, said):
    message = refused(batch(), bad)
    assert said in message
    assert message.startswith("val loader, batch 1:")


def test_an_empty_loader_is_named():
    assert "val loader: The loader is empty" in refused()


def test_samples_that_cannot_be_collated_are_named():
    samples = [(torch.zeros(4), 0), (torch.zeros(4), 0), (torch.zeros(4), 1), (torch.zeros(5), 0)]
    with pytest.raises(UserError, match=r"val loader, batch 1.*one shape"):
        evaluate(MODEL, DataLoader(samples, batch_size=2))


def test_a_model_that_returns_no_logits_is_refused():
    with pytest.raises(UserError, match=r"\(2, 2, 3\)"):
        evaluate(nn.Unflatten(1, (2, 3)), [(torch.zeros(2, 6), torch.zeros(2).long())])
    with pytest.raises(UserError, match="returned tuple"):
        evaluate(nn.LSTM(4, 3), [batch()])


def test_accuracy_counts_samples_not_batches():
    model = nn.Identity()
    inputs, targets = torch.eye(3), torch.tensor([0, 1, 0])
    metrics = evaluate(model, DataLoader(TensorDataset(inputs, targets), batch_size=2))
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["loss"] == pytest.approx(nn.functional.cross_entropy(inputs, targets).item())
