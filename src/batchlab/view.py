"""batchlab view: TensorBoard on the runs, with the settings that suit them."""

import argparse
import io
import json
import os
import signal
import webbrowser
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from threading import Event
from urllib.parse import urlencode

from tensorboard import program

from batchlab.errors import BadInputError

FLAGS = ("--samples_per_plugin=images=1000,scalars=10000", "--reload_multifile=true", "--load_fast=false")
"""All frames of a run, all points of a curve, runs that go on after a stop, no experimental loader."""

PINNED = ("val/regret", "train/loss", "time/epoch_sec")
"""Curves that the browser is shown first, above the pictures; TensorBoard itself goes by the alphabet."""

LAST_PORT = 65535

IN_THE_TERMINAL = {"elinks", "links", "lynx", "w3m", "www-browser"}
"""Browsers that would take the terminal over; whoever sets $BROWSER to one of them wants it to."""


def view(args: Sequence[str]) -> None:
    """Serves TensorBoard until it is interrupted.

    Args:
        args: The words behind the command.

    Raises:
        BadInputError: If there is no such folder, or it cannot be served at this port and address.
    """
    words = _parsed(args)
    if not Path(words.runs).is_dir():
        raise BadInputError(f"runs must be a folder that exists. Got {words.runs!r} instead: train something first.")
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    address = _launch(words)
    local = words.host in ("127.0.0.1", "localhost", "::1")
    where = "only from this machine" if local else f"from other machines too, through {words.host}"
    print(f"TensorBoard on {words.runs}: {address} (can be reached {where}; Ctrl-C stops it)", flush=True)
    if words.browser:
        _open(first_view(address))
    stopped.wait()


def first_view(address: str) -> str:
    """TensorBoard's address with the curves that tell most on top, and as they were measured: not smoothed."""
    cards = json.dumps([{"plugin": "scalars", "tag": tag} for tag in PINNED])
    return f"{address}?{urlencode({'pinnedCards': cards, 'smoothing': 0})}#timeseries"


def _launch(words: argparse.Namespace) -> str:
    if words.port is None:
        # From 6006 on, the first one that nobody answers at. Where another program takes that in the same moment, or
        # has it and does not answer, the server ends the process; then any port will do.
        with suppress(SystemExit), redirect_stderr(io.StringIO()):
            return _served(words, [])
    try:
        return _served(words, [f"--port={words.port or 0}"])
    except SystemExit as error:  # it has said why, as for a host without an address
        asked = "any port" if words.port is None else f"port {words.port}"
        raise BadInputError(
            f"--host must be an address of this machine, and --port free. Got {words.host!r} and {asked} instead."
        ) from error


def _served(words: argparse.Namespace, port: list[str]) -> str:
    board = program.TensorBoard()
    board.configure(argv=[None, f"--logdir={words.runs}", f"--host={words.host}", *port, *FLAGS])
    try:
        return str(board.launch())
    except (program.TensorBoardServerException, OSError) as error:
        raise BadInputError(f"--host and --port must be free to be served at: {error}") from error


def _open(address: str) -> None:
    with suppress(webbrowser.Error):  # no browser at all
        browser = webbrowser.get()
        if "BROWSER" in os.environ or Path(getattr(browser, "name", "")).name not in IN_THE_TERMINAL:
            browser.open(address)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535. Got {text!r} instead.")
    return int(text)


def _parsed(args: Sequence[str]) -> argparse.Namespace:
    try:
        words, unknown = _parser().parse_known_args(args)
    except argparse.ArgumentError as error:
        raise BadInputError(str(error)) from error
    if unknown:
        raise BadInputError(f"batchlab view takes a folder of runs and its options. Got {unknown[0]!r} instead.")
    return words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchlab view",
        description="Shows runs in TensorBoard, on this machine alone unless --host says otherwise.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("runs", nargs="?", default="runs", help="folder of runs (default: runs)")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=_port, help="port to serve at (default: 6006, or the next that is free)")
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to open a browser, where there is one",
    )
    return parser
