"""A consumer lender in South Africa that drew lots over the terms of its offers."""
