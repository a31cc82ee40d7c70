import subprocess
import sys
from pathlib import Path

import pytest
from started import LAST, start

from blockstep.checkpoints.checkpoint_file import read_checkpoint

FIT = ("fit", "--data.num_validation=20")


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_a_rank_that_a_lone_process_has_inherited_is_refused_and_nothing_is_left(variable):
    done = start(*FIT, **{variable: "1"})
    assert done.returncode == 2
    assert f"Got {variable}=1 in the environment, and 1 process(es)" in done.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize("shared", [True, False])
def test_a_folder_that_such_a_process_did_not_make_is_not_removed(shared):
    folder = Path("victim" if shared else "runs/run/of_the_first_process")
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("all of it")
    more = {"BLOCKSTEP_RUN_FOLDER": str(folder)} if shared else {}
    assert start(*FIT, RANK="1", **more).returncode == 2
    assert (folder / "thesis.txt").read_text() == "all of it"


@pytest.mark.parametrize("variable", ["RANK", "MPLBACKEND"])
def test_a_variable_with_which_a_library_cannot_be_imported_is_one_message(variable):
    done = start(*FIT, **{variable: "nonsense"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("example: error: the libraries must be importable")
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_torchrun_starts_the_processes_of_one_run():
    words = ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "example", *FIT]
    more = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    done = subprocess.run([sys.executable, *words, *more], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(Path(LAST))["global_step"] == 110
    assert [path.name for path in Path("runs/run").iterdir()] == ["version_0"]
