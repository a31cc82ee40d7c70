from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from plain_loop import network
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, StepLR

from batchlab.data import ToyDataModule
from batchlab.model import MLP, BinaryClassifier
from blockstep.checkpoints.checkpoint_file import ChecksummedCheckpointIO
from blockstep.checkpoints.provenance import Provenance


def quick_trainer(**settings):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )


def small_data():
    return ToyDataModule(batch_size=100, num_validation=50, num_test=50)


def test_initial_weights_equal_those_of_the_notebooks_sequential():
    torch.manual_seed(0)
    model = BinaryClassifier()
    torch.manual_seed(0)
    for ours, theirs in zip(model.parameters(), network().parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_depth_and_width_are_free():
    assert [tuple(p.shape) for p in MLP(hidden=3, depth=2).parameters()] == [(3, 2), (3,), (3, 3), (3,), (1, 3), (1,)]


@pytest.mark.parametrize("logit", [-200.0, 200.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_confident_answers_have_a_finite_loss_and_gradient(logit, label):
    model = BinaryClassifier(hidden=1, depth=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.network[-1].bias.fill_(logit)
    loss = model.batch_loss((torch.zeros(1, 2), torch.full((1, 1), label)))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("lr", [0.0, float("nan"), float("inf")])
def test_a_learning_rate_that_cannot_train_is_refused(lr):
    with pytest.raises(ValueError, match=r"lr must be a positive, finite number. Got .* instead\."):
        BinaryClassifier(optimizer=partial(SGD, lr=lr))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden": 8, "depth": 1, "optimizer": Adam},
        {"optimizer": partial(Adam, lr=0.002, betas=(0.8, 0.9)), "lr_scheduler": partial(StepLR, step_size=3)},
    ],
)
def test_a_checkpoint_rebuilds_the_model_with_nothing_else_at_hand(settings, tmp_path):
    model = BinaryClassifier(**settings)
    trainer = quick_trainer(
        max_epochs=1, limit_val_batches=0, plugins=[ChecksummedCheckpointIO()], callbacks=[Provenance("")]
    )
    trainer.fit(model, small_data())
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = BinaryClassifier.load_from_checkpoint(tmp_path / "model.ckpt")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    ours, theirs = model.optimizer(model.parameters()), loaded.optimizer(loaded.parameters())
    assert (type(ours), ours.defaults) == (type(theirs), theirs.defaults)


def test_a_scheduler_steps_once_an_epoch():
    model = BinaryClassifier(lr_scheduler=partial(CosineAnnealingLR, T_max=4))
    trainer = quick_trainer(max_epochs=2, limit_val_batches=0, enable_checkpointing=False)
    trainer.fit(model, small_data())
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.005)


def test_reduce_on_plateau_watches_the_validation_loss():
    model = BinaryClassifier(lr_scheduler=partial(ReduceLROnPlateau, patience=0, threshold=1e9))
    trainer = quick_trainer(max_epochs=3, enable_checkpointing=False)
    trainer.fit(model, small_data())
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.01


def test_predictions_are_the_networks_probabilities():
    model = BinaryClassifier()
    x = torch.randn(5, 2)
    predicted = model.predict_step((x, torch.zeros(5, 1)))
    assert torch.equal(predicted, torch.sigmoid(model.network(x)))


def test_without_a_known_posterior_there_is_no_regret():
    model = BinaryClassifier()
    trainer = quick_trainer(enable_checkpointing=False)
    dataset = torch.utils.data.TensorDataset(*ToyDataModule()._fresh_events(50, 1).tensors[:2])
    (metrics,) = trainer.validate(model, torch.utils.data.DataLoader(dataset, batch_size=50), verbose=False)
    assert set(metrics) == {"val/loss", "val/auroc", "val/average_precision"}


def test_an_unknown_engine_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"engine must be 'eager' or 'compiled'. Got 'fast'"):
        BinaryClassifier(engine="fast")


def test_a_part_of_the_network_is_a_plain_sequence_of_its_layers():
    network = MLP(hidden=4, depth=5)
    x = torch.randn(3, 2)
    assert len(network[:10]) == 10
    assert torch.equal(network[10](network[:10](x)), network(x))
    assert network[-1] is list(network)[-1]
