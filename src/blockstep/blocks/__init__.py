"""Training in blocks: K optimizer steps in one call of `training_step`."""
