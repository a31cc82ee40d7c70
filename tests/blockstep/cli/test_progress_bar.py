import io
import re

from blockstep.cli import progress_bar
from blockstep.cli.progress_bar import TimedTqdm


def drawings(seconds_per_frame, monkeypatch):
    """What a bar of a hundred steps draws."""
    monkeypatch.setattr(progress_bar, "SECONDS_PER_FRAME", seconds_per_frame)
    file = io.StringIO()
    bar = TimedTqdm(total=100, file=file, mininterval=0)
    for n in range(100):
        bar.n = n
        bar.refresh()
    bar.n = 100
    bar.close()
    return file.getvalue()


def test_a_bar_is_drawn_again_only_after_some_time(monkeypatch):
    assert drawings(3600, monkeypatch).count("/100") < 5
    assert drawings(0, monkeypatch).count("/100") > 50


def test_a_bar_shows_its_end(monkeypatch):
    assert "100/100" in drawings(3600, monkeypatch).rpartition("\r")[2]


def test_the_bar_of_a_fit_counts_its_steps(example, capsys):
    assert example("fit", "--trainer.enable_progress_bar=true", "--data.num_validation=50") == 0
    assert "110/110" in capsys.readouterr().out


def test_the_bar_of_a_fit_shows_the_loss_and_the_metric_that_is_watched_and_no_version(example, capsys):
    words = ["--trainer.enable_progress_bar=true", "--trainer.max_epochs=2", "--data.num_validation=50"]
    assert example("fit", *words) == 0
    last = [line for line in re.split("[\r\n]", capsys.readouterr().out) if line.startswith("Epoch 1")][-1]
    assert re.search(r"\[.*, loss=\d\.\d+, val/loss=0\.\d+\]", last)
    assert "v_num" not in last


def test_the_bar_shows_the_loss_from_the_first_epoch_on(example, capsys, monkeypatch):
    monkeypatch.setattr(progress_bar, "SECONDS_PER_FRAME", 0)
    words = ["--trainer.enable_progress_bar=true", "--data.num_validation=50", "--data.block_size=10"]
    assert example("fit", *words) == 0
    assert "10/110 [" in (text := capsys.readouterr().out)
    assert re.search(r"10/110 \[[^\]]*loss=", text)


def test_a_bar_of_a_model_that_logs_nothing_has_its_loss_alone(example, capsys):
    words = ["--trainer.enable_progress_bar=true", "--trainer.limit_val_batches=0"]
    assert example("fit", *words) == 0
    assert re.search(r"it/s, loss=[\d.]+\]", capsys.readouterr().out)


def test_a_bar_of_the_users_own_replaces_it(example, capsys):
    words = ["--trainer.enable_progress_bar=true", "--trainer.callbacks+=TQDMProgressBar"]
    assert example("fit", *words, "--trainer.callbacks.refresh_rate=0", "--data.num_validation=50") == 0
    assert "110/110" not in capsys.readouterr().out
