"""The effect on the treated by every adjustment, and what chance and hidden confounding could do."""
