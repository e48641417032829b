"""The studies' effects side by side, and pooled where they are alike."""
