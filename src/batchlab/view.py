"""batchlab view: TensorBoard on the runs, with the settings that suit them."""

import argparse
import signal
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from tensorboard import program

from batchlab.errors import BadInputError

FLAGS = ("--samples_per_plugin=images=1000,scalars=10000", "--reload_multifile=true", "--load_fast=false")
"""All frames of a run, all points of a curve, runs that go on after a stop, no experimental loader."""


def view(args: Sequence[str]) -> None:
    """Serves TensorBoard until it is interrupted.

    Args:
        args: The words behind the command.

    Raises:
        BadInputError: If there is no such folder, or the port is taken.
    """
    words = _parsed(args)
    if not Path(words.runs).is_dir():
        raise BadInputError(f"runs must be a folder that exists. Got {words.runs!r} instead: train something first.")
    port = [] if words.port is None else [f"--port={words.port}"]  # without it, the next free one from 6006
    board = program.TensorBoard()
    board.configure(argv=[None, f"--logdir={words.runs}", f"--host={words.host}", *port, *FLAGS])
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        address = board.launch()
    except program.TensorBoardServerException as error:
        raise BadInputError(str(error)) from error
    where = "only from this machine" if words.host in ("127.0.0.1", "localhost", "::1") else f"through {words.host}"
    print(f"TensorBoard on {words.runs}: {address} (can be reached {where}; Ctrl-C stops it)", flush=True)
    if words.browser:
        _open(address)
    stopped.wait()


def _open(address: str) -> None:
    with suppress(webbrowser.Error):  # no browser at all
        browser = webbrowser.get()
        if type(browser) is not webbrowser.GenericBrowser:  # that is one for the terminal, which it would take over
            browser.open(address)


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
    parser.add_argument("--port", type=int, help="port to serve at (default: 6006, or the next that is free)")
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to open a browser, where there is one",
    )
    return parser
