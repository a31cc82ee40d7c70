"""The lesson's own command trains models and data that are not the lesson's."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.runs.csv_logger import read_rows

RUN = Path("runs/foreign/version_0")
CLASSES = ("--model=thirty_features.Net", "--data=thirty_features.Data")
BORING = "lightning.pytorch.demos.boring_classes"


def test_thirty_features_and_three_classes_are_learned(batchlab):
    assert batchlab("fit", "--name=foreign", *CLASSES, "--trainer.max_epochs=5") == 0
    losses = [float(row["val/loss"]) for row in read_rows(RUN / "metrics.csv") if row.get("val/loss")]
    assert losses[-1] < losses[0]


def test_no_picture_is_drawn_of_thirty_features(batchlab):
    assert batchlab("fit", "--name=foreign", *CLASSES) == 0
    tags = EventAccumulator(str(RUN)).Reload().Tags()
    assert tags["images"] == []
    assert "val/loss" in tags["scalars"]


def test_a_run_of_thirty_features_goes_on_and_predicts(batchlab):
    assert batchlab("fit", "--name=foreign", *CLASSES) == 0
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    assert batchlab("predict", "--ckpt_path=last") == 0
    header, *rows = Path("predictions.csv").read_text().splitlines()
    assert header.endswith("x30,y1,y2,y3,label")
    assert len(rows) == 100


def test_lightnings_own_example_is_trained(batchlab):
    assert batchlab("fit", f"--model={BORING}.BoringModel", f"--data={BORING}.BoringDataModule") == 0


def test_pictures_are_drawn_of_another_model_on_the_lessons_data(batchlab, monkeypatch, tmp_path):
    code = "from batchlab import BinaryClassifier\n\n\nclass Net(BinaryClassifier): ...\n"
    Path("own_network.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert batchlab("fit", "--name=foreign", "--model=own_network.Net", "--data.num_validation=50") == 0
    assert EventAccumulator(str(RUN)).Reload().Tags()["images"]


@pytest.mark.filterwarnings("ignore:You passed in a .val_dataloader. but have no")
def test_an_ordinary_model_gets_batches_of_the_lessons_data(batchlab, monkeypatch, tmp_path):
    Path("own_line.py").write_text(
        "import torch\nfrom lightning.pytorch import LightningModule\n\n\nclass Net(LightningModule):\n"
        "    def __init__(self):\n        super().__init__()\n        self.line = torch.nn.Linear(2, 1)\n\n"
        "    def training_step(self, batch, batch_idx):\n"
        "        x, t = batch\n        return torch.nn.functional.mse_loss(self.line(x), t)\n\n"
        "    def configure_optimizers(self):\n        return torch.optim.SGD(self.parameters(), lr=0.1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert batchlab("fit", "--name=foreign", "--model=own_line.Net") == 0
    assert read_checkpoint(RUN / "checkpoints" / "last.ckpt")["global_step"] == 110
