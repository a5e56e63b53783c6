"""How the bundled model is built, trained, exported and measured.

It is made of the package's own classes in a small size, and trained on the procedural creatures of
`animate3d.creatures`. ``python -m animate3d.small_model.train`` makes it from nothing.
"""
