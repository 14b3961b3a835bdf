"""What runs inside a unit's container."""
