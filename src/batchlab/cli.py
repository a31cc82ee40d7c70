"""The command line: what the lesson tells the machinery about itself."""

from batchlab import __version__
from batchlab.charts import CHARTS
from blockstep.cli.application import Application

APPLICATION = Application(
    name="batchlab",
    version=__version__,
    about="What does the batch size do to training? The answer, by example, in PyTorch Lightning.",
    model="batchlab.model.BinaryClassifier",
    data="batchlab.data.ToyDataModule",
    report="batchlab.epoch_report.ContourReport",
    monitor="val/regret",
    charts=CHARTS,
    columns=("x1", "x2", "probability"),
    defaults={
        "name": "minibatch",
        "trainer.accelerator": "cpu",  # the printed digits are those of a CPU, and a GPU would not be faster
        "trainer.max_epochs": 1,  # the notebook's
    },
    commands={
        "compare": ("train several regimes and show them side by side", "batchlab.compare.compare"),
        # batchlab new leaves this out:
        "new": ("make a project of your own, or update its machinery", "batchlab.new_project.command.new"),
        # until here
    },
)

main = APPLICATION.main
