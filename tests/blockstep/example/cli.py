"""The command line."""

from blockstep.cli.application import Application

APPLICATION = Application(
    __package__,
    model=f"{__package__}.model.Classifier",
    data=f"{__package__}.data.Points",
    defaults={"name": "run", "trainer.accelerator": "cpu", "trainer.max_epochs": 1},
)

main = APPLICATION.main
