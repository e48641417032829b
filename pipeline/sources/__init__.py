"""Public data: one record per source, the one fetcher, and the readers of the files as they are published."""
