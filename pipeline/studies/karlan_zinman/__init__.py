"""A consumer lender in South Africa that randomised the terms of its offers."""
