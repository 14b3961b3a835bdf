"""What the components declare: signatures and parameters, without numpy, so that a compiler starts fast."""
