"""One short module per DVC stage: read, call, check, write."""
