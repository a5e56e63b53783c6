"""Random bodies from simple solids: parts with joints, soft weights and procedural colours, from a seed."""
