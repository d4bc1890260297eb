"""The question sets of the papers: questions, functions and checks, one module with a ``SET`` each."""

SETS = ("hotpotqa", "movierec", "parallelqa", "kitti", "agnews", "cases", "game24")
"""Their names, as they are reported."""
