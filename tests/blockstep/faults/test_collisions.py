import re

import pytest
from forked import start
from systems import needs_fork

from blockstep.checkpoints.checkpoint_file import KEY, read_checkpoint

pytestmark = [pytest.mark.slow, needs_fork]


@pytest.mark.parametrize("_round", range(10))
def test_runs_that_start_at_the_same_moment_get_folders_of_their_own(_round, tmp_path):
    words = ["fit", "--data.num_validation=20", "--data.batch_size=1100"]
    processes = [start([*words, f"--seed_everything={seed}"], tmp_path) for seed in range(20)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 20
    folders = sorted((tmp_path / "runs" / "run").iterdir())
    assert len(folders) == 20
    configs = (read_checkpoint(folder / "checkpoints" / "last.ckpt")[KEY]["config"] for folder in folders)
    seeds = {re.search(r"^seed_everything: (\d+)$", config, re.MULTILINE)[1] for config in configs}
    assert len(seeds) == 20
    for folder in folders:
        assert len(list(folder.glob("events*"))) == 1
        assert len((folder / "metrics.csv").read_text().splitlines()) > 1
