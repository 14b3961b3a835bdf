"""What a plan does and why, told to people."""
