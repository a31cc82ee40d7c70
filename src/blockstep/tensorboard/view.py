"""TensorBoard on the runs: without it, TensorBoard shows ten frames of each picture, and smoothed curves.

This is an extra: see CONTRIBUTING.md for how to delete it.
"""

import argparse
import io
import json
import os
import re
import signal
import webbrowser
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.parse import urlencode

from tensorboard import program

from blockstep.base.errors import BadInputError
from blockstep.base.suggestions import did_you_mean
from blockstep.tensorboard.charts import Charts

FLAGS = ("--samples_per_plugin=images=1000,scalars=10000", "--reload_multifile=true", "--load_fast=false")
"""Show all frames and points, read the event files of resumed runs, and do without the experimental loader."""

LAST_PORT = 65535

IN_THE_TERMINAL = {"elinks", "links", "lynx", "w3m", "www-browser"}
"""Browsers that take over the terminal; they are opened only if $BROWSER names one."""


class Application(Protocol):
    """What is needed of an application."""

    @property
    def name(self) -> str:
        """The program's name."""

    @property
    def charts(self) -> Charts:
        """Its charts."""


def view(application: Application, command: str, args: Sequence[str]) -> None:
    """Serve TensorBoard until it is interrupted.

    Args:
        application: The program's name, and the curves that are shown first.
        command: The command's name.
        args: Its arguments.

    Raises:
        BadInputError: If the folder does not exist, or cannot be served at this port and address.
    """
    words = _parse(f"{application.name} {command}", args)
    if not Path(words.runs).is_dir():
        raise BadInputError(f"runs must be a folder that exists. Got {words.runs!r} instead: train something first.")
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    address = first_view(_launch(words), application.charts)
    local = words.host in ("127.0.0.1", "localhost", "::1")
    where = "only from this machine" if local else f"from other machines too, through {words.host}"
    print(f"TensorBoard on {words.runs}: {address} (can be reached {where}; Ctrl-C stops it)", flush=True)
    if words.browser:
        _open(address)
    stopped.wait()


def first_view(address: str, charts: Charts) -> str:
    """Return TensorBoard's address with the pinned curves on top, unsmoothed. By itself, it sorts them by name.

    The first smoothing is that of TIME SERIES, the second that of SCALARS and CUSTOM SCALARS. TensorBoard keeps both in
    its address when another tab is chosen.
    """
    cards = json.dumps([{"plugin": "scalars", "tag": tag} for tag in charts.pinned], separators=(",", ":"))
    query = urlencode({"pinnedCards": cards, "smoothing": 0}, safe=",:/")
    return f"{address}?{query}#timeseries&_smoothingWeight=0"


def _launch(words: argparse.Namespace) -> str:
    if words.port is None:
        # The first free port from 6006 on. If another program takes it at the same moment, or has it
        # and does not answer, TensorBoard raises SystemExit; then any free port is used.
        with suppress(SystemExit):
            return _serve(words, [])
    try:
        return _serve(words, [f"--port={words.port or 0}"])
    except SystemExit as error:
        asked = "any port" if words.port is None else f"port {words.port}"
        raise BadInputError(
            f"--host must be an address of this machine, and --port free. Got {words.host!r} and {asked} instead."
        ) from error


def _serve(words: argparse.Namespace, port: list[str]) -> str:
    board = program.TensorBoard()
    try:
        with redirect_stderr(io.StringIO()):  # what it prints before SystemExit is said by our own message
            board.configure(argv=[None, f"--logdir={words.runs}", f"--host={words.host}", *port, *FLAGS])
            return str(board.launch())
    except (program.TensorBoardServerException, OSError) as error:
        raise BadInputError(f"--host and --port must be free to be served at: {error}") from error


def _open(address: str) -> None:
    with suppress(webbrowser.Error):  # there is no browser
        browser = webbrowser.get()
        if "BROWSER" in os.environ or Path(getattr(browser, "name", "")).name not in IN_THE_TERMINAL:
            browser.open(address)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535. Got {text!r} instead.")
    return int(text)


def _not_empty(text: str) -> str:
    if not text:  # an empty host would be all of the machine's addresses
        raise argparse.ArgumentTypeError("must not be empty.")
    return text


def _parse(program_name: str, args: Sequence[str]) -> argparse.Namespace:
    parser = _parser(program_name)
    try:
        words, unknown = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        raise BadInputError(str(error)) from error
    if unknown:
        meant = did_you_mean(unknown[0].partition("=")[0], re.findall(r"--[\w-]+", parser.format_usage()))
        raise BadInputError(
            f"{program_name} takes a folder of runs and its options. Got {unknown[0]!r} instead.{meant}"
        )
    return words


def _parser(program_name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program_name,
        description="Shows runs in TensorBoard, on this machine alone unless --host says otherwise.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("runs", type=_not_empty, nargs="?", default="runs", help="folder of runs (default: runs)")
    parser.add_argument(
        "--host",
        type=_not_empty,
        default="127.0.0.1",
        help="address to serve at (default: 127.0.0.1, this machine)",
    )
    parser.add_argument("--port", type=_port, help="port to serve at (default: 6006, or the next that is free)")
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to open a browser, if there is one",
    )
    return parser
