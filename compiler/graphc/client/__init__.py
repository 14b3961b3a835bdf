"""Call a V2 endpoint with tensors made from files."""
