"""The question sets of the papers: questions, functions and checks, one module a set."""
