from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

from blockstep.base.factories import call_factory, class_config, is_word, restore_factories, storable_hyperparameters

SGD_CONFIG = {"class_path": "torch.optim.sgd.SGD", "init_args": {"lr": 0.1}}


def parameters():
    return [torch.nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize(("factory", "arguments"), [(SGD, {}), (partial(SGD, lr=0.1), {"lr": 0.1})])
def test_a_factory_is_described_by_its_class_and_arguments(factory, arguments):
    assert class_config(factory, SGD) == {"class_path": "torch.optim.sgd.SGD", "init_args": arguments}


def test_a_function_that_no_checkpoint_could_name_is_refused():
    with pytest.raises(TypeError, match=r"must be a class or a functools\.partial of one"):
        class_config(lambda parameters: SGD(parameters, lr=0.1), SGD)


@pytest.mark.parametrize("factory", [partial(SGD, lr=0.5), partial(Adam, lr=0.002, betas=(0.8, 0.9)), Adam], ids=str)
def test_an_optimizer_is_restored_from_its_description(factory):
    made = factory(parameters())
    restored = restore_factories({"optimizer": class_config(factory, type(made))})["optimizer"](parameters())
    assert (type(restored), restored.defaults) == (type(made), made.defaults)


def test_a_scheduler_is_restored_from_its_description():
    settings = {"lr_scheduler": class_config(partial(StepLR, step_size=3), StepLR)}
    assert restore_factories(settings)["lr_scheduler"](SGD(parameters(), lr=0.1)).step_size == 3


def test_plain_values_are_restored_as_they_are():
    settings = {"width": 8, "names": ["a", "b"], "path": "a/b.c", "lr_scheduler": None}
    assert restore_factories(settings) == settings


def test_a_plain_word_is_allowed_where_a_model_has_an_optimizer_that_is_only_a_text():
    assert restore_factories({"optimizer": "adam"}) == {"optimizer": "adam"}


@pytest.mark.parametrize("key", ["_instantiator", "_class_path"])
def test_keys_by_which_lightning_would_import_a_class_are_dropped(key):
    assert restore_factories({key: "os.system", "width": 8}) == {"width": 8}


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (3, "must be a mapping of keys"),
        ({1: 2}, "must be a mapping of keys"),
        ({"width": {"class_path": "os.system"}}, "must be a plain value"),
        ({"width": [{"class_path": "os.system"}]}, "must be a plain value"),
        ({"width": {"inner": {"class_path": "os.system"}}}, "must be a plain value"),
        ({"optimizer": 3}, "must be a class_path with its init_args"),
        ({"optimizer": "torch.optim.SGD"}, "must be a class_path with its init_args"),
        ({"optimizer": {"class_path": "torch.optim.SGD"}}, "must be a class_path with its init_args"),
        ({"optimizer": {**SGD_CONFIG, "dict_kwargs": {}}}, "must be a class_path with its init_args"),
        ({"optimizer": {"class_path": "os.system", "init_args": {}}}, "must name a subclass of torch.optim"),
        ({"optimizer": {"class_path": 3, "init_args": {}}}, "must name a subclass of torch.optim"),
        ({"optimizer": {"class_path": "missing.Optimizer", "init_args": {}}}, "must name a subclass of torch.optim"),
        ({"lr_scheduler": SGD_CONFIG}, r"must name a subclass of torch\.optim\.lr_scheduler"),
        ({"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": {}}}}, "must have numbers and words"),
        ({"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": ["a.b"]}}}, "must have numbers and words"),
        ({"optimizer": {"class_path": "torch.optim.SGD", "init_args": [0.1]}}, "must have numbers and words"),
    ],
    ids=str,
)
def test_hyperparameters_that_are_more_than_data_are_refused(settings, rule):
    with pytest.raises(ValueError, match=rule):
        restore_factories(settings)


def test_of_a_modules_hyperparameters_a_checkpoint_may_hold_data_and_class_configs_of_factories():
    data = {"width": 8, "path": "a/b.c", "sizes": [1, 2]}
    data |= {"nested": {"a": (None, 0.5)}, "optimizer": SGD_CONFIG}
    others = {"loss": torch.nn.ReLU(), "function": print, "list": [print], "class": SGD_CONFIG}
    assert storable_hyperparameters(data | others) == data


@pytest.mark.parametrize("value", ["adam", "16-mixed", "", "läuft"])
def test_letters_digits_and_hyphens_are_a_word(value):
    assert is_word(value)


@pytest.mark.parametrize("value", ["torch.optim.SGD", "a b", "a/b", "a\n", 3, None])
def test_what_could_be_a_path_is_not_a_word(value):
    assert not is_word(value)


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_an_error_of_a_factory_names_the_key(error):
    def refuse(given):
        raise error("lr is too large")

    with pytest.raises(error, match=r"model\.optimizer: lr is too large"):
        call_factory("optimizer", refuse, parameters())


def test_a_factory_is_called_with_what_is_given():
    assert call_factory("optimizer", partial(SGD, lr=0.5), parameters()).defaults["lr"] == 0.5
