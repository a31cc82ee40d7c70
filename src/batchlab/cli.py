"""The command line: what the lesson tells the machinery about itself."""

from pathlib import Path

from batchlab import __version__
from batchlab.charts import CHARTS
from blockstep.cli.application import Application

HERE = Path(__file__).parent

APPLICATION = Application(
    name="batchlab",
    version=__version__,
    about="What does the batch size do to training? The answer, by example, in PyTorch Lightning.",
    model="batchlab.model.BinaryClassifier",
    data="batchlab.data.ToyDataModule",
    report="batchlab.epoch_report.ContourReport",
    monitor="val/regret",
    limit=0.0,  # the exact posterior's
    charts=CHARTS,
    columns=("x1", "x2", "probability"),
    run_names={"data.batch_size": {None: "batch", 1: "online", 10: "minibatch"}},
    configs=(HERE / "configs", HERE.parents[1] / "configs"),  # as installed, and in the repository
    defaults={
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

main, fit = APPLICATION.main, APPLICATION.fit
