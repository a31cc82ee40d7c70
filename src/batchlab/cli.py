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
    picture="batchlab.epoch_report.draw_model",
    study={
        "vary": {
            "data.batch_size": [1, 3, 10, 32, 100, 320, 1100],
            "model.optimizer.lr": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
        },
        "seeds": ["data.order_seed"],  # a seed is one of the weights and of the orders
        "settings": {"data.shuffle": True, "data.num_validation": 2750},
        "targets": [0.1, 0.05, 0.02],
        "budget": {1: 20, 3: 33, 100: 110, 1100: 165},  # epochs, after which no target is held that was not before
        "lr_steps": 100,
        "engine": "compiled",
    },
    commands={
        "compare": ("train several regimes and show them side by side", "batchlab.compare.compare"),
        # batchlab new leaves this out:
        "new": ("make a project of your own, or update its machinery", "batchlab.new_project.command.new"),
        # until here
    },
)

main, fit = APPLICATION.main, APPLICATION.fit
