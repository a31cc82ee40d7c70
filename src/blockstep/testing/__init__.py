"""Rules that an extension keeps, as tests: without them, a broken one is noticed when a long run cannot be resumed.

In the spirit of scikit-learn's `check_estimator`. One line in a test file makes a test of each rule:

    test_rules = rules_as_tests(module=ThreeClasses(width=8), data=Rows("rows.csv"))

`check_data` and `check_module` check all rules at once.
"""

from collections.abc import Callable

from lightning.pytorch import LightningDataModule, LightningModule

from blockstep.testing.data_rules import DATA_RULES
from blockstep.testing.module_rules import MODULE_RULES
from blockstep.testing.rules import BrokenRuleError, Check, check_all

__all__ = ["BrokenRuleError", "check_data", "check_module", "rules_as_tests"]


def check_data(data: LightningDataModule) -> None:
    """Check that a data module keeps all rules of `data_rules`.

    Args:
        data: The data module, as it is before training. It is copied for each rule, and stays as it is.

    Raises:
        BrokenRuleError: If it does not. The message names each broken rule, what was found, and what to do.
    """
    check_all(_data_checks(data))


def check_module(module: LightningModule, data: LightningDataModule) -> None:
    """Check that a module keeps all rules of `module_rules`.

    Args:
        module: The module, before training. It is copied for each rule.
        data: A data module that it can be trained on, which keeps the rules for data.

    Raises:
        BrokenRuleError: If it does not. The message names each broken rule, what was found, and what to do.
    """
    check_all(_module_checks(module, data))


def rules_as_tests(data: LightningDataModule, module: LightningModule | None = None) -> Callable[..., None]:
    """Return a test function that pytest runs once for each rule, for a name that begins with `test_`.

    Args:
        data: The data module.
        module: The module; without one, only the rules for data are tested.
    """
    import pytest  # only where there are tests

    checks = _data_checks(data) + ([] if module is None else _module_checks(module, data))

    @pytest.mark.parametrize("check", checks, ids=[check.rule.name for check in checks])
    def test(check: Check) -> None:
        check()

    return test


def _data_checks(data: LightningDataModule) -> list[Check]:
    return [Check(rule, (data,)) for rule in DATA_RULES]


def _module_checks(module: LightningModule, data: LightningDataModule) -> list[Check]:
    return [Check(rule, (module, data)) for rule in MODULE_RULES]
