"""Solids as distance fields, their surfaces and texture atlases."""
