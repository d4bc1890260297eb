"""What a function is: from plain Python, a schema or a class, and what is said of it."""
