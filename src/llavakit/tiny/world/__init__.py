"""The drawn world: what is in it and how it looks. A seed becomes a scene, and a scene a picture."""
