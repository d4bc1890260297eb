"""The words that techniques say to models: one module a technique or part of one."""
