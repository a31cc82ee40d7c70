"""What every other room uses: errors, atomic files, loggers by the clock, optimizers as arguments."""
