"""A folder for PYTHONPATH: interpreters that start with it are sampled."""
