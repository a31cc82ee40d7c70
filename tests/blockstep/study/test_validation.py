import pytest
import torch
from block_fits import fit
from lightning.pytorch import Callback, Trainer
from small_net import Data, Net, same_weights

from blockstep.blocks.row_loader import RowLoader
from blockstep.study.validation import Validation


class Between(Validation):
    """Validates after certain steps."""

    def __init__(self, *steps):
        super().__init__()
        self.due, self.found = steps, {}

    def next_step_due(self, step):
        return min((due for due in self.due if due > step), default=2**40)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step in self.due:
            self.found[trainer.global_step] = float(self.validate(trainer, pl_module)["val/loss"])
            self.modes = pl_module.training, trainer.training


class Scored(Net):
    """Logs its score at the end of the validation, as a module in blocks may."""

    def validation_step(self, batch, batch_idx):
        self.score = self.batch_loss(batch)

    def on_validation_epoch_end(self):
        self.log_scores({"val/loss": self.score})


class Rows(Data):
    def val_dataloader(self):
        return RowLoader(self.dataset, self.trainer)


class Random(Scored):
    """Draws numbers in its validation."""

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, torch.rand(7))


# By how the validation is run: the module, its data, and whether Lightning's loop is left out after the first time.
WAYS = {"a DataLoader": (Net, Data, False), "rows": (Scored, Rows, True), "rows with self.log": (Net, Rows, False)}


def validated(tmp_path, net, data, callbacks, **options):
    options = {"limit_val_batches": 1.0, "check_val_every_n_epoch": 10**6, **options}
    return fit(tmp_path, net, data, callbacks=callbacks, **options)


@pytest.mark.parametrize(("module", "data", "_direct"), WAYS.values(), ids=WAYS)
def test_a_validation_between_two_steps_is_that_of_a_training_that_ends_there(tmp_path, module, data, _direct):
    between = Between(1, 7, 20)
    validated(tmp_path, module(), data(), [between])
    for step, value in between.found.items():
        _, net, _ = validated(tmp_path, module(), data(), [], max_steps=step)
        (scores,) = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False).validate(
            net, data(), verbose=False
        )
        assert value == scores["val/loss"]


@pytest.mark.parametrize(("module", "data", "direct"), WAYS.values(), ids=WAYS)
def test_the_loop_is_left_out_where_the_hooks_are_all_that_matters(tmp_path, module, data, direct):
    between = Between(1, 7)
    validated(tmp_path, module(), data(), [between])
    assert between._is_plain == direct


@pytest.mark.parametrize("data", [Data, Rows])
def test_the_training_is_the_same_with_and_without_validations(tmp_path, data):
    _, plain, _ = validated(tmp_path, Random(), data(), [])
    drawn = torch.rand(3)
    _, net, _ = validated(tmp_path, Random(), data(), [between := Between(2, 3, 11, 20)])
    assert len(between.found) == 4
    assert same_weights(plain, net)
    assert torch.equal(drawn, torch.rand(3))  # the next numbers that the training would draw


def test_the_training_goes_on_in_training_mode(tmp_path):
    for module, data, _ in WAYS.values():
        between = Between(5)
        validated(tmp_path, module(), data(), [between])
        assert between.modes == (True, True)


def test_a_part_that_is_in_eval_mode_stays_in_it(tmp_path):
    class Freeze(Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.net[0].eval()

    _, net, _ = validated(tmp_path, Scored(), Rows(), [Freeze(), Between(3, 5, 8)])
    assert [part.training for part in net.net] == [False, *[True] * (len(net.net) - 1)]
