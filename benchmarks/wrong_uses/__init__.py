"""What people do wrong, done on purpose, and what the software says to it."""
