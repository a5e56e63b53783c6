"""Training of the multi-view video model: what ``train.py`` does."""
