import io

from batchlab import progress
from batchlab.progress import TimedTqdm


def drawings(seconds_per_frame, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_PER_FRAME", seconds_per_frame)
    file = io.StringIO()
    bar = TimedTqdm(total=100, file=file, mininterval=0)
    for n in range(100):
        bar.n = n
        bar.refresh()
    bar.n = 100
    bar.close()
    return file.getvalue()


def test_a_bar_is_drawn_by_the_clock(monkeypatch):
    assert drawings(3600, monkeypatch).count("/100") < 5
    assert drawings(0, monkeypatch).count("/100") > 50


def test_a_bar_shows_its_end(monkeypatch):
    assert "100/100" in drawings(3600, monkeypatch).rpartition("\r")[2]


def test_a_fit_shows_every_step_on_its_bar(batchlab, capsys):
    assert batchlab("fit", "--trainer.enable_progress_bar=true", "--data.num_validation=50") == 0
    assert "110/110" in capsys.readouterr().out


def test_a_bar_of_ones_own_is_used_instead(batchlab, capsys):
    words = ["--trainer.enable_progress_bar=true", "--trainer.callbacks+=TQDMProgressBar"]
    assert batchlab("fit", *words, "--trainer.callbacks.refresh_rate=0", "--data.num_validation=50") == 0
    assert "110/110" not in capsys.readouterr().out
