"""An Estonian platform for loans between persons, and the customers who come back to it."""
