"""A Czech bank with its accounts, statements and cards."""
