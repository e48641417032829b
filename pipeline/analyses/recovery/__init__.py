"""Every method in simulated worlds whose truth is known."""
