"""Places where function calls run: one port (``processor.py``) and one adapter each."""
