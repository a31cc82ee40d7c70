import pytest
import torch
from plain_loop import events

from batchlab.data import ToyDataModule
from batchlab.toy import posterior


def ready(stage="fit", **settings):
    data = ToyDataModule(**settings)
    data.prepare_data()
    data.setup(stage)
    return data


def test_training_sees_the_notebooks_events_whole_in_stored_order():
    x, t = (torch.cat(parts) for parts in zip(*ready(batch_size=100).train_dataloader(), strict=True))
    expected_x, expected_t = events()
    assert torch.equal(x, expected_x)
    assert torch.equal(t, expected_t)


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(1, [1] * 1100), (10, [10] * 110), (300, [300, 300, 300, 200]), (5000, [1100]), (None, [1100])],
)
def test_batches_have_the_size_asked_for_and_the_last_one_what_is_left(batch_size, sizes):
    assert [len(x) for x, _ in ready(batch_size=batch_size).train_dataloader()] == sizes


def test_shuffling_visits_every_event_in_another_order():
    data = ready(batch_size=None, shuffle=True)
    (x, _), (stored, _) = next(iter(data.train_dataloader())), events()
    assert not torch.equal(x, stored)
    assert torch.equal(x.sort(dim=0).values, stored.sort(dim=0).values)


def test_workers_load_the_same_batches():
    plain, workers = (list(ready(batch_size=400, num_workers=n).train_dataloader()) for n in (0, 2))
    for ours, theirs in zip(plain, workers, strict=True):
        assert torch.equal(ours[0], theirs[0])


def test_validation_test_and_training_share_no_event():
    data = ready("fit")
    data.setup("test")
    drawn = torch.cat([dataset.tensors[0] for dataset in (data.training, data.validation, data.test)])
    assert len(drawn.unique(dim=0)) == len(drawn)


def test_validation_keeps_the_trainings_ratio_of_classes():
    labels = ready("validate", num_signal=30, num_background=10, num_validation=1000).validation.tensors[1]
    assert labels.sum() == 750


def test_validation_has_an_event_of_each_class_however_rare_one_is():
    labels = ready("validate", num_signal=1, num_background=10**9, num_validation=100).validation.tensors[1]
    assert labels.sum() == 1


def test_evaluation_batches_bring_the_exact_posterior_along():
    for x, _, known in ready("validate").val_dataloader():
        torch.testing.assert_close(known.double(), torch.from_numpy(posterior(x.double().numpy())), atol=1e-6, rtol=0)


def test_predictions_are_asked_for_the_test_events():
    data = ready("predict")
    assert torch.equal(next(iter(data.predict_dataloader()))[0], next(iter(data.test_dataloader()))[0])


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("fit", "training data: x (1100, 2), t (1100, 1)\nvalidation data: x (11000, 2), t (11000, 1)\n"),
        ("validate", "validation data: x (11000, 2), t (11000, 1)\n"),
        ("test", "test data: x (110000, 2), t (110000, 1)\n"),
    ],
)
def test_sizes_are_said(stage, text, capsys):
    ready(stage)
    assert capsys.readouterr().out == text


def test_orders_may_have_a_seed_of_their_own():
    def first_epoch(**seeds):
        data = ToyDataModule(shuffle=True, num_signal=10, num_background=100, **seeds)
        data.setup("fit")
        return torch.cat([x for x, _ in data.train_dataloader()])

    assert torch.equal(first_epoch(seed=3), first_epoch(seed=3, order_seed=3))
    one, other = first_epoch(seed=3), first_epoch(seed=3, order_seed=4)
    assert not torch.equal(one, other)
    assert torch.equal(one.sort(dim=0).values, other.sort(dim=0).values)
