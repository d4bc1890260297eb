"""Places where function calls run: one port (``port.py``) and one adapter each."""
