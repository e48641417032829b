"""What a reader runs by hand: no stage of the pipeline."""
