"""Training data of the bundled model, made from a seed."""
