"""The multi-view video UNet and its parts."""
