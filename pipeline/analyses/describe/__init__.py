"""The sample flow, balance before and after matching, and default rates by group."""
