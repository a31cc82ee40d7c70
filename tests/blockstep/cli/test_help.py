"""What help says, and what is answered to a typo."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def helped(example, capsys):
    """Returns the lines that a command prints when it is asked for help."""

    def ask(*words):
        with pytest.raises(SystemExit) as stop:
            example(*words)
        assert stop.value.code == 0
        return capsys.readouterr().out.splitlines()

    return ask


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_shows_what_people_set_on_two_screens(word, helped):
    lines = helped("fit", word)
    assert len(lines) <= 80
    keys = {match[1] for line in lines if (match := re.match(r"  --([\w.]+)", line))}
    assert {"config", "name", "ckpt_path", "seed_everything", "on_nan", "model.width", "model.optimizer"} <= keys
    assert {"data.batch_size", "trainer.max_epochs", "trainer.devices", "epoch_report.print_every_n_epochs"} <= keys
    assert not {"trainer.num_sanity_val_steps", "trainer.plugins", "output"} & keys


def test_help_shows_the_default_and_a_sentence_of_each_key(helped):
    text = "\n".join(helped("fit", "--help"))
    assert re.search(r"\n  --model\.width 8 +Size of the hidden layer\n", text)
    assert re.search(r"\n  --model\.optimizer SGD +A class of torch\.optim with its arguments\n", text)
    assert "--data.shuffle false" in text


def test_help_says_where_the_rest_is(helped):
    text = " ".join(helped("fit", "--help"))
    assert re.search(r"trainer \(Lightning's; \d\d more: --help=trainer\)", text)
    assert "example fit --help=model" in text


@pytest.mark.parametrize("words", [("--help=trainer",), ("--help", "trainer")], ids=" ".join)
def test_help_about_a_group_explains_all_of_its_keys_and_no_other(words, helped):
    text = "\n".join(helped("fit", *words))
    keys = set(re.findall(r"\n  --([\w.]+)", text))
    assert len(keys) > 35
    assert all(key.startswith("trainer") for key in keys)


@pytest.mark.parametrize("key", ["max_epochs", "trainer.max_epochs"])
def test_help_about_a_key_explains_it_alone(key, helped):
    text = "\n".join(helped("fit", f"--help={key}"))
    assert re.findall(r"\n  --([\w.]+)", text) == ["trainer.max_epochs"]
    assert "To enable infinite training, set" in text


@pytest.mark.parametrize("key", ["lr", "model.optimizer.lr"])
def test_help_about_an_argument_of_the_default_optimizer_explains_it(key, helped):
    lines = helped("fit", f"--help={key}")
    assert lines[0] == "model.optimizer, as SGD:"
    assert re.fullmatch(r"  --model\.optimizer\.lr 0\.\d+ +learning rate", lines[1])
    assert len(lines) == 2


def test_help_shows_the_arguments_that_the_default_optimizer_is_given(helped):
    text = "\n".join(helped("fit", "--help"))
    assert re.findall(r"--model\.optimizer\.\w+", text) == ["--model.optimizer.lr"]


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_help_about_an_evaluation_leaves_out_what_only_fit_uses(command, helped):
    keys = {match[1] for line in helped(command, "--help") if (match := re.match(r"  --([\w.]+)", line))}
    assert {"ckpt_path", "data.batch_size", "trainer.accelerator"} <= keys
    assert not {key for key in keys if key in ("name", "trainer.max_epochs") or key.startswith("epoch_report")}


def test_help_about_the_keys_without_a_group_has_no_group(helped):
    keys = set(re.findall(r"\n  (?:-\w.*, )?--([\w.]+)", "\n".join(helped("fit", "--help=run"))))
    assert {"name", "ckpt_path", "on_nan"} <= keys
    assert not {"model", "data", "trainer", "epoch_report"} & keys


def test_help_about_all_has_every_key_and_no_markup(helped):
    lines = helped("fit", "--help=all")
    assert len(lines) > 400
    assert [line for line in lines if re.search(r":\w+:`|``", line)] == []


def test_help_about_nothing_that_exists_is_refused(example, capsys):
    assert example("fit", "--help=trainr") == 2
    said = capsys.readouterr().err
    assert "Got 'trainr' instead. Did you mean trainer?" in said


# Typos

TYPOS = {
    "--model.widht=3": "--model.width",
    "--widht=3": "--model.width",
    "--trainer.max_epoch=3": "--trainer.max_epochs",
    "--lr=0.1": "--model.optimizer.lr",
    "--seed=3": "--data.seed or --seed_everything",
    "--batchsize=3": "--data.batch_size",
    "--optimizer=Adam": "--model.optimizer",
    "--ckpt_pat=last": "--ckpt_path",
}


@pytest.mark.parametrize(("word", "meant"), TYPOS.items(), ids=TYPOS)
@pytest.mark.parametrize("form", ["with =", "two words"])
def test_what_was_probably_meant_is_asked(form, word, meant, example, capsys):
    words = [word] if form == "with =" else word.split("=")
    assert example("fit", *words) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"example: error: unrecognized arguments: {' '.join(words)}. Did you mean {meant}?",
        "example fit --help lists the options.",
    ]


def test_of_a_word_that_is_like_no_other_nothing_is_asked(example, capsys):
    assert example("fit", "--quux=3") == 2
    assert "unrecognized arguments: --quux=3.\n" in capsys.readouterr().err


def test_a_word_without_a_key_is_answered_by_how_arguments_are_written(example, capsys):
    assert example("fit", "online") == 2
    said = capsys.readouterr().err
    assert "unrecognized arguments: online. Each is written --KEY VALUE, as in --config online.\n" in said


def test_a_typo_in_a_command_is_noticed(example, capsys):
    assert example("fitt") == 2
    assert "Got 'fitt' instead. Did you mean fit?" in capsys.readouterr().err


IN_CONFIGS = {
    "data: {batchsize: 3}": "Got 'data.batchsize' instead. Did you mean data.batch_size?",
    "trainer: {max_epoch: 3}": "Got 'trainer.max_epoch' instead. Did you mean trainer.max_epochs?",
    "ckptpath: last": "Got 'ckptpath' instead. Did you mean ckpt_path?",
}


@pytest.mark.parametrize(("text", "said"), IN_CONFIGS.items(), ids=IN_CONFIGS)
def test_a_typo_in_a_config_is_noticed_too(text, said, example, capsys):
    Path("typo.yaml").write_text(text + "\n")
    assert example("fit", "--config=typo.yaml") == 2
    assert said in capsys.readouterr().err


MUST = "must be the name of a class, or its import path"

IN_WORDS = {
    ("model.optimizer=adam",): f"model.optimizer {MUST}. Got 'adam' instead. Did you mean Adam?",
    (
        "model.lr_scheduler=CosineAnnealingRL",
    ): f"model.lr_scheduler {MUST}. Got 'CosineAnnealingRL' instead. Did you mean",
    ("model.optimizer=nowhere.Adam",): f"{MUST}. Got 'nowhere.Adam' instead: No module named 'nowhere'.",
    ("trainer.callbacks=EarlyStoping",): f"{MUST}. Got 'EarlyStoping' instead. Did you mean EarlyStopping?",
    ("model.lr_scheduler=CosineAnnealingLR",): "CosineAnnealingLR needs T_max: add --model.lr_scheduler.T_max=VALUE",
    ("trainer.callbacks=EarlyStopping",): "EarlyStopping needs monitor: add --trainer.callbacks.monitor=VALUE",
    ("model.lr_scheduler=StepLR", "model.lr_scheduler.step_siz=3"): (
        "model.lr_scheduler must have arguments that StepLR takes. Got 'step_siz' instead. Did you mean step_size? "
        "It takes step_size, gamma, last_epoch."
    ),
    ("model.optimizer.momentums=3",): "arguments that SGD takes. Got 'momentums' instead. Did you mean momentum?",
    ("model.optimizer.lr=fast",): "model.optimizer.lr must be a number. Got 'fast' instead.",
    ("model.width=wide",): "model.width must be a whole number. Got 'wide' instead.",
    ("trainer.max_epochs=many",): "trainer.max_epochs must be a whole number or null. Got 'many' instead.",
    ("data.shuffle=maybe",): "data.shuffle must be true or false. Got 'maybe' instead.",
    ("model.engine=fast",): "model.engine must be one of eager, compiled. Got 'fast' instead.",
    ("config=nowhere.yaml",): "config must be a file that exists and can be read. Got '",
    ("config=.",): "config must be a file that exists and can be read. Got '",
}


@pytest.mark.parametrize(("keys", "said"), IN_WORDS.items(), ids=map(" ".join, IN_WORDS))
def test_what_is_wrong_with_a_value_is_said_in_words(keys, said, example, capsys):
    assert example("fit", *(f"--{key}" for key in keys)) == 2
    message = capsys.readouterr().err
    assert said in message
    assert not re.search(r"<class|Union|typing|Namespace|Callable", message)
    assert len(message.splitlines()) == 2
