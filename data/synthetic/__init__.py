"""A synthetic world: an event camera that moves through a textured street, with cars, pedestrians and their boxes."""
