"""What a cluster makes of a SeldonDeployment: refused, accepted and failing, or accepted and doing nothing."""
