import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from blockstep.base.errors import OutputError
from blockstep.base.stdout_guard import guarded_stdout, output_status, say


class Broken(io.StringIO):
    """A stream on a full disk: writing or flushing fails. Its descriptor is that of a file."""

    def __init__(self, fails):
        super().__init__()
        self.fails = fails
        self.file = Path("terminal").open("wb")  # noqa: SIM115 - closed with the stream

    def write(self, text):
        return self._fail() if self.fails == "write" else super().write(text)

    def flush(self):
        return self._fail() if self.fails == "flush" else super().flush()

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.fails = None
        self.file.close()
        super().close()

    def _fail(self):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fails", ["write", "flush"])
def test_output_that_cannot_be_written_is_an_output_error(fails, monkeypatch):
    with Broken(fails) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(OutputError, match="No space left") as caught, guarded_stdout():
            print("words")
    assert caught.value.errno == errno.ENOSPC


def test_lost_output_is_an_error_even_if_the_code_that_prints_ignores_it(monkeypatch):
    with Broken("write") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(OutputError), guarded_stdout(), suppress(OSError):
            print("words")


def test_lost_output_is_an_error_even_if_the_program_exits(monkeypatch):
    with Broken("flush") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(OutputError), guarded_stdout():
            sys.exit()


@pytest.mark.parametrize("fails", ["write", "flush"])
def test_what_is_still_in_the_buffer_of_such_output_is_discarded(fails, monkeypatch):
    with Broken(fails) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(OutputError), guarded_stdout():
            print("words")
        os.write(stream.fileno(), b"the rest of the buffer")
    assert Path("terminal").read_bytes() == b""


def test_errors_of_other_files_are_not_output_errors():
    with pytest.raises(FileNotFoundError), guarded_stdout():
        Path("missing").read_text()


def test_standard_output_is_restored():
    before = sys.stdout
    with guarded_stdout():
        assert sys.stdout is not before
    assert sys.stdout is before


def test_a_guarded_stream_is_otherwise_as_before(capsys):
    with guarded_stdout():
        assert sys.stdout.isatty() is False
        print("words")
    assert capsys.readouterr().out == "words\n"


def test_characters_that_a_terminal_lacks_are_printed_as_codes(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="ascii", newline="\n"))
    with guarded_stdout():
        print("läuft")
    assert shown.getvalue() == b"l\\xe4uft\n"


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 1), (errno.EPIPE, 141)])
def test_the_status_tells_lost_output_from_a_reader_that_has_gone(number, status):
    assert output_status("example", OutputError(number, "it fails")) == status


def test_lost_output_is_reported(capsys):
    output_status("example", OutputError(errno.ENOSPC, "the disk is full"))
    assert capsys.readouterr().err.startswith("example: error: standard output cannot be written: [Errno")


def test_a_reader_that_has_gone_is_not_reported(capsys):
    output_status("example", OutputError(errno.EPIPE, "closed"))
    assert capsys.readouterr().err == ""


def test_a_message_that_cannot_be_printed_is_dropped(monkeypatch):
    with Broken("write") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        say("words")
