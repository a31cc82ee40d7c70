import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_config_is_read_as_utf_8_whatever_the_systems_encoding():
    Path("own.yaml").write_text("# größer\ndata: {batch_size: 100}\n", encoding="utf-8")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "example", "fit", "--config", "own.yaml"]
    done = subprocess.run(
        command, env=os.environ | ascii_only, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "batch_size: 100\n" in Path("runs/run/version_0/config.yaml").read_text(encoding="utf-8")
