"""The command line: a table and a classifier need no other code."""

from pathlib import Path

from blockstep.cli.application import Application

APPLICATION = Application(
    __package__,
    model="blockstep.tables.Classifier",
    data="blockstep.tables.TableDataModule",
    defaults={
        "name": "run",
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": 20,
        "data.path": str(Path(__file__).with_name("iris.csv")),  # in the package, so that an installed command finds it
        "data.label": "species",
        "model.in_features": 4,
        "model.classes": 3,
    },
)

main = APPLICATION.main
