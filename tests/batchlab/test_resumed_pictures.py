from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def contours(name):
    """The drawn contours of a run, by events seen."""
    events = EventAccumulator(f"runs/{name}/version_0", size_guidance={"images": 0}).Reload()
    return [(image.step, image.encoded_image_string) for image in events.Images("decision/contour")]


def test_a_resumed_run_draws_the_same_contours_as_one_that_was_not_interrupted(batchlab):
    quick = ("--data.num_validation=50", "--epoch_report.figure_every_n_epochs=1")
    assert batchlab("fit", *quick, "--name=whole", "--trainer.max_epochs=3") == 0
    assert batchlab("fit", *quick, "--name=part", "--trainer.max_epochs=1") == 0
    assert batchlab("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0
    assert len(contours("whole")) == 3
    assert contours("part") == contours("whole")
