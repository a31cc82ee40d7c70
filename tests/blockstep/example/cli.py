"""The command line."""

from blockstep.cli.application import Application

APPLICATION = Application(
    "example",
    model="example.model.Classifier",
    data="example.data.Points",
    defaults={"name": "run", "trainer.accelerator": "cpu", "trainer.max_epochs": 1},
)

main = APPLICATION.main
