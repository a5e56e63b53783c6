"""The parts of a body of which only the surface is known: limbs by geodesics, named by where they are."""

from animate3d.creatures.anatomy.body import Body, find_bodies, find_body

__all__ = ["Body", "find_bodies", "find_body"]
