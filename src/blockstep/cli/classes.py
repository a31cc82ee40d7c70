"""Any model and any data by name: without this module, a project could train only the classes that it was built with.

jsonargparse's own way of choosing classes (its subclass mode) passes defaults from one class to the next and hides
their keys from `--help`. So both classes are chosen first, from the arguments and from the config files that they name,
and the parser is then built for these two classes alone.
"""

import json
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml  # type: ignore[import-untyped] # it brings no annotations
from lightning.pytorch import LightningDataModule, LightningModule

from blockstep.base.errors import BadInputError
from blockstep.base.factories import import_path
from blockstep.base.suggestions import did_you_mean
from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.checkpoints.contents import KEY
from blockstep.cli.application import Application
from blockstep.cli.yaml_text import check_text
from blockstep.runs.run_mark import config_beside, newest_last, plain_path

BASES: dict[str, type] = {"model": LightningModule, "data": LightningDataModule}
"""The keys that name a class, and its base class."""

PATHS = ("ckpt_path", "trainer.default_root_dir")
"""The keys of paths whose type is a text or none, so that "~" and "#x" would be read as YAML, which is none."""

READ_FIRST = ("config", "model", "data", "name", *PATHS)
"""The keys that decide which classes are used, and how the run is called."""

IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+(?<!\.yaml)(?<!\.yml)(?<!\.json)")
"""The import path of a class, which is not the name of a config file."""


def choose_classes(application: Application, args: list[str]) -> tuple[dict[str, type], list[str], list[str]]:
    """Choose the classes of the model and the data.

    Args:
        application: Its classes are the default.
        args: A command's arguments. `--model PATH`, `--data PATH`, and `class_path` in a config name a class; so does
            the config of the run that a checkpoint lies in.

    Returns:
        The classes by key; the arguments without the classes' names; and arguments of lower priority: the settings in
        the checkpoint's run, for classes that are not the application's own and may not save their settings.

    Raises:
        BadInputError: If a name is not that of a class of the right kind.
    """
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a project's own modules, as `python -m` finds them
    _refuse_pipes(args)
    names: dict[str, str] = {}
    rest: list[str] = []
    given = {"trainer.default_root_dir": "runs", **application.defaults}
    for key, value, words in pairs(args):
        if key == "config":
            config = read_config(value)
            names |= _names_in(config)
            given |= _places_in(config)
        elif key in BASES and not is_file(value):
            named = _parse(value)
            names |= _names_in({key: named})
            rest += _without_name(key, named, words)
            continue
        given[key] = value
        rest += words
    own = {"model": application.model, "data": application.data}
    run = _config_of_checkpoint(given)
    of_run = _names_in(run)
    if run is None and given.get("ckpt_path") is not None:
        _refuse_unnamed(Path(plain_path(given["ckpt_path"])), names)
    names = own | of_run | names
    saved = {key: _arguments(run[key]) for key in BASES if names[key] == of_run.get(key) and names[key] != own[key]}
    return {key: _load(key, names[key]) for key in BASES}, rest, _as_words(saved)


def foreign_classes(application: Application, classes: Mapping[str, type]) -> dict[str, str]:
    """Return the import paths of those classes, by key, that are not the application's own.

    Args:
        application: Its classes may be named by a shorter path than that of the module which defines them.
        classes: The classes by key.
    """
    own = {"model": application.model, "data": application.data}
    return {key: import_path(cls) for key, cls in classes.items() if cls is not resolve_name(own[key])}


