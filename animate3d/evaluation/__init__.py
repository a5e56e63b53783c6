"""How good animated Gaussian models are: the test set, its metrics, and the table."""
