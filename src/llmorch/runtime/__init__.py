"""The drivers of the core: real time, virtual time, and the conversation with a model."""
