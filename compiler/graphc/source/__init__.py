"""Reading files into values that know their place."""
