"""The pages of the evidence, one module a page: words and rows in, HTML out."""
