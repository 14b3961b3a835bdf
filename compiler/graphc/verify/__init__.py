"""What holds of every graph and plan, whichever pass made it; tests look after each pass."""
