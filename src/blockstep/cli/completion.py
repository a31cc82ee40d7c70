"""Completion: without it, a shell could complete neither commands nor keys.

What can be typed is read from each command's help, so that an application's own commands are completed too.
"""

import argparse
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress

from blockstep.base.errors import BadInputError
from blockstep.base.factories import CLASSES
from blockstep.cli.application import COMMANDS, RUN, Application, load_command
from blockstep.cli.named_configs import config_names
from blockstep.cli.parse_errors import subclass_names

SCRIPT = """\
# Completes {program} in bash and zsh.
_{function}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$current" = "=" ]; then current=""
    elif [ "$previous" = "=" ]; then previous="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands} --help --version"
    else case "$previous" in
{values}
        --*) ;;
        *) case "${{COMP_WORDS[1]}}" in
{options}
        esac ;;
    esac; fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
[ -z "$ZSH_VERSION" ] || {{ autoload -U +X bashcompinit && bashcompinit; }}
complete -o default -F _{function} {program}
"""
"""Where nothing matches, the shell completes names of files."""


def completion(application: Application, command: str, args: list[str]) -> None:
    """Print a script that makes bash or zsh complete the commands, their options, and values that can be listed.

    Args:
        application: The program.
        command: The command's name.
        args: Its arguments: none but `--help`.
    """
    words = f"{application.name} {command}"
    about = f"Prints a script for bash and zsh. To use it: {words} >> ~/.bash_completion, or >> ~/.zshrc"
    parser = argparse.ArgumentParser(words, description=about, exit_on_error=False)
    if others := parser.parse_known_args(args)[1]:
        raise BadInputError(f"{command} takes no arguments. Got {others[0]!r}.")
    commands = {**COMMANDS, **application.commands}
    helps = {name: _help(application, name, path) for name, (_, path) in commands.items() if name != command}
    values = dict(pair for text in helps.values() for pair in _choices(text))
    values |= {f"--model.{key}": " ".join(subclass_names(base)) for key, base in CLASSES.items()}
    values |= {"--config": " ".join(config_names(application.configs)), "--ckpt_path": "last"}
    options = {name: " ".join(_options(text)) for name, text in helps.items()}
    print(
        SCRIPT.format(
            program=application.name,
            function=re.sub(r"\W", "_", application.name),
            commands=" ".join(commands),
            values="\n".join(f'        {key}) words="{words}" ;;' for key, words in values.items()),
            options="\n".join(f'            {name}) words="{known}" ;;' for name, known in options.items()),
        ),
        end="",
    )


def _help(application: Application, command: str, path: str) -> str:
    """All of a command's help."""
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        load_command(path)(application, command, ["--help=all" if path == RUN else "--help"])
    return text.getvalue()


def _options(text: str) -> list[str]:
    """The options of a help: before the text about each, which two spaces or a new line set off."""
    heads = re.findall(r"^  (-.*?)(?:  |$)", text, re.MULTILINE)
    found = re.findall(r"(?<![\w-])--[\w.-]+", "\n".join(heads))
    return [option for option in dict.fromkeys(found) if not option.endswith(".help")]


def _choices(text: str) -> Iterator[tuple[str, str]]:
    """The options whose values are listed in braces, and the values."""
    for option, values in re.findall(r"^  (--[\w.-]+) \{([\w,]+)\}", text, re.MULTILINE):
        yield option, values.replace(",", " ")
