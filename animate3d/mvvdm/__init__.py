"""Multi-view video diffusion: four consistent videos of one object from four images and a sentence."""
