import subprocess
import sys
from pathlib import Path

import broken
import pytest
from engines import if_compiled
from example.data import Points
from example.model import Classifier
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

from blockstep.testing import BrokenRuleError, check_data, check_module, rules_as_tests
from blockstep.testing.data_rules import DATA_RULES
from blockstep.testing.module_rules import MODULE_RULES

BROKEN_DATA = {
    broken.DrawnAnew: "the_same_seed_gives_the_same_batches",
    broken.SplitByTheGlobalSeed: "held_out_events_do_not_depend_on_the_global_seed",
    broken.AddsInSetup: "setup_may_be_called_again",
    broken.ShufflesValidation: "validation_sees_the_same_batches_every_time",
    broken.DoublesInValidation: "batches_agree_in_shape_and_type",
    broken.HoldsNaN: "inputs_are_finite",
    broken.ForgetsItsState: "the_state_goes_round",
    broken.StoresAnObject: "the_state_goes_round",
}
BROKEN_MODULES = {
    broken.HasNoGradient: "the_loss_is_a_finite_number_with_a_gradient",
    broken.HasAnUnusedLayer: "every_trained_parameter_has_a_gradient",
    broken.ClimbsTheLoss: "a_step_lowers_the_loss_of_its_batch",
    broken.DrawsItsOwnNoise: "the_same_seed_gives_the_same_weights",
    broken.SavesNoArgument: "a_checkpoint_builds_the_module_again",
    broken.CountsOutsideItsState: "a_resumed_training_equals_one_that_was_not_interrupted",
    broken.DependsOnTheBlock: "blocks_equal_single_steps",
    broken.CountsInPython: "the_compiled_engine_agrees_or_is_refused",
    broken.LearnsInValidation: "a_validation_changes_nothing",
    broken.CentresTheBatch: "a_prediction_does_not_depend_on_the_rest_of_the_batch",
}
test_of_the_example = rules_as_tests(Points(num_training=300), Classifier())


@pytest.mark.parametrize(("make", "name"), BROKEN_DATA.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_data_module_is_caught_by_its_rule(make, name):
    with pytest.raises(BrokenRuleError, match=f"{make.__name__} breaks the rule that {name.replace('_', ' ')}:"):
        check_data(make(num_training=300))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        pytest.param(make, name, marks=if_compiled if "compiled" in name else [], id=make.__name__)
        for make, name in BROKEN_MODULES.items()
    ],
)
def test_a_broken_module_is_caught_by_its_rule(make, name):
    module = make(layers=2) if make is broken.SavesNoArgument else make()
    with pytest.raises(BrokenRuleError, match=f"{make.__name__} breaks the rule that {name.replace('_', ' ')}:"):
        check_module(module, Points(num_training=300))


def test_a_message_says_what_to_do():
    with pytest.raises(BrokenRuleError, match=r"batch 0 of training holds a NaN.* Drop or fill missing values"):
        check_data(broken.HoldsNaN(num_training=300))


def test_every_rule_is_broken_by_an_example():
    names = {rule.name for rule in [*DATA_RULES, *MODULE_RULES]}
    assert names == {*BROKEN_DATA.values(), *BROKEN_MODULES.values()}


def test_lightnings_own_example_keeps_the_rules():
    check_data(BoringDataModule())
    check_module(BoringModel(), BoringDataModule())


def test_the_extension_stays_as_it_was():
    module, data = Classifier(), Points(num_training=300)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    check_module(module, data)
    assert all(before[name].equal(weight) for name, weight in module.state_dict().items())
    assert not hasattr(data, "training")


def test_one_line_makes_a_test_of_each_rule(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "from example.data import Points\nfrom blockstep.testing import rules_as_tests\n\n"
        "test_rules = rules_as_tests(Points(num_training=300))\n"
    )
    words = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir=.", "test_mine.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    passed = [rule.name for rule in DATA_RULES if f"test_mine.py::test_rules[{rule.name}] PASSED" in done.stdout]
    assert len(passed) == len(DATA_RULES), done.stdout


def test_the_docs_list_the_rules_in_order():
    page = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    listed = [row for row in rows if row not in ("rule", "---")]
    assert listed == [rule.name.replace("_", " ") for rule in [*DATA_RULES, *MODULE_RULES]]
