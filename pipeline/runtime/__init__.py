"""Files, places, runs, workers and engines: nothing here knows of loans."""
