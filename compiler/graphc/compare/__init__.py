"""Compares the answers of a shadow, or of a canary, with the live ones, and says whether gates are passed."""
