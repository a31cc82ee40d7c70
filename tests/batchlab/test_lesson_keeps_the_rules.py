import pytest

from batchlab import BinaryClassifier, ToyDataModule
from blockstep.testing import rules_as_tests

pytestmark = pytest.mark.slow
test_rules = rules_as_tests(ToyDataModule(num_validation=100, num_test=100), BinaryClassifier())
