"""The paper: the study that the documents describe, in the order of their own chapter."""
