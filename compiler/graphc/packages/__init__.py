"""The packages that a graph's own Python needs: what it asks for, the lock, the image, the environment."""
