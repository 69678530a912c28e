"""Image encoders: pixels in, patch features out."""