def pairs(args: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield a command's arguments one by one.

    Yields:
        Key, value and words of each argument with one of the keys `READ_FIRST`; of any other, each word with an empty
        key and value.
    """
    rest = list(args)
    while rest:
        word = rest.pop(0)
        option, equals, value = re.sub("^-c(?!-)=?(?=.)", "--config=", word).partition("=")
        key = "config" if option == "-c" else option.removeprefix("--")
        if option == key or key not in READ_FIRST:
            yield "", "", [word]
            continue
        words = [word]
        if not equals and rest:
            value = rest.pop(0)
            words.append(value)
        if key in PATHS and (equals or len(words) > 1):
            value = plain_path(value)
            words = [f"--{key}={value}"]
        yield key, value, words


def read_config(config: str) -> Any:
    """Return the content of a config, which is a file or text; None if it cannot be read."""
    try:
        return _parse(Path(config).read_text(encoding="utf-8") if is_file(config) else config)
    except (OSError, ValueError):
        return _parse(config)


def flatten(config: Any) -> Any:
    """Return a config's content with the arguments of model and data where `class_path` and `init_args` were."""
    if not isinstance(config, dict):
        return config
    return config | {key: _arguments(config[key]) for key in BASES if _class_path(config.get(key)) is not None}


def unflatten(config: dict[str, Any], classes: dict[str, str]) -> dict[str, Any]:
    """Return a config's content with the names of the given classes by key, so that it can be used again."""
    wrapped = {key: {"class_path": path, "init_args": config.get(key) or {}} for key, path in classes.items()}
    return {**wrapped, **config, **wrapped}


def _places_in(config: Any) -> dict[str, str]:
    """The checkpoint and the folder of all runs, if a config names them."""
    given = config if isinstance(config, dict) else {}
    trainer = given["trainer"] if isinstance(given.get("trainer"), dict) else {}
    found = {"ckpt_path": given.get("ckpt_path"), "trainer.default_root_dir": trainer.get("default_root_dir")}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _config_of_checkpoint(given: dict[str, Any]) -> Any:
    if given.get("ckpt_path") is None:
        return None
    path, runs = (Path(plain_path(given[key])) for key in PATHS)
    try:
        config = config_beside(newest_last(runs) if path == Path("last") else path)
    except (BadInputError, OSError):  # the parser reports it
        return None
    return None if config is None else read_config(str(config))


def _refuse_unnamed(path: Path, names: dict[str, str]) -> None:
    """Raise BadInputError if a checkpoint that lies in no run is of classes that are not named.

    They are not imported because it names them: it may come from a stranger.
    """
    try:
        needed = _names_in(_parse(read_checkpoint(path)[KEY]["config"]))
    except (BadInputError, OSError):  # what is wrong is said where it is read for its settings
        return
    if unnamed := {key: needed[key] for key in needed.keys() - names.keys()}:
        words = " ".join(f"--{key} {unnamed[key]}" for key in BASES if key in unnamed)
        raise BadInputError(
            f"{' and '.join(sorted(unnamed, reverse=True))} must be named for a checkpoint that lies in no run. Got "
            f"{str(path)!r}, which was trained with other classes: add {words}, if you trust them."
        )


def _refuse_pipes(args: list[str]) -> None:
    for before, word in pairwise(["", *args]):
        option, _, value = word.partition("=") if word.startswith("-") else (before, "", word)
        if option != "--output":  # the writer of predictions refuses one in its own words
            refuse_pipes(value)


def refuse_pipes(value: Any) -> None:
    """Raise BadInputError if a text within a value names a named pipe, which would be waited for as a config.

    Args:
        value: An argument, or a config's content: the keys of groups and classes may name further configs.
    """
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        refuse_pipes(part)
    if isinstance(value, str) and stat.S_ISFIFO(_mode(value)):
        raise BadInputError(f"a config must be a file, not a named pipe. Got {value!r} instead.")


def is_file(value: str) -> bool:
    """Whether a text is the path of a file."""
    return stat.S_ISREG(_mode(value))


def _mode(value: str) -> int:
    """The kind of file that a value names; 0 for none."""
    try:
        return Path(value).stat().st_mode
    except (OSError, ValueError):  # also one that is too long for a file's name, or with a NUL byte
        return 0


def _parse(text: str) -> Any:
    try:
        check_text(text)
        return yaml.safe_load(text)
    except yaml.YAMLError:  # the parser reports it
        return None


def _names_in(config: Any) -> dict[str, str]:
    found = {key: _class_path(config.get(key)) for key in BASES} if isinstance(config, dict) else {}
    return {key: path for key, path in found.items() if path is not None}


def _class_path(value: Any) -> str | None:
    path = value.get("class_path") if isinstance(value, dict) else value
    return path if isinstance(path, str) and (path is not value or IMPORT_PATH.fullmatch(path)) else None


def _arguments(value: Any) -> dict[str, Any]:
    given = value.get("init_args") if _class_path(value) is not None and isinstance(value, dict) else value
    return given if isinstance(given, dict) else {}


def _as_words(arguments: dict[str, dict[str, Any]]) -> list[str]:
    return [f"--{key}={json.dumps(given, default=str)}" for key, given in arguments.items() if given]


def _without_name(key: str, given: Any, words: list[str]) -> list[str]:
    return words if _class_path(given) is None else _as_words({key: _arguments(given)})


def _load(key: str, path: str) -> type:
    base = BASES[key]
    try:
        cls = resolve_name(path)
    except Exception as error:  # whatever a module raises as it is imported
        meant = did_you_mean(error.name, dir(error.obj)) if isinstance(error, AttributeError) and error.name else ""
        raise BadInputError(
            f"{key} must be the import path of a {base.__name__}. Got {path!r}: {type(error).__name__}: {error}.{meant}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise BadInputError(f"{key} must be the import path of a {base.__name__}. Got {path!r} instead.")
    return cls
