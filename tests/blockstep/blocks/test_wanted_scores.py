from block_fits import fit
from lightning.pytorch import Callback
from small_net import same_weights


class Wants(Callback):
    """Says which scores are read."""

    def __init__(self, *tags):
        self.tags = frozenset(tags)

    def on_train_start(self, trainer, pl_module):
        pl_module.wanted_scores = self.tags


def test_the_mean_loss_is_left_out_if_nobody_reads_it(tmp_path):
    trainer, _, _ = fit(tmp_path, callbacks=[Wants("val/loss")])
    assert "train/loss" not in trainer.callback_metrics
    trainer, _, _ = fit(tmp_path, callbacks=[Wants("train/loss")])
    assert "train/loss" in trainer.callback_metrics


def test_the_training_is_the_same_whichever_scores_are_read(tmp_path):
    _, one, _ = fit(tmp_path)
    _, other, _ = fit(tmp_path, callbacks=[Wants()])
    assert same_weights(one, other)
