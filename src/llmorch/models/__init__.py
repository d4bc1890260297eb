"""Language models: one port (``model.py``) and one adapter each."""
