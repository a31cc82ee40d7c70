"""Classes that save no hyperparameters, and take any keyword arguments."""

from foreign_classes import ThirtyFeatures, ThreeClasses

from blockstep.checkpoints.checkpoint_file import CheckedLoading


class Net(CheckedLoading, ThreeClasses):
    """A classifier, the arguments of which are those of its parent."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class Rows(CheckedLoading, ThirtyFeatures):
    """Data, the arguments of which are those of its parent."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
